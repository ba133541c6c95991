"""Reads ``text/event-stream``: the parser of the WHATWG HTML standard, section 9.2.6, to the letter.

Bytes come in whatever pieces a network makes of them; lines end in CR, LF or CRLF, also cut between the two.  It knows
the format and nothing of what our events mean.

No I/O, no clock, no event loop.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from rtserver.client.errors import Blocked

# Far beyond what a server lets anybody publish: who sends more without a blank line sends no events.
MAX_BLOCK_CHARACTERS = 64 << 20

_LINE_END = re.compile(r"[\r\n]")


class Block(NamedTuple):
    """What one blank line completed.  ``data`` is None where nothing is dispatched and only the id moved."""

    type: str
    data: str | None
    last_event_id: str  # of the stream, after this block
    has_id: bool  # the block itself had one


class EventStream:
    """Feed it bytes, get blocks.  ``retry_ms`` is the newest reconnection time that was told, if any."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.last_event_id = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._is_at_start = True
        self._is_after_cr = False
        self._pieces: list[str] = []  # of the line that has not ended yet
        self._held = 0
        self._clear()

    def feed(self, received: bytes) -> list[Block]:
        """Return the blocks that these bytes complete."""
        text = self._decoder.decode(received)
        if self._is_at_start and text:
            self._is_at_start = False
            text = text.removeprefix("\ufeff")
        blocks: list[Block] = []
        position = 0
        while position < len(text):
            if self._is_after_cr:
                self._is_after_cr = False
                if text[position] == "\n":
                    position += 1
                    continue
            end = _LINE_END.search(text, position)
            if end is None:
                self._hold(text[position:])
                break
            self._pieces.append(text[position : end.start()])
            self._is_after_cr = end[0] == "\r"
            position = end.end()
            line = "".join(self._pieces)
            self._pieces.clear()
            block = self._take(line)
            if block is not None:
                blocks.append(block)
        return blocks

    def _hold(self, piece: str) -> None:
        self._pieces.append(piece)
        self._weigh(piece)

    def _weigh(self, piece: str) -> None:
        self._held += len(piece)
        if self._held > MAX_BLOCK_CHARACTERS:
            raise Blocked(f"a block of the stream has more than {MAX_BLOCK_CHARACTERS} characters")

    def _take(self, line: str) -> Block | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._weigh(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id, self._has_id = value, True
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value[:9])
        return None

    def _dispatch(self) -> Block | None:
        block = None
        self.last_event_id = self._id
        # An empty ``data:`` leaves an empty line in the buffer, and that is dispatched; no ``data`` at all is not.
        if self._data:
            block = Block(self._type or "message", "\n".join(self._data), self.last_event_id, self._has_id)
        elif self._has_id:
            block = Block(self._type or "message", None, self.last_event_id, True)
        self._clear()
        return block

    def _clear(self) -> None:
        self._data: list[str] = []
        self._type = ""
        self._id = self.last_event_id
        self._has_id = False
        self._held = 0
