"""P3: a gap is said, in the same words on every tier, and there are no false alarms."""

import uuid

import pytest

from rtserver.cursor import encode_id, parse_cursor
from tests.http import request
from tests.readers import sequence_of

FOREIGN = [str(uuid.UUID(int=0)), "8df38f48-1cdf-46f9-95c3-c50739799481", "01997a0e-5a00-7fff-8000-000000000001"]


class Told:
    """How a tier answers a cursor: a reset with its new cursor, or the sequences that follow."""

    def __init__(self, reset, cursor, sequences):
        self.reset = reset
        self.cursor = cursor
        self.sequences = sequences


async def ask_sse(api, query, session_id="s", count=0):
    async with api.stream(query, session_id=session_id, who="service") as stream:
        assert stream.status == 200
        connected = await stream.next()
        assert connected.type == "connected"
        sequences, cursor = [], connected.id
        if connected.id is None:
            # Left out, so that a reader cut off here comes back with its old cursor.
            reset = await stream.next()
            assert reset.type == "reset"
            return Told(reset.data, reset.id, [])
        for _ in range(count):
            event = await stream.durable()
            sequences.append(sequence_of(event.id))
            cursor = event.id
        return Told(None, cursor, sequences)


async def ask_long_poll(api, query, session_id="s", count=0):
    response = await api.poll(f"{query}&timeout=0", session_id=session_id, who="service")
    assert response.headers["last-event-id"]
    if response.status == 204:
        return Told(None, response.headers["last-event-id"], [])
    body = response.json
    assert body["lastEventId"] == response.headers["last-event-id"]
    if "reset" in body:
        assert body["events"] == [] and body["hasMore"] is False
    return Told(body.get("reset"), body["lastEventId"], [event["sequence"] for event in body["events"]])


async def ask_short_poll(api, query, session_id="s", count=0):
    # Where a cursor or an edge is given, that is the position.
    response = await api.poll(f"{query}&since=1970-01-01T00:00:00Z", session_id=session_id, who="service")
    body = response.json
    assert body["lastEventId"] == response.headers["last-event-id"]
    if "reset" in body:
        assert body["updates"] == [] and body["hasMore"] is False
        assert "etag" not in response.headers
    sequences = sorted(event["sequence"] for event in body["updates"])
    return Told(body.get("reset"), body["lastEventId"], sequences)


ASK = {"sse": ask_sse, "long-poll": ask_long_poll, "short-poll": ask_short_poll}


@pytest.fixture(params=ASK)
def ask(request):
    return ASK[request.param]


@pytest.fixture
def trimmed(io_loop, start_server):
    """A session with 12 events of which the first 7 are trimmed; entries by sequence in ``api.entries``."""

    async def start():
        api = await start_server(retention_events=5)
        snapshot = await api.create()
        api.entries = {0: snapshot["lastEventId"]}
        for number in range(10):
            entry = await api.publish(f"m{number}")
            api.entries[entry["sequence"]] = entry["id"]
        await api.trim()
        return api

    return io_loop.asyncio_loop.run_until_complete(start())


def assert_reset(told, api, reason, requested, earliest, end):
    assert told.reset == {"reason": reason, "requested": requested, "earliest": earliest, "lastEventId": end}
    assert told.cursor == end


@pytest.mark.parametrize("sequence", [3, 6])
async def test_a_cursor_before_what_is_kept_is_told_so(trimmed, ask, sequence):
    """P3: from the first event that is not followed without a hole."""
    told = await ask(trimmed, f"lastEventId={trimmed.entries[sequence]}")
    assert_reset(told, trimmed, "trimmed", trimmed.entries[sequence], trimmed.entries[8], trimmed.entries[12])


async def test_a_plain_sequence_before_what_is_kept_is_told_so(trimmed, ask):
    assert_reset(await ask(trimmed, "lastEventId=6"), trimmed, "trimmed", "6", trimmed.entries[8], trimmed.entries[12])


@pytest.mark.parametrize("sequence", [7, 8, 11, 12])
async def test_a_cursor_that_can_be_continued_is_continued(trimmed, ask, sequence):
    """P3: no false alarm, also for the reader whose last event is the newest that was trimmed."""
    told = await ask(trimmed, f"lastEventId={trimmed.entries[sequence]}", count=12 - sequence)
    assert told.reset is None
    assert told.sequences == list(range(sequence + 1, 13))


async def test_the_zero_cursor_of_a_trimmed_session_is_told_so(trimmed, ask):
    snapshot = (await trimmed.get("/sessions/s")).json
    session = trimmed.hub.registry.peek("s")
    zero = encode_id(session.created_at_us, session.epoch, 0)
    told = await ask(trimmed, f"lastEventId={zero}")
    assert_reset(told, trimmed, "trimmed", zero, trimmed.entries[8], snapshot["lastEventId"])


@pytest.mark.parametrize("query", ["from=earliest", "lastEventId=0"])
async def test_earliest_is_the_oldest_kept_and_never_a_gap(trimmed, ask, query):
    told = await ask(trimmed, query, count=5)
    assert told.reset is None
    assert told.sequences == [8, 9, 10, 11, 12]


async def test_an_idle_reader_whose_last_event_was_trimmed_is_up_to_date(start_server, ask):
    """P3: the last id lives in the session's row, also when every event is gone and the server was restarted."""
    api = await start_server(retention_age=0.001)
    await api.create()
    last = (await api.publish("m"))["id"]
    await api.trim()
    await start_server.stop(api)
    api = await start_server(retention_age=0.001)
    told = await ask(api, f"lastEventId={last}")
    assert (told.reset, told.cursor, told.sequences) == (None, last, [])
    snapshot = (await api.get("/sessions/s")).json
    assert (snapshot["lastEventId"], snapshot["lastSequence"]) == (last, 3)


async def test_a_gap_in_a_session_without_events_names_the_end_as_the_earliest(start_server, ask):
    api = await start_server(retention_age=0.001)
    await api.create()
    last = (await api.publish("m"))["id"]
    await api.trim()
    assert_reset(await ask(api, "lastEventId=1"), api, "trimmed", "1", last, last)


async def test_the_cursor_of_a_recreated_session_is_told_so(api, ask):
    """P3: another life has another epoch."""
    old = (await api.publish("m"))["id"]
    await api.request("DELETE", "/sessions/s")
    await api.create()
    await api.publish("n")
    told = await ask(api, f"lastEventId={old}")
    assert told.reset["reason"] == "epoch"
    assert told.reset["requested"] == old


async def test_the_cursor_of_another_session_is_told_so(api, ask):
    other = await api.create("other")
    await api.publish("m")
    told = await ask(api, f"lastEventId={other['lastEventId']}")
    assert told.reset["reason"] == "epoch"


@pytest.mark.parametrize("settings", [{}, {"ring_events": 1}], ids=["ring", "store"])
@pytest.mark.parametrize("sequence", [0, 1, 4, 9])
async def test_a_cursor_whose_time_does_not_match_is_another_life(start_server, ask, settings, sequence):
    """P3: the time within the id is compared wherever the event is: row, ring or store."""
    api = await start_server(**settings)
    await api.create()
    for number in range(7):
        await api.publish(f"m{number}")
    session = api.hub.registry.peek("s")
    ids = {0: encode_id(session.created_at_us, session.epoch, 0)}
    page = await api.poll("from=earliest&timeout=0")
    ids |= {event["sequence"]: event["id"] for event in page.json["events"]}
    right_us = parse_cursor(ids[sequence], "id").timestamp_us
    for offset_us in (-1, 1):
        told = await ask(api, f"lastEventId={encode_id(right_us + offset_us, session.epoch, sequence)}")
        assert told.reset["reason"] == "epoch"
    told = await ask(api, f"lastEventId={ids[sequence]}", count=9 - sequence)
    assert told.reset is None


async def test_a_cursor_beyond_the_end_is_told_so(api, ask):
    session = api.hub.registry.peek("s")
    for cursor in (encode_id(session.last_timestamp_us + 5, session.epoch, 3), "3", str((1 << 40) - 1)):
        told = await ask(api, f"lastEventId={cursor}")
        assert (told.reset["reason"], told.reset["requested"]) == ("ahead", cursor)
        assert told.cursor == session.last_event_id


@pytest.mark.parametrize("cursor", FOREIGN)
async def test_a_uuid_that_is_not_ours_is_told_so(api, ask, cursor):
    assert (await ask(api, f"lastEventId={cursor}")).reset["reason"] == "foreign"


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", str(1 << 40), "9" * 14, FOREIGN[0][:-1], "%00", "%F0%9F%98%80"])
async def test_what_is_no_cursor_is_refused(api, cursor):
    """P7."""
    for path in ("/sessions/s/events", "/sessions/s/updates"):
        response = await api.get(f"{path}?lastEventId={cursor}&timeout=0", who="alice")
        assert (response.status, response.headers["content-type"]) == (400, "application/problem+json")


async def test_the_header_wins_over_the_parameter_and_an_empty_one_counts_as_absent(api, ask):
    first = (await api.publish("m3"))["id"]
    second = (await api.publish("m4"))["id"]
    await api.publish("m5")
    for header, expected in ((second, [5]), ("", [4, 5])):
        headers = api.headers("alice") | {"Last-Event-ID": header}
        response = await request(api.port, "GET", f"/api/sessions/s/updates?lastEventId={first}&timeout=0", headers)
        assert [event["sequence"] for event in response.json["events"]] == expected
        async with api.stream(f"lastEventId={first}", headers={"Last-Event-ID": header}) as stream:
            assert [sequence_of((await stream.durable()).id) for _ in expected] == expected
    assert (await ask(api, "lastEventId=")).cursor == (await api.get("/sessions/s")).json["lastEventId"]


async def test_a_stream_that_retention_overtakes_is_told_in_the_stream(start_server):
    """P3: a reader that is too slow for retention is told of the gap, not skipped ahead in silence."""
    api = await start_server(retention_events=20, ring_events=5, ring_bytes=1024, replay_step=2)
    await api.create()
    for number in range(60):
        await api.publish(f"m{number}" + "x" * 20_000)
    # Nothing is read until the events it waits for are gone.
    async with api.stream("from=earliest", receive_buffer=4096) as stream:
        await api.trim()
        last = (await api.get("/sessions/s")).json["lastEventId"]
        seen, reset = [], None
        while reset is None:
            event = await stream.next()
            if event.type == "reset":
                reset = event
            elif event.id and event.type != "connected":
                seen.append(sequence_of(event.id))
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) < 42
        assert reset.data["reason"] == "trimmed"
        assert reset.id == last
        live = await api.publish("live")
        assert (await stream.durable()).id == live["id"]
