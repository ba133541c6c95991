"""``rtserver tail`` and ``rtserver publish`` as people type them, against the real server."""

import asyncio
import json
import os
import signal
import subprocess

import pytest

from rtserver import client
from rtserver.commands import following
from rtserver.errors import StartRefused
from tests.http import request
from tests.process import COMMAND, ServerProcess, environment, run
from tests.proxy import ForwardProxy


@pytest.fixture
def server(tmp_path):
    with ServerProcess(tmp_path / "data") as server:
        body = json.dumps({"sessionId": "s", "participants": [{"participantId": "alice"}]}).encode()
        created = asyncio.run(request(server.port, "POST", "/api/sessions", server.headers("service"), body))
        assert created.status == 201
        yield server


def token(server, who="alice"):
    return server.headers(who)["Authorization"].removeprefix("Bearer ")


class Started:
    """A command that runs."""

    def __init__(self, *arguments, **variables):
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment() | variables,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.process.kill()
        self.process.communicate()

    def says(self, words):
        """Wait until it says this on standard error."""
        said = ""
        while words not in said:
            line = self.process.stderr.readline()
            assert line, said
            said += line

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return (*self.process.communicate(timeout=20), self.process.returncode)


def publish(server, *arguments, **options):
    return run("publish", "s", "--url", server.url, "--token", token(server), *arguments, **options)


def test_what_is_published_is_tailed_a_line_each(server):
    with Started("tail", "s", "--url", server.url, "--data-dir", str(server.data_dir), "--sub", "alice") as tail:
        tail.says("live by sse")
        published = publish(server, "--content", "Good morning")
        shown = tail.process.stdout.readline()
        rest, said, status = tail.end()

    assert (published.returncode, published.stderr) == (0, "")
    sequence, timestamp, type, data = shown.rstrip("\n").split("\t")
    assert (sequence, type, json.loads(data)["content"]) == ("2", "message_added", "Good morning")
    assert timestamp.endswith("Z")
    assert (rest, status) == ("", 0)
    assert "stopped" in said and "Traceback" not in said


@pytest.mark.parametrize("tier", ["sse", "long-poll", "short-poll"])
def test_a_tail_begins_where_it_is_told_by_the_tier_it_is_told_and_ends_after_so_many(server, tier):
    for n in range(3):
        publish(server, "--content", f"m{n}")
    options = ("--url", server.url, "--token", token(server), "--tier", tier, "--json", "--quiet")
    everything = run("tail", "s", *options, "--from", "earliest", "--count", "4")
    events = [json.loads(line) for line in everything.stdout.splitlines()]
    rest = run("tail", "s", *options, "--from", events[1]["id"], "--count", "2")

    assert (everything.returncode, everything.stderr) == (0, "")
    assert [event["sequence"] for event in events] == [1, 2, 3, 4]
    assert [json.loads(line) for line in rest.stdout.splitlines()] == events[2:]


def test_only_types_that_are_asked_for_are_shown(server):
    publish(server, "--content", "not this")
    options = ("--url", server.url, "--token", token(server), "--from", "earliest", "--count", "1", "--json")
    shown = run("tail", "s", *options, "--types", "participant_joined,note")

    assert json.loads(shown.stdout)["type"] == "participant_joined"


def test_ids_are_printed_once_durable_and_a_repeat_prints_the_same(server):
    first = publish(server, "--data", '{"content": "once"}', "--message-id", "m1")
    again = publish(server, "--data", '{"content": "once"}', "--message-id", "m1")
    note = publish(server, "--type", "note", "--data", '{"n": 1}')
    passing = publish(server, "--type", "typing_indicator", "--data", '{"isTyping": true}')

    assert first.stdout == again.stdout and len(first.stdout) == 37
    # Participants publish what people say.
    assert (note.returncode, note.stdout, note.stderr.count("\n")) == (1, "", 1)
    assert passing.stdout == "-\n"


def test_lines_of_standard_input_are_published_in_order(server):
    published = publish(server, "-", input="one\n\ntwo\nthree")
    options = ("--url", server.url, "--token", token(server), "--from", published.stdout.split()[0], "--json")
    shown = run("tail", "s", *options, "--count", "2")

    assert len(published.stdout.splitlines()) == 3
    assert [json.loads(line)["data"]["content"] for line in shown.stdout.splitlines()] == ["two", "three"]


def test_lines_are_published_as_they_come(server):
    with Started("publish", "s", "--url", server.url, "--token", token(server), "-") as publishing:
        for n in range(2):
            publishing.process.stdin.write(f"m{n}\n")
            publishing.process.stdin.flush()
            assert len(publishing.process.stdout.readline()) == 37
        _, said, status = publishing.end()

    assert (said, status) == ("", 130)


def test_the_token_may_come_from_an_option_a_file_the_environment_or_the_data_directory(server, tmp_path):
    (tmp_path / "token").write_text(token(server) + "\n")
    options = ("publish", "s", "--url", server.url, "--content", "x")
    for arguments, variables in (
        (("--token-file", str(tmp_path / "token")), {}),
        ((), {"RTSERVER_TOKEN": token(server) + "\r\n"}),
        (("--token", token(server) + "\n"), {}),
        (("--data-dir", str(server.data_dir)), {}),
        (("--data-dir", str(server.data_dir), "--sub", "alice"), {}),
    ):
        with Started(*options, *arguments, **variables) as publishing:
            shown, said = publishing.process.communicate(timeout=20)
        assert (said, len(shown)) == ("", 37), arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tail", "s"), "a token is needed"),
        (("tail", "a b", "--token", "x"), "'a b' cannot be the id of a session"),
        (("tail", "s", "--token", "x", "--url", "127.0.0.1:8080"), "is no address of a server"),
        (("tail", "s", "--token", "x", "--from", "yesterday"), "start is 'yesterday'"),
        (("tail", "s", "--token", "x", "--proxy", "socks5://u:secret@p:1"), "is no proxy"),
        (("tail", "s", "--token-file", "missing"), "missing cannot be read: No such file or directory"),
        (("tail", "s", "--token", "x\ty"), "the token holds '\\t'"),
        (("tail", "s", "--token-file", os.devnull), f"{os.devnull} holds no token"),
        (("tail", "s", "--data-dir", "missing"), "missing holds no secret"),
        (("tail", "s", "--token", "x", "--url", "https://a", "--ca", "missing"), "missing holds no certificates"),
        (("publish", "s", "--token", "x", "--data", "[1]"), "'[1]' is not a JSON object"),
        (("publish", "s", "--token", "x", "--data", "{"), "'{' is not a JSON object"),
    ],
)
def test_what_is_used_wrongly_is_said_in_one_line_with_status_2(tmp_path, arguments, words):
    refused = run(*arguments, cwd=tmp_path)

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert words in refused.stderr and "secret@" not in refused.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [("publish", "s"), ("publish", "s", "--content", "a", "--data", "{}"), ("tail",), ("tail", "s", "--count", "0"),
     ("tail", "s", "--tier", "carrier pigeon")],
)  # fmt: skip
def test_a_command_line_that_is_none_has_status_2(arguments):
    refused = run(*arguments)

    assert refused.returncode == 2
    assert refused.stderr.startswith("usage: rtserver")


def test_what_the_server_refuses_is_said_in_one_line_with_status_1(server):
    stranger = ("--token", token(server, "carol"))
    for arguments, words in (
        (("tail", "s", *stranger), "not a participant"),
        (("publish", "s", *stranger, "--content", "x"), "not a participant"),
        (("publish", "s", "--token", "nonsense", "--content", "x"), "token"),
        (("publish", "s", "--token", token(server), "--data", '{"content": 7}'), "content"),
    ):
        refused = run(*arguments, "--url", server.url, *(["--quiet"] if arguments[0] == "tail" else []))
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1), refused
        assert words in refused.stderr


def test_what_cannot_be_published_in_time_is_said_with_the_reason(server):
    server.kill()
    late = publish(server, "--content", "x", "--timeout", "0.5")

    assert (late.returncode, late.stdout) == (1, "")
    assert (
        late.stderr
        == f"rtserver: not published within 0.5 s: 127.0.0.1:{server.port} cannot be reached: connection refused\n"
    )


async def test_both_go_through_a_proxy(server):
    async with ForwardProxy("alice", "secret") as proxy:
        options = ("s", "--url", f"http://rt.example:{server.port}", "--token", token(server), "--proxy", proxy.url)
        published = await asyncio.to_thread(run, "publish", *options, "--content", "hello")
        tailed = await asyncio.to_thread(run, "tail", *options, "--from", "earliest", "--count", "2", "--json")

    assert published.stdout.strip() == json.loads(tailed.stdout.splitlines()[1])["id"]
    assert {asked.method for asked in proxy.asked} == {"GET", "POST"}


def test_what_would_steer_a_terminal_is_shown_escaped(server):
    publish(server, "--data", '{"content": "a\\u001b[31m\\u009b31m\\u007f"}')
    options = ("--url", server.url, "--token", token(server), "--from", "earliest", "--types", "message_added")
    for more in ((), ("--json",)):
        shown = run("tail", "s", *options, "--count", "1", *more).stdout
        assert "\\u001b[31m\\u009b31m\\u007f" in shown
        assert not any(
            character < " " or "\x7f" <= character <= "\x9f" for character in shown.replace("\n", "").replace("\t", "")
        )


STEERING = "\x1b]0;x\x07\x9b2J\r\n\x7f"
ESCAPED = "\\u001b]0;x\\u0007\\u009b2J\\u000d\\u000a\\u007f"


def test_what_the_network_says_does_not_steer_a_terminal(capsys):
    async def fail(error):
        raise error

    following._show_status(client.Status("blocked", reason=f"an answer {STEERING}"))
    following._show_reset(client.Reset(STEERING, None, None, STEERING))
    for error in (client.Refused(403, "", STEERING), TimeoutError(STEERING)):
        assert following._run(fail(error), interrupted=0) == 1
    with pytest.raises(StartRefused) as refused:
        following._run(fail(client.Misused(STEERING)), interrupted=0)

    assert capsys.readouterr().err.splitlines() == [
        f"rtserver: blocked (an answer {ESCAPED})",
        f"rtserver: a gap ({ESCAPED}): events before {ESCAPED} may be missing",
        f"rtserver: {ESCAPED}",
        f"rtserver: {ESCAPED}",
    ]
    assert str(refused.value) == ESCAPED


def test_an_event_is_one_line_of_four_columns_whatever_is_in_it():
    event = client.Event(f"a\t{STEERING}", {"n": STEERING}, STEERING, "id", 7)

    assert following._line(event, is_json=False) == (
        f'7\t{ESCAPED}\ta\\u0009{ESCAPED}\t{{"n":"\\u001b]0;x\\u0007\\u009b2J\\r\\n\\u007f"}}'
    )


def test_a_reader_that_has_gone_ends_a_tail_quietly(server):
    with Started("tail", "s", "--url", server.url, "--token", token(server), "--from", "earliest", "--quiet") as tail:
        tail.process.stdout.readline()
        tail.process.stdout.close()
        publish(server, "--content", "nobody reads this")
        assert tail.process.wait(timeout=20) == 141
        assert tail.process.stderr.read() == ""


def test_no_token_is_ever_shown(server):
    secret = token(server)
    with Started("tail", "s", "--url", server.url, RTSERVER_TOKEN=secret) as tail:
        tail.says("live by sse")
        shown, said, _ = tail.end()
    assert secret not in shown + said
    assert os.environ.get("RTSERVER_TOKEN") is None


@pytest.mark.parametrize("command", ["tail", "publish"])
def test_help_teaches_with_examples(command):
    shown = run(command, "--help").stdout

    assert "examples:" in shown and f"rtserver {command} case-1" in shown
