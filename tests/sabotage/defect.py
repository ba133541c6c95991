"""What a planted defect is.

It replaces one piece of text by another.  ``before`` must stand exactly once in its file; a test checks that, so the
tables cannot rot.
"""

from __future__ import annotations

from typing import NamedTuple


class Defect(NamedTuple):
    promise: str  # or the section of the contract whose row it breaks, or the wire
    what: str
    file: str  # below rtserver/
    before: str
    after: str
    test: str  # what must turn red, as pytest names it, below tests/
