"""What a client says it accepts: media types and encodings (RFC 9110 section 12.5).

Such a header is ignored where it is malformed (P7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def accepts(accept: str, media_type: str) -> bool:
    """Say whether ``Accept`` lets ``media_type`` through; the most specific range decides (section 12.5.1)."""
    return weigh(accept, media_type) > 0


def weigh(accept: str, media_type: str) -> float:
    """Return how much a client wants a media type, 0 to 1."""
    if not accept.strip():
        return 1.0
    family = media_type.partition("/")[0]
    ranks = {"*/*": 0, f"{family}/*": 1, media_type: 2}
    best, wanted = -1, 0.0
    for name, weight in _parts(accept):
        rank = ranks.get(name, -1)
        if rank > best:
            best, wanted = rank, weight
    return wanted


def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether an answer may be sent gzipped (section 12.5.3); without the header it is sent as it is."""
    weights = dict(_parts(accept_encoding))
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _parts(field: str) -> Iterator[tuple[str, float]]:
    """Yield each name of a list with its weight; names with a weight that is none are left out."""
    for part in field.split(","):
        name, *parameters = [piece.strip().lower() for piece in part.split(";")]
        weight = "1"
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = value.strip()
        if name and _WEIGHT.fullmatch(weight):
            yield name, float(weight)
