"""Readers for the delivery suite: one interface, one class per tier, each recording into a `ReaderLog`.

A reader starts from a cursor and keeps the newest; any other reader can take over from it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from rtserver.cursor import Cursor, decode_id, parse_cursor
from rtserver.event import format_timestamp
from tests.checker import ReaderLog
from tests.conftest import Api
from tests.http import Connection

CONTROL = {"connected", "probe", "heartbeat", "reset", "reconnect"}


def sequence_of(cursor: str) -> int:
    place = parse_cursor(cursor, "cursor")
    assert isinstance(place, Cursor)
    return place.sequence


class SseReader:
    tier = "sse"
    headers: dict[str, str] = {}

    def __init__(self, api: Api, log: ReaderLog, cursor: str, *, session_id: str = "s", who: str = "alice") -> None:
        self.log = log
        self.cursor = cursor
        self._stream = api.stream(f"lastEventId={cursor}", session_id=session_id, who=who, headers=self.headers)

    async def __aenter__(self) -> SseReader:
        await self._stream.__aenter__()
        assert self._stream.status == 200
        self.log.began(sequence_of(self.cursor))
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._stream.close()

    async def read(self) -> bool:
        """Take in the next event; False when the stream has ended."""
        event = await self._stream.next()
        if event is None:
            return False
        if event.type == "reset":
            assert event.id is not None
            self.cursor = event.id
            self.log.told_of_gap(event.data["reason"], sequence_of(event.id))
        elif event.type not in CONTROL and event.id is not None:
            self.cursor = event.id
            self.log.saw(sequence_of(event.id), event.id, uid_of(event.type, event.data))
        return True


class GzipReader(SseReader):
    """Reads a stream that the server gzips, if its settings say so."""

    tier = "sse-gzip"
    headers = {"Accept-Encoding": "gzip"}


class LongPollReader:
    tier = "long-poll"

    def __init__(self, api: Api, log: ReaderLog, cursor: str, *, session_id: str = "s", who: str = "alice") -> None:
        self.log = log
        self.cursor = cursor
        self._api = api
        self._session_id = session_id
        self._who = who
        self._connection = Connection(api.port)

    async def __aenter__(self) -> LongPollReader:
        await self._connection.__aenter__()
        self.log.began(sequence_of(self.cursor))
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._connection.close()

    async def read(self) -> bool:
        """Take in the next answer; False when the connection was closed instead."""
        query = f"lastEventId={self.cursor}&timeout=5&limit=7"
        try:
            response = await self._api.poll(
                query, session_id=self._session_id, who=self._who, connection=self._connection
            )
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        if response.status == 503:
            return False
        assert response.status in (200, 204), response
        if response.status == 200:
            for item in response.json["events"]:
                if "id" in item:
                    self.log.saw(item["sequence"], item["id"], uid_of(item["type"], item["data"]))
            self.cursor = response.json["lastEventId"]
            if "reset" in response.json:
                self.log.told_of_gap(response.json["reset"]["reason"], sequence_of(self.cursor))
        return True


class ShortPollReader(LongPollReader):
    """Polls as our clients do: with ``since`` verbatim, the cursor beside it, and what the headers validate."""

    tier = "short-poll"

    def __init__(self, api: Api, log: ReaderLog, cursor: str, *, session_id: str = "s", who: str = "alice") -> None:
        super().__init__(api, log, cursor, session_id=session_id, who=who)
        # Beside a cursor its moment does not count, but says that this is a short poll.
        self._since = format_timestamp(0 if cursor.isdigit() else decode_id(cursor).timestamp_us)
        self._validators: dict[str, str] = {}

    async def read(self) -> bool:
        """Take in the next page; False when the connection was closed instead."""
        try:
            response = await self._api.poll(
                f"since={self._since}&lastEventId={self.cursor}&limit=7",
                session_id=self._session_id,
                who=self._who,
                connection=self._connection,
                headers=self._validators,
            )
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        if response.status == 503:
            return False
        if response.status == 304:
            await asyncio.sleep(0.002)
            return True
        assert response.status == 200, response
        page = response.json
        # Within the page the order is by priority.
        for item in sorted((item for item in page["updates"] if "id" in item), key=lambda item: item["sequence"]):
            self.log.saw(item["sequence"], item["id"], uid_of(item["type"], item["data"]))
        self.cursor, self._since = page["lastEventId"], page["lastModified"]
        if "reset" in page:
            self.log.told_of_gap(page["reset"]["reason"], sequence_of(self.cursor))
        self._validators = {
            name: response.headers[field]
            for name, field in (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
            if field in response.headers
        }
        return True


READERS = {reader.tier: reader for reader in (SseReader, GzipReader, LongPollReader, ShortPollReader)}
TIERS = list(READERS)


def uid_of(type: str, data: dict[str, Any]) -> str:
    """Return what makes an event known again: the content of a message, else its type and participant."""
    return data["content"] if type == "message_added" else f"{type}:{data.get('participantId')}"
