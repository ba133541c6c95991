"""A command ends with everything it started."""

import os
import time

from tests.command import run
from tests.conftest import until


def test_a_command_says_how_it_ended_and_what_it_showed(tmp_path):
    ran = run(["sh", "-c", "echo one; echo two >&2; exit 3"], 10, tmp_path)
    assert (ran.status, ran.shown, ran.last_line) == (3, "one\ntwo\n", "two")


def test_a_command_reads_what_is_typed_and_then_the_end(tmp_path):
    assert run(["cat"], 10, tmp_path, typed="hello\n").shown == "hello\n"
    assert run(["cat"], 10, tmp_path).shown == ""


def test_a_command_that_shows_nothing_has_a_last_line_all_the_same(tmp_path):
    assert run(["true"], 10, tmp_path).last_line == "(nothing was shown)"


async def test_when_its_time_is_over_everything_a_command_started_ends_with_it(tmp_path):
    began_at = time.monotonic()
    ran = run(["sh", "-c", "sleep 60 & echo $!; wait"], 0.3, tmp_path)
    assert ran.status is None
    assert time.monotonic() - began_at < 10
    child = int(ran.last_line)
    await until(lambda: not is_running(child))


def test_what_lives_on_behind_a_command_that_ended_keeps_nobody_waiting(tmp_path):
    began_at = time.monotonic()
    ran = run(["sh", "-c", "sleep 30 & echo $!"], 20, tmp_path)
    assert ran.status == 0
    assert time.monotonic() - began_at < 10
    os.kill(int(ran.last_line), 9)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
