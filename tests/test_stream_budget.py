"""What an idle stream costs, in objects and bytes: counted, so that a machine's noise does not matter (P4)."""

from __future__ import annotations

import asyncio
import gc
import selectors
import sys
from types import FunctionType, ModuleType

from rtserver.session import Session
from rtserver.streams import Streams

# What belongs to all streams together, and where looking for what belongs to one ends.
SHARED = (Session, Streams, asyncio.AbstractEventLoop, selectors.BaseSelector, type, ModuleType, FunctionType)
# 27 objects and 1,721 bytes on Python 3.11; one more of either has to be worth it.
MAX_OBJECTS = 27
MAX_BYTES = 1800
# Of what HTTP has made of the request: none of it is needed once the socket is a stream's.
GONE = {"Connection", "Exchange", "Events", "Request", "Fields", "Head", "Query", "RequestBody", "_Incoming", "Task"}


def owned(stream: object) -> list[object]:
    """Return everything that is only there for this stream."""
    found, waiting = {id(stream): stream}, [stream]
    while waiting:
        for each in gc.get_referents(waiting.pop()):
            is_new = id(each) not in found and not isinstance(each, SHARED)
            if is_new and sys.getrefcount(each) < 1_000_000:  # small numbers, None and the like are everybody's
                found[id(each)] = each
                waiting.append(each)
    return list(found.values())


async def test_an_idle_stream_is_a_few_small_objects(api):
    async with api.stream() as reader, api.stream() as other:
        for each in (reader, other):
            await each.until("probe")
        one, two = api.hub.registry.peek("s").streams
        shared = {id(each) for each in owned(two)}
        own = [each for each in owned(one) if id(each) not in shared]
        names = sorted(type(each).__name__ for each in own)
        assert "Stream" in names and "SocketSink" in names
        assert not GONE & set(names), names
        assert len(own) <= MAX_OBJECTS, names
        assert sum(sys.getsizeof(each) for each in own) <= MAX_BYTES, names
