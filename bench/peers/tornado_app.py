"""Events by a plain Tornado handler: a queue for each stream, write and flush; and one that answers at once."""

import asyncio
import sys

from tornado.web import Application, RequestHandler

queues: set[asyncio.Queue[bytes]] = set()


class Stream(RequestHandler):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.add(queue)
        try:
            self.write("event: connected\ndata: {}\n\n")
            await self.flush()
            while True:
                self.write(await queue.get())
                await self.flush()
        finally:
            queues.discard(queue)


class Publish(RequestHandler):
    def post(self) -> None:
        frame = b"event: message\ndata: %b\n\n" % self.request.body
        for queue in queues:
            queue.put_nowait(frame)
        self.set_status(201)


class Updates(RequestHandler):
    """What has not changed: Tornado makes the tag of the answer, and a 304 of it."""

    def get(self) -> None:
        self.write({"updates": []})


async def main() -> None:
    routes = [("/stream", Stream), ("/publish", Publish), ("/updates", Updates)]
    Application(routes, log_function=lambda handler: None).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
