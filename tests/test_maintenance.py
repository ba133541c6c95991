"""What goes on in the background: retention, keys, deleted sessions, space."""

import sqlite3
import time

import pytest

from rtserver.maintenance import DAY_US, STEP_ROWS
from rtserver.schema import DATABASE_NAME
from tests.conftest import until


def count(tmp_path, table):
    connection = sqlite3.connect(tmp_path / "data" / DATABASE_NAME)
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        connection.close()


async def publish_batch(api, size, session_id="s"):
    events = [{"type": "x", "data": {"n": n}} for n in range(size)]
    answer = await api.post(f"/sessions/{session_id}/events", {"events": events})
    assert answer.status == 201


@pytest.mark.parametrize("total", [9, 10, 11])
async def test_so_many_events_of_a_session_are_kept(start_server, tmp_path, total):
    api = await start_server(retention_events=10)
    await api.create(people=("alice",))
    for number in range(total - 1):
        await api.publish(f"m{number}")
    await api.trim()
    assert count(tmp_path, "events") == min(total, 10)
    assert api.hub.registry.peek("s").trimmed_sequence == max(0, total - 10)


async def test_retention_goes_on_in_small_steps_until_it_has_caught_up(start_server, tmp_path):
    api = await start_server(retention_events=10)
    await api.core.maintenance.close()  # the background task; the steps are taken here
    await api.create()
    for _ in range(2 * STEP_ROWS // 100 + 1):
        await publish_batch(api, 100)
    session = api.hub.registry.peek("s")
    last, steps = session.last_sequence, []
    while session.trimmed_sequence < last - 10:
        before = session.trimmed_sequence
        await api.core.maintenance.step()
        steps.append(session.trimmed_sequence - before)
    assert max(steps) <= STEP_ROWS and len(steps) == 3
    assert count(tmp_path, "events") == 10


async def test_retention_reaches_sessions_that_nobody_uses(start_server, tmp_path):
    """Also those that outgrew a limit that was set lower later."""
    api = await start_server()
    for name in ("a", "b"):
        await api.create(name)
        await publish_batch(api, 20, name)
    await start_server.stop(api)
    api = await start_server(retention_events=5)
    await api.trim()
    assert count(tmp_path, "events") == 10
    for name in ("a", "b"):
        page = await api.poll("from=earliest&timeout=0", session_id=name, who="service")
        assert [event["sequence"] for event in page.json["events"]] == [18, 19, 20, 21, 22]


async def test_events_older_than_the_age_go_and_younger_stay(start_server, tmp_path):
    api = await start_server(retention_age=3600)
    await api.create()
    await publish_batch(api, 10)
    connection = sqlite3.connect(tmp_path / "data" / DATABASE_NAME)
    connection.execute("UPDATE events SET timestamp_us = timestamp_us - 3601000000 WHERE sequence <= 7")
    connection.commit()
    connection.close()
    await api.trim()
    assert api.hub.registry.peek("s").trimmed_sequence == 7
    assert count(tmp_path, "events") == 5


async def test_trimmed_events_leave_memory_too(start_server):
    api = await start_server(retention_events=5)
    await api.create()
    await publish_batch(api, 20)
    await api.trim()
    ring = api.hub.registry.peek("s").ring
    assert (len(ring), ring.evicted_through) == (5, 17)


async def test_zero_keeps_everything(start_server, tmp_path):
    api = await start_server(retention_events=0, retention_age=0)
    await api.create()
    await publish_batch(api, 100)
    await api.core.maintenance.step()
    assert count(tmp_path, "events") == 102


async def test_a_key_lives_as_long_as_its_event(start_server, tmp_path):
    """And at least a day: a repeat after the event was trimmed is still a repeat."""
    api = await start_server(retention_events=3)
    await api.create()
    message = {"type": "message_added", "messageId": "m1", "data": {"content": "x"}}
    first = (await api.post("/sessions/s/events", message, who="alice")).json
    for _ in range(2):
        await publish_batch(api, 5)
    await api.trim()
    again = (await api.post("/sessions/s/events", message, who="alice")).json
    assert again["events"][0] == first["events"][0] | {"replayed": True}

    age_keys(tmp_path, DAY_US + 1_000_000)
    await api.core.maintenance.step()
    assert count(tmp_path, "keys") == 0
    # A new event now; it would not be right to keep every key for ever.
    assert "replayed" not in (await api.post("/sessions/s/events", message, who="alice")).json["events"][0]


async def test_an_old_key_of_a_kept_event_stays(start_server, tmp_path):
    api = await start_server()
    await api.create()
    message = {"type": "message_added", "messageId": "m1", "data": {"content": "x"}}
    await api.post("/sessions/s/events", message, who="alice", headers={"Idempotency-Key": "k"})
    age_keys(tmp_path, 10 * DAY_US)
    await api.core.maintenance.step()
    assert count(tmp_path, "keys") == 2


def age_keys(tmp_path, by_us):
    connection = sqlite3.connect(tmp_path / "data" / DATABASE_NAME)
    connection.execute("UPDATE keys SET timestamp_us = timestamp_us - ?", (by_us,))
    connection.commit()
    connection.close()


async def test_what_a_deleted_session_held_is_removed_in_steps(start_server, tmp_path):
    api = await start_server()
    for name in ("gone", "kept"):
        await api.create(name)
        await publish_batch(api, 100, name)
        message = {"type": "message_added", "messageId": "m1", "data": {"content": "x"}}
        await api.post(f"/sessions/{name}/events", message, who="alice")
    await api.request("DELETE", "/sessions/gone")
    assert count(tmp_path, "sessions") == 1
    assert count(tmp_path, "participants") == 2
    await start_server.stop(api)
    # A crash in between changes nothing: what is to go is written down.
    api = await start_server()
    await until(lambda: count(tmp_path, "doomed") == 0)
    assert (count(tmp_path, "events"), count(tmp_path, "keys")) == (103, 1)


async def test_space_that_retention_frees_is_given_back(start_server, tmp_path):
    api = await start_server(retention_events=10)
    await api.core.maintenance.close()
    await api.create()
    for _ in range(400):
        await api.publish("x" * 40_000)
    await until(lambda: (tmp_path / "data" / DATABASE_NAME).stat().st_size > 10 << 20)
    await api.trim()
    for _ in range(60):
        await api.core.maintenance.step()
    await start_server.stop(api)
    assert (tmp_path / "data" / DATABASE_NAME).stat().st_size < 10 << 20


async def test_a_deleted_sessions_name_is_free_and_its_events_do_not_come_back(api, tmp_path):
    await api.publish("secret")
    await api.request("DELETE", "/sessions/s")
    await api.create()
    page = await api.poll("from=earliest&timeout=0")
    assert [event["type"] for event in page.json["events"]] == ["participant_joined"] * 2
    start = time.monotonic()
    await until(lambda: count(tmp_path, "doomed") == 0)
    assert time.monotonic() - start < 10
    assert count(tmp_path, "events") == 2
