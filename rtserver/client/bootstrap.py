"""Where a client begins: the snapshot, what was said before, and from which cursor it goes on (DESIGN 4.2, 5)."""

from __future__ import annotations

from typing import Any

from rtserver.client.answer import Answer
from rtserver.client.api import HISTORY_PAGE, Api
from rtserver.client.errors import Blocked, ClientError
from rtserver.client.inbox import Inbox
from rtserver.client.machine import Event
from rtserver.client.position import BEGINNING, event_of_item
from rtserver.client.position import Event as SessionEvent
from rtserver.client.verdict import Verdict, judge, judge_error

EARLIEST, NOW = "earliest", "now"


class Bootstrap:
    """Asked until it `is_done`.  ``snapshot`` is the session as it was then."""

    def __init__(self, api: Api, inbox: Inbox, start: str, history: int) -> None:
        """``start`` is `EARLIEST`, `NOW` or a cursor; ``history`` how many messages come first, with `NOW`."""
        self.is_done = False
        self.snapshot: dict[str, Any] = {}
        self._api = api
        self._inbox = inbox
        self._start = start
        self._history = history

    async def ask(self) -> Verdict:
        """Ask for the snapshot, and the history if it is wanted; `Event.OK` once the client knows where it is."""
        try:
            answer = await self._api.snapshot()
            verdict = judge(answer)
            if verdict.event is not Event.OK:
                return verdict
            snapshot = answer.json()
            messages: list[SessionEvent] = []
            cursor = {EARLIEST: BEGINNING, NOW: str(snapshot["lastEventId"])}.get(self._start, self._start)
            if self._history:
                found = await read_history(self._api, self._history)
                if isinstance(found, Verdict):
                    return found
                messages, cursor = found
        except KeyError:
            return Verdict(Event.PAGE, "the snapshot is not the server's")
        except ClientError as error:
            return judge_error(error)
        await self._inbox.begin(messages, cursor)
        self.snapshot, self.is_done = snapshot, True
        return verdict


async def read_history(api: Api, count: int, before: str | None = None) -> tuple[list[SessionEvent], str] | Verdict:
    """Return the last ``count`` messages, oldest first, and the session's end when the first page was read."""
    messages: list[SessionEvent] = []
    end = ""
    while True:
        answer: Answer = await api.messages(min(count - len(messages), HISTORY_PAGE), before)
        verdict = judge(answer)
        if verdict.event is not Event.OK:
            return verdict
        page = answer.json()
        try:
            messages += [event_of_item(item) for item in page["messages"]]
            end = end or str(page["lastEventId"])
            before = page["next"]
        except (KeyError, TypeError) as error:
            raise Blocked(f"a page of messages is not the server's: {error!r}") from None
        if not page.get("hasMore") or len(messages) >= count:
            return messages[::-1], end
