#!/usr/bin/env python3
"""Run rtserver from a checkout; also the entry script of the binary build.

All code lives in the package ``rtserver/``.  This file may share its name because Python
prefers a package with an ``__init__.py`` to a module beside it.  Never install this file:
a copy of it on ``sys.path`` would hide the package.
"""

import sys

from rtserver.cli import main

if __name__ == "__main__":
    sys.exit(main())
