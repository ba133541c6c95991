"""The program as an operator meets it: starting, refusing, ending."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import time

import pytest

from rtserver import config, schema
from tests.http import SseStream, request
from tests.process import COMMAND, ServerProcess, environment, run


async def create(server, session_id="s", people=("alice",)):
    body = json.dumps({"sessionId": session_id, "participants": [{"participantId": person} for person in people]})
    response = await request(server.port, "POST", "/api/sessions", server.headers("service"), body.encode())
    assert response.status == 201, response.body


async def publish(server, content, who="alice"):
    body = json.dumps({"type": "message_added", "data": {"content": content}}).encode()
    return await request(server.port, "POST", "/api/sessions/s/events", server.headers(who), body)


async def test_it_says_when_it_is_ready_serves_and_ends_cleanly_at_sigterm(tmp_path):
    with ServerProcess(tmp_path) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert (await request(server.port, "GET", "/healthz")).status == 200
        await create(server)
        assert (await publish(server, "hello")).status == 201
        status, logged = server.stop()
    assert status == 0, logged
    assert "Traceback" not in logged
    # Everything is in the main file: the log is gone.
    assert not (tmp_path / "rtserver.db-wal").exists()


async def test_sigterm_tells_streams_why_and_releases_polls(tmp_path):
    """P5."""
    with ServerProcess(tmp_path, "--drain-seconds", "1") as server:
        await create(server)
        async with SseStream(server.port, "/api/sessions/s/events", server.headers("alice")) as stream:
            await stream.until("connected")
            poll = asyncio.create_task(request(server.port, "GET", "/api/sessions/s/updates", server.headers("alice")))
            # The poll's request must have been read before the signal: a later answer proves that.
            await request(server.port, "GET", "/healthz")
            server.process.send_signal(signal.SIGTERM)
            assert (await poll).status == 503
            assert (await stream.until("reconnect")).data == {"reason": "shutdown"}
            assert stream.retry
        assert server.wait()[0] == 0


async def test_publishes_in_flight_at_sigterm_are_answered(tmp_path):
    """P1."""
    with ServerProcess(tmp_path) as server:
        await create(server)
        publishes = [asyncio.create_task(publish(server, f"m{n}")) for n in range(50)]
        await publishes[0]
        server.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*publishes, return_exceptions=True)
        assert server.wait()[0] == 0
    accepted = [answer.json["events"][0]["id"] for answer in answers if not isinstance(answer, Exception)]
    stored = sqlite3.connect(tmp_path / "rtserver.db").execute("SELECT count(*) FROM events").fetchone()[0]
    assert len(accepted) >= 1
    assert stored >= 1 + len(accepted)


def test_a_second_server_on_the_same_data_refuses_with_one_line(tmp_path):
    with ServerProcess(tmp_path):
        second = run("serve", "--data-dir", str(tmp_path), "--port", "0")
        assert second.returncode == 2
        assert second.stdout == ""
        assert second.stderr.count("\n") == 1
        assert "in use by another rtserver" in second.stderr


def test_an_address_that_is_taken_is_refused_with_one_line(tmp_path):
    with ServerProcess(tmp_path / "a") as server:
        second = run("serve", "--data-dir", str(tmp_path / "b"), "--port", str(server.port))
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert f"port {server.port}" in second.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_server_on_all_addresses_answers_on_both_families(tmp_path, address):
    with ServerProcess(tmp_path, "--host", "::") as server:
        reader, writer = await asyncio.open_connection(address, server.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()


def database_of(path, version=schema.VERSION, application=schema.APPLICATION_ID):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute(f"PRAGMA application_id = {application}")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"my only copy of something"), "not an SQLite database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000), "another program"),
        (lambda path: database_of(path, application=0), "another program"),
        (lambda path: database_of(path, version=schema.VERSION + 1), "newer rtserver"),
    ],
    ids=["garbage", "broken", "foreign", "newer"],
)
def test_a_database_that_is_not_ours_is_refused_and_left_untouched(tmp_path, make, words):
    path = tmp_path / schema.DATABASE_NAME
    make(path)
    before = path.read_bytes()
    refused = run("serve", "--data-dir", str(tmp_path), "--port", "0")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and words in refused.stderr
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.db-*"))


@pytest.mark.parametrize(
    "arguments",
    [("--port", "70000"), ("--durability", "maybe"), ("--heartbeat-interval", "x"), ("--ring-events", "0"),
     ("--base-path", "rt"), ("--cors-origins", "example.com"), ("--config", "missing.toml")],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_one_line_that_names_it(tmp_path, arguments):
    refused = run("serve", "--data-dir", str(tmp_path / "data"), *arguments)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    name = arguments[1] if arguments[0] == "--config" else arguments[0].strip("-").replace("-", "_")
    assert name in refused.stderr.replace("-", "_")
    assert not (tmp_path / "data").exists()


def test_a_token_is_printed_alone_and_is_good(tmp_path):
    printed = run("token", "--data-dir", str(tmp_path), "--sub", "alice", "--ttl", "15m")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.count("\n") == 1 and printed.stdout.count(".") == 2
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    with ServerProcess(tmp_path) as server:
        headers = {"Authorization": f"Bearer {printed.stdout.strip()}"}
        assert asyncio.run(request(server.port, "GET", "/api/sessions", headers)).status == 200


@pytest.mark.parametrize("arguments", [("--ttl", "0s"), ("--ttl", "5 weeks"), ("--sub", "a b"), ("--sub", "..")])
def test_a_token_that_makes_no_sense_is_refused_with_one_line(tmp_path, arguments):
    given = ("--sub", "alice", *arguments)
    refused = run("token", "--data-dir", str(tmp_path), *given)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


async def test_settings_come_from_flag_environment_and_file_in_this_order(tmp_path):
    (tmp_path / "rt.toml").write_text('heartbeat_interval = 11\nretry_interval = "3s"\nsse_padding = 0\n')
    variables = environment() | {"RTSERVER_HEARTBEAT_INTERVAL": "12", "RTSERVER_RETRY_INTERVAL": "4"}
    settings = config.load({"heartbeat_interval": "13"}, variables, tmp_path / "rt.toml")
    assert (settings.heartbeat_interval, settings.retry_interval, settings.sse_padding) == (13, 4, 0)


async def test_it_serves_ipv6_and_under_a_base_path(tmp_path):
    with ServerProcess(tmp_path, "--host", "::1", "--base-path", "/rt") as server:
        assert server.url == f"http://[::1]:{server.port}/rt"
        reader, writer = await asyncio.open_connection("::1", server.port)
        for path, status in (("/rt/healthz", b"200"), ("/healthz", b"404")):
            writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.split()[1] == status
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        writer.close()


async def test_it_serves_a_unix_socket(tmp_path):
    path = tmp_path / "rt.sock"
    with ServerProcess(tmp_path / "data", "--unix-socket", str(path)) as server:
        assert server.url == f"unix:{path}"
        reader, writer = await asyncio.open_unix_connection(str(path))
        token = server.headers("service")["Authorization"]
        writer.write(f"GET /api/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()


def test_the_demo_prints_lines_that_work(tmp_path):
    """The curl lines are taken from its output as they are."""
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        text = ""
        while "Stop with Ctrl-C" not in text:
            line = demo.stdout.readline()
            assert line, demo.stderr.read()
            text += line
        # A command ends where a line does not end in a backslash.
        lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.startswith("  ")]
        set_up = [line for line in lines if line.startswith(("URL=", "TOKEN="))]
        curls = [line for line in lines if line.startswith("curl")]
        assert len(set_up) == 2 and len(curls) >= 4
        for curl, expected in zip(
            curls, ("event: connected", "200 OK", "Poll-Interval", "lastEventId", "participantCount"), strict=True
        ):
            script = "\n".join([*set_up, curl.replace("curl ", "curl -sS -m 4 ", 1)])
            shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
            assert expected in shown.stdout, (curl, shown)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=10)
    assert demo.returncode == 0


def big_database(path, sessions, events):
    """Write a database of many sessions and events the quick way, with the program's own schema."""
    schema.prepare(path)
    connection = sqlite3.connect(path)
    now = time.time_ns() // 1000
    connection.executemany(
        "INSERT INTO sessions VALUES (?, ?, 'active', '{}', ?, ?, 1, ?, ?, 0, ?)",
        ((n, f"s{n}", now, now, events, now + events, now) for n in range(1, sessions + 1)),
    )
    connection.executemany(
        "INSERT INTO events (session, sequence, timestamp_us, type, data) VALUES (?, ?, ?, 'message_added', ?)",
        ((s, e, now + e, '{"content":"some words of an ordinary length"}')
         for e in range(1, events + 1) for s in range(1, sessions + 1)),
    )  # fmt: skip
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def start_cost(data_dir):
    """Return seconds to ready and resident bytes then."""
    start = time.monotonic()
    with ServerProcess(data_dir) as server:
        seconds = time.monotonic() - start
        asyncio.run(request(server.port, "GET", "/healthz"))
        return seconds, server.resident_bytes()


def test_a_start_on_a_million_events_is_as_quick_and_small_as_an_empty_one(tmp_path):
    """P4: under 2 s, at most 20 MB more; sessions are loaded when somebody asks."""
    (tmp_path / "big").mkdir()
    big_database(tmp_path / "big" / schema.DATABASE_NAME, sessions=1000, events=1000)
    _, empty_bytes = start_cost(tmp_path / "empty")
    seconds, full_bytes = start_cost(tmp_path / "big")
    assert seconds < 2
    assert full_bytes - empty_bytes < 20 << 20
