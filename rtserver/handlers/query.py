"""Query parameters and headers, read strictly: well-formed, in range and there once, or refused (DESIGN 4)."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import parse_qsl

from rtserver.cursor import Edge, Start, parse_cursor, parse_edge
from rtserver.errors import Malformed
from rtserver.publication import check_type

MAX_TYPES = 50
_CONTROL = re.compile("[\x00-\x1f\x7f]")
# More digits than any limit has, and fewer than make int() slow.
_NUMBER = re.compile("-?[0-9]{1,100}")


class HeaderLists(Protocol):
    def get_list(self, name: str) -> list[str]: ...


class Asking(Protocol):
    """The part of a request that is read here."""

    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> HeaderLists: ...


class Query:
    """The parameters of one request.  Those nobody asks for are ignored, whatever they hold."""

    def __init__(self, request: Asking) -> None:
        self._request = request
        # Undecodable bytes become lone surrogates, which `text` refuses where somebody asks for them.
        self._values: dict[str, list[str]] = {}
        if request.query:
            for name, value in parse_qsl(request.query, keep_blank_values=True, errors="surrogateescape"):
                self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """Return the parameter as sent, or None if it is absent."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise Malformed(f"{name} is given {len(values)} times; give it once")
        return _clean(values[0], name)

    def integer(self, name: str, default: int, low: int, high: int, *, clamps: bool = False) -> int:
        """Return a whole number; above ``high`` it is refused, or with ``clamps`` taken as ``high``."""
        text = self.text(name)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text):
            raise Malformed(f"{name} is {text[:64]!r}; it must be a whole number, {low} to {high}")
        number = min(int(text), high) if clamps else int(text)
        if not low <= number <= high:
            raise Malformed(f"{name} is {number}; it must be {low} to {high}")
        return number

    def boolean(self, name: str, default: bool = False) -> bool:
        text = self.text(name)
        if text is None:
            return default
        if text not in ("true", "false"):
            raise Malformed(f"{name} is {text[:64]!r}; it must be true or false")
        return text == "true"

    def event_types(self) -> frozenset[str] | None:
        """Return the types in ``eventTypes=a,b``, or None for all."""
        text = self.text("eventTypes")
        if text is None:
            return None
        types = text.split(",")
        if len(types) > MAX_TYPES:
            raise Malformed(f"eventTypes has {len(types)} types; at most {MAX_TYPES} are allowed")
        return frozenset(check_type(type.strip(" "), "eventTypes") for type in types)

    def start(self, default: Start = Edge.NOW) -> Start:
        """Return where to begin: the header, else ``lastEventId``, else ``from``, else ``default``.

        The header is the newest: EventSource sends it when it comes back to an old URL (DESIGN 4.4).
        """
        header = self.header("Last-Event-ID")
        cursor = self.text("lastEventId")
        edge = self.text("from")
        # All are read before one is chosen: a malformed one is an error even where another decides.
        places = [
            parse_cursor(header, "Last-Event-ID") if header else None,
            parse_cursor(cursor, "lastEventId") if cursor else None,
            parse_edge(edge) if edge is not None else None,
        ]
        return next((place for place in places if place is not None), default)

    def header(self, name: str) -> str | None:
        """Return a header that may be there once."""
        values = self._request.headers.get_list(name)
        if len(values) > 1:
            raise Malformed(f"the header {name} is given {len(values)} times; give it once")
        return _clean(values[0].strip(), name) if values else None

    def hint(self, name: str) -> str:
        """Return a header that is to be ignored when it is malformed, or an empty string."""
        values = self._request.headers.get_list(name)
        return values[0].strip() if len(values) == 1 else ""


def _clean(value: str, name: str) -> str:
    if _CONTROL.search(value):
        raise Malformed(f"{name} holds control characters; remove them")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Malformed(f"{name} is not valid UTF-8") from None
    return value
