"""Events by sse-starlette on uvicorn: a queue for each stream."""

import asyncio
import sys
from collections.abc import AsyncIterator

import uvicorn
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

queues: set[asyncio.Queue[str]] = set()


async def stream(request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[dict[str, str]]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues.add(queue)
        try:
            yield {"event": "connected", "data": "{}"}
            while True:
                yield {"event": "message", "data": await queue.get()}
        finally:
            queues.discard(queue)

    return EventSourceResponse(events())


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for queue in queues:
        queue.put_nowait(text)
    return Response(status_code=201)


app = Starlette(routes=[Route("/stream", stream), Route("/publish", publish, methods=["POST"])])
uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="critical",
    access_log=False,
    backlog=4096,
    timeout_keep_alive=300,  # publishers keep their connections, as with the others; 5 s would close idle ones
)
