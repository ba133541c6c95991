"""The thread that does blocking work: in order, one by one, and answering on the loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from rtserver.worker import ThreadWorker


@pytest.fixture
def worker(io_loop):
    """A started worker, closed at the end."""

    async def start() -> ThreadWorker:
        return ThreadWorker("test-worker")

    started = io_loop.asyncio_loop.run_until_complete(start())
    yield started
    io_loop.asyncio_loop.run_until_complete(asyncio.wait_for(started.close(), 10))


async def test_call_runs_in_the_one_thread_and_answers_on_the_loop(worker):
    names = [await worker.call(lambda: threading.current_thread().name) for _ in range(3)]
    idents = {await worker.call(threading.get_ident) for _ in range(3)}

    assert names == ["test-worker"] * 3
    assert len(idents) == 1 and threading.get_ident() not in idents


async def test_arguments_and_result_are_passed_on(worker):
    assert await worker.call(divmod, 17, 5) == (3, 2)


@pytest.mark.parametrize("nothing", [None, 0, False, ""])
async def test_call_that_returns_nothing_much_is_answered_too(worker, nothing):
    assert await asyncio.wait_for(worker.call(lambda: nothing), 5) == nothing


async def test_calls_run_one_after_the_other_in_the_order_they_were_made(worker):
    """P2."""
    running, order = [], []

    def run(number: int) -> None:
        assert running == []
        running.append(number)
        order.append(number)
        running.pop()

    await asyncio.gather(*[worker.call(run, number) for number in range(200)])

    assert order == list(range(200))


async def test_answers_come_in_the_order_of_the_calls(worker):
    answered = []
    for number in range(50):
        worker.call(lambda number=number: number).add_done_callback(lambda future: answered.append(future.result()))

    await worker.call(lambda: None)
    await asyncio.sleep(0)

    assert answered == list(range(50))


async def test_loop_is_free_while_a_call_blocks(worker):
    gate = threading.Event()
    blocked = worker.call(gate.wait, 10)

    await asyncio.sleep(0)
    assert not blocked.done()

    gate.set()
    assert await blocked is True


@pytest.mark.parametrize("kind", [ValueError, KeyError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_exception_is_the_callers_and_the_thread_goes_on(worker, kind):
    def fail() -> None:
        raise kind("for the caller")

    with pytest.raises(kind, match="for the caller"):
        await worker.call(fail)

    assert await worker.call(lambda: "alive") == "alive"


async def test_caller_that_gave_up_disturbs_nobody(worker):
    gate, done = threading.Event(), []
    blocking = worker.call(gate.wait, 10)
    given_up = worker.call(done.append, "still done")
    failing = worker.call(lambda: 1 / 0)
    given_up.cancel()
    failing.cancel()

    gate.set()

    assert await blocking is True
    assert await worker.call(lambda: "alive") == "alive"
    assert done == ["still done"], "what was asked for is done: others may count on it"
    assert given_up.cancelled() and failing.cancelled()


async def test_close_finishes_what_was_asked_for(io_loop):
    """P1: what the writer has handed over gets to the disk."""
    worker = ThreadWorker("closing-worker")
    gate, done = threading.Event(), []
    worker.call(gate.wait, 10)
    for number in range(10):
        worker.call(done.append, number)
    closing = asyncio.ensure_future(worker.close())
    await asyncio.sleep(0)
    assert done == []

    gate.set()
    await asyncio.wait_for(closing, 10)

    assert done == list(range(10))
    assert "closing-worker" not in {thread.name for thread in threading.enumerate()}


async def test_idle_worker_holds_nothing_of_its_last_call(worker):
    """P4: a result may be megabytes of events."""

    class Megabytes: ...

    result, argument = Megabytes(), Megabytes()
    references = [weakref.ref(result), weakref.ref(argument)]
    call = worker.call(lambda _, kept=result: kept, argument)
    del argument, result
    assert isinstance(await call, Megabytes)
    del call
    await worker.call(lambda: None)  # by then the thread has put the first call away
    gc.collect()

    assert [reference() for reference in references] == [None, None]


def test_answer_that_comes_after_the_loop_has_closed_is_dropped():
    loop = asyncio.new_event_loop()

    async def start() -> ThreadWorker:
        return ThreadWorker("late-worker")

    worker = loop.run_until_complete(start())
    gate, done = threading.Event(), threading.Event()
    worker.call(gate.wait, 10)
    worker.call(done.set)
    loop.close()

    gate.set()

    assert done.wait(10), "the thread goes on to the next call"
    asyncio.run(worker.close())
    assert "late-worker" not in {thread.name for thread in threading.enumerate()}


async def test_stuck_thread_does_not_keep_the_process(worker):
    assert await worker.call(lambda: threading.current_thread().daemon) is True
