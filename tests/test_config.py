"""One table of settings: what each takes, who wins, and one clear line when something is wrong."""

from __future__ import annotations

import math
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.config import SETTINGS, TABLE, Config, Setting, load, parse_duration
from rtserver.errors import ConfigRefused, StartRefused

quickly = settings(deadline=None, max_examples=150)

BOUNDED = [setting for setting in TABLE.values() if setting.unit in ("seconds", "bytes", "count")]


def refused(flags=(), environment=(), file=None) -> str:
    """Return the line with which a configuration is refused."""
    with pytest.raises(ConfigRefused) as error:
        load(dict(flags), dict(environment), file)
    assert issubclass(ConfigRefused, StartRefused)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def toml(tmp_path):
    """Write a TOML file and return its path."""

    def write(text: str | bytes):
        path = tmp_path / "rtserver.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# The table


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda setting: setting.name)
def test_default_is_a_value_the_setting_takes(setting):
    default = list(setting.default) if setting.unit == "list" else setting.default

    assert setting.read(default) == setting.default


@pytest.mark.parametrize("setting", TABLE.values(), ids=lambda setting: setting.name)
def test_setting_is_named_alike_everywhere(setting):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", setting.name)
    assert setting.flag == "--" + setting.name.replace("_", "-")
    assert setting.variable == "RTSERVER_" + setting.name.upper()
    assert setting.help and "\n" not in setting.help
    assert setting.unit in ("seconds", "bytes", "count", "text", "list", "boolean")


def test_no_name_is_in_two_groups():
    names = [setting.name for group in SETTINGS.values() for setting in group]

    assert sorted(names) == sorted(TABLE)


@pytest.mark.parametrize("setting", BOUNDED, ids=lambda setting: setting.name)
def test_bounds_are_inclusive(setting):
    """P4: n-1, n and n+1 of both bounds."""
    low = int(setting.low)
    assert setting.read(str(low)) == low
    assert setting.read(str(low + 1)) == low + 1
    refused({setting.name: low - 1})
    if setting.high < math.inf:
        high = int(setting.high)
        assert setting.read(str(high)) == high
        assert setting.read(str(high - 1)) == high - 1
        assert f"{low} to {high}" in refused({setting.name: str(high + 1)})


def test_defaults_are_those_of_the_contract():
    config = load({}, {})

    assert (config.host, config.port, config.durability) == ("127.0.0.1", 8080, "full")
    assert (config.heartbeat_interval, config.max_connection_time, config.retry_interval) == (30, 3600, 5)
    assert (config.poll_timeout, config.poll_retry_after, config.sse_padding) == (30, 5, 2048)
    assert (config.cors_origins, config.typing_indicators) == ((), True)


# Who wins


def test_flag_wins_over_environment_over_file_over_default(toml):
    file = toml("port = 1\nhost = 'file'\nbacklog = 7\n")
    environment = {"RTSERVER_PORT": "2", "RTSERVER_HOST": "environment", "HOST": "x", "PORT": "9"}

    config = load({"port": "3"}, environment, file)

    assert (config.port, config.host, config.backlog, config.retention_events) == (3, "environment", 7, 100_000)


def test_wrong_value_is_refused_even_where_another_wins(toml):
    assert "RTSERVER_PORT is 'x'" in refused({"port": "1"}, {"RTSERVER_PORT": "x"})
    assert "port is -1" in refused({"port": "1"}, {"RTSERVER_PORT": "2"}, toml("port = -1"))


def test_environment_of_the_process_counts(monkeypatch):
    monkeypatch.setitem(os.environ, "RTSERVER_PORT", "4711")

    assert load({}).port == 4711


def test_loading_changes_neither_the_table_nor_what_it_was_given():
    flags, environment = {"port": "3"}, {"RTSERVER_HOST": "x"}

    load(flags, environment)

    assert (flags, environment) == ({"port": "3"}, {"RTSERVER_HOST": "x"})
    assert load({}, {}).as_dict() == {name: setting.default for name, setting in TABLE.items()}


# The file


def test_file_takes_toml_values_and_words(toml):
    file = toml(
        'port = 81\nheartbeat_interval = "10s"\nretention_age = 2.5\nring_bytes = "64k"\n'
        'typing_indicators = false\ncors_origins = ["https://a.example", "https://b.example"]\n'
    )

    config = load({}, {}, file)

    assert (config.port, config.heartbeat_interval, config.retention_age, config.ring_bytes) == (81, 10, 2.5, 65536)
    assert config.typing_indicators is False
    assert config.cors_origins == ("https://a.example", "https://b.example")


def test_unknown_name_in_the_file_is_refused_and_named(toml):
    assert "there is no setting 'prot'" in refused(file=toml("prot = 1\n"))
    assert "there is no setting 'server'" in refused(file=toml("[server]\nport = 1\n"))


@pytest.mark.parametrize("text", ["port = ", "port 81", "port = 1\nport = 2", b"host = '\xff'"])
def test_file_that_is_not_toml_is_refused(toml, text):
    assert "is not valid TOML: " in refused(file=toml(text))


def test_file_that_is_not_there_is_refused(tmp_path):
    assert refused(file=tmp_path / "none.toml") == f"cannot read {tmp_path / 'none.toml'}: No such file or directory"
    assert "Is a directory" in refused(file=tmp_path)


# Values


def value_of(unit: str, found: object, **options) -> object:
    return Setting("some_setting", 0, unit, "help", **options).read(found)


def wrong(unit: str, found: object, **options) -> str:
    with pytest.raises(ValueError) as error:
        value_of(unit, found, **options)
    return str(error.value)


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        ("0", 0),
        ("5", 5),
        ("2.5", 2.5),
        ("250ms", 0.25),
        ("3s", 3),
        ("15m", 900),
        ("8h", 28800),
        ("30d", 2592000),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_duration_is_seconds_or_has_a_unit(found, seconds):
    assert value_of("seconds", found) == seconds


@pytest.mark.parametrize(
    "found",
    [
        "",
        "s",
        "-1",
        "+1",
        "1 s",
        " 1",
        "1\n",
        "1h30m",
        "1w",
        ".5",
        "1.",
        "1e3",
        "inf",
        "nan",
        "\u0661",
        None,
        True,
        [],
        math.inf,
        math.nan,
        -1,
    ],
)
def test_other_durations_are_refused(found):
    assert wrong("seconds", found) == "seconds, or like 250ms, 15m, 8h, 30d, at least 0"


def test_duration_is_finite():
    wrong("seconds", "9" * 400)


@quickly
@given(st.integers(0, 10**9), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400), ("", 1)]))
def test_any_duration_means_its_number_of_units(number, unit):
    name, seconds = unit

    assert parse_duration(f"{number}{name}") == pytest.approx(number * seconds)


@pytest.mark.parametrize("text", ["", "soon", "1h30m", "-1s"])
def test_wrong_duration_is_named(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_duration(text)


@pytest.mark.parametrize(
    ("found", "size"), [("0", 0), ("100", 100), ("1k", 1024), ("64K", 65536), ("16m", 1 << 24), ("1g", 1 << 30), (5, 5)]
)
def test_size_is_bytes_or_has_a_unit(found, size):
    assert value_of("bytes", found) == size


@pytest.mark.parametrize("found", ["", "k", "-1", "1kb", "1.5m", "1 k", "1\n", 1.5, None, True, [], -1])
def test_other_sizes_are_refused(found):
    assert wrong("bytes", found) == "bytes, or like 64k, 16m, 1g, at least 0"


@pytest.mark.parametrize(
    "found", ["", "x", "-1", "+1", "1.0", "1k", "0x1", "1_000", " 1", "1\n", "\u0661", 1.0, None, True, [], -1]
)
def test_counts_are_whole_numbers(found):
    assert value_of("count", "007") == 7
    assert wrong("count", found) == "a whole number, at least 0"


@pytest.mark.parametrize("found", ["", "True", "yes", "1", "on", 1, 0, None, []])
def test_booleans_are_true_or_false(found):
    assert (value_of("boolean", "true"), value_of("boolean", "false")) == (True, False)
    assert (value_of("boolean", True), value_of("boolean", False)) == (True, False)
    assert wrong("boolean", found) == "true or false"


@pytest.mark.parametrize(
    ("found", "items"), [("", ()), ("a", ("a",)), (" a , b,,", ("a", "b")), (["a", "b "], ("a", "b")), ((), ())]
)
def test_lists_have_commas_between(found, items):
    assert value_of("list", found) == items


@pytest.mark.parametrize("found", [5, None, True, ["a", 5], {"a": 1}])
def test_other_lists_are_refused(found):
    assert wrong("list", found).startswith("a list of strings")


def test_choices_are_named_when_another_is_given():
    assert refused({"durability": "Full"}) == "--durability is 'Full'; it must be one of full, normal"


@pytest.mark.parametrize("found", [5, True, None, []])
def test_texts_are_strings(found):
    assert wrong("text", found) == "a string"


def test_refusal_names_the_place_the_finding_and_what_is_allowed(toml):
    assert refused({"port": "65536"}) == "--port is '65536'; it must be a whole number, 0 to 65535"
    assert refused(environment={"RTSERVER_PORT": "x"}) == "RTSERVER_PORT is 'x'; it must be a whole number, 0 to 65535"
    file = toml('port = "x"')
    assert refused(file=file) == f"{file}: port is 'x'; it must be a whole number, 0 to 65535"


# Together


@pytest.mark.parametrize("path", ["", "/rt", "/a/b", "/a.b_c~d-e"])
def test_base_path_is_taken(path):
    assert load({"base_path": path}, {}).base_path == path


@pytest.mark.parametrize("path", ["/", "rt", "/rt/", "//rt", "/r t", "/rt\n", "/rt(.*)", "/ä", "/rt?x"])
def test_other_base_paths_are_refused(path):
    """It becomes part of every route's pattern, so nothing else may be in it."""
    assert "base_path is " in refused({"base_path": path})


@pytest.mark.parametrize(
    "origins",
    [
        *("*", "https://app.example.com", "http://localhost:3000,https://b.example", "http://a.example:443"),
        *("https://[2001:db8::1]:8443", "http://192.0.2.7", "http://my_host", "https://xn--bcher-kva.example"),
    ],
)
def test_origins_are_taken(origins):
    assert load({"cors_origins": origins}, {}).cors_origins == tuple(origins.split(","))


@pytest.mark.parametrize(
    "origins",
    [
        *("app.example.com", "https://a.example/", "https://", "ftp://a", "https://a,x", "null", "HTTPS://a.example"),
        *("https://App.example.com", "https://a.example:443", "http://a.example:80", "http://[::1]:80"),
        *("https://*.example.com", "https://user@a.example", "https://a.example?x", "https://a.example#x"),
        *("https://bücher.example", "https://a.example:", "https://a.example:x", "https://a b"),
    ],
)
def test_origins_that_no_browser_sends_are_refused(origins):
    assert "cors_origins has " in refused({"cors_origins": origins})


@pytest.mark.parametrize(("event", "is_refused"), [(1023, False), (1024, False), (1025, True)])
def test_event_must_fit_into_a_body(event, is_refused):
    flags = {"max_body_bytes": 1024, "max_event_bytes": event}

    if is_refused:
        assert "it must be at most max_body_bytes, 1024" in refused(flags)
    else:
        assert load(flags, {}).max_event_bytes == event


# The result


def test_settings_are_attributes_and_others_do_not_exist():
    config = Config({"port": 5})

    assert config.port == 5
    with pytest.raises(AttributeError, match="prot"):
        _ = config.prot


def test_dictionary_is_a_copy():
    config = Config({"port": 5})

    config.as_dict()["port"] = 6

    assert config.port == 5
