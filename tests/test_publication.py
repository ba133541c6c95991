"""From a body to drafts: everything that is wrong with a publish is found here, and said."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtserver.errors import Forbidden, Malformed, RequestError, TooLarge
from rtserver.event import format_timestamp
from rtserver.publication import MAX_BATCH_EVENTS, MAX_DEPTH, RESERVED_TYPES, check_name, parse_object
from tests.builders import NOW_US, publish

quickly = settings(deadline=None, max_examples=150)


def refused(kind: type[RequestError], body: object, **options: object) -> str:
    """Return why a body is refused."""
    with pytest.raises(kind) as error:
        publish(body, **options)
    assert type(error.value) is kind
    return error.value.detail


def message(**fields: object) -> dict[str, object]:
    return {"type": "message_added", "data": {"content": "hi"} | fields}


def data_of(body: object, **options: object) -> dict[str, object]:
    (draft,) = publish(body, **options).drafts
    return json.loads(draft.data_at(format_timestamp(NOW_US)))


# The body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"type":"note","data":{"a":"\xff"}}',
        b'{"type":"note","data":{"a":NaN}}',
        b'{"type":"note","data":{"a":Infinity}}',
        b'{"type":"note","data":{"a":1e999}}',
        b'{"type":"note","data":{"a":"\\ud800"}}',  # half a character
        b'{"type":"note","data":{"a":"\\udc00"}}',
        b'{"type":"note","data":{"a":01}}',
        b'{"type":"note","data":{"a":"\n"}}',
        b'{"type":"note","data":{"a":"\0"}}',
        b'{"type":"note","data":{},}',
        b'{"type":"note","data":{}} x',
        b"{'type':'note','data':{}}",
        b'{"type":"note","data":{"a":' + b"1" * 10_000 + b"}}",
    ],
)
def test_what_is_not_json_is_refused(body):
    """P7."""
    assert refused(Malformed, body).startswith("the body is not valid JSON: ")


@pytest.mark.parametrize(
    ("body", "found"),
    [(b"[]", "a list"), (b"null", "missing or null"), (b"1", "a number"), (b'"x"', "a string"), (b"true", "a boolean")],
)
def test_body_must_be_an_object(body, found):
    """P7."""
    assert refused(Malformed, body) == f"the body is {found}; it must be a JSON object"


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    """Return a body whose innermost container is ``depth`` levels deep; the body and its data are two of them."""
    return b'{"type":"note","data":{"a":' + opening * (depth - 2) + b"0" + closing * (depth - 2) + b"}}"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH])
def test_body_may_nest_to_the_limit(opening, closing, depth):
    assert publish(nested(depth, opening, closing)).drafts[0].type == "note"


def test_lists_and_objects_count_alike():
    """P7."""
    pairs = (MAX_DEPTH - 2) // 2
    head, tail = b'{"type":"note","data":{"a":' + b'[{"a":' * pairs, b"}]" * pairs + b"}}"

    assert publish(head + b"0" + tail).drafts
    assert "nests deeper" in refused(Malformed, head + b"[]" + tail)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, MAX_DEPTH + 2, 900, 1000, 1100, 100_000, 400_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_body_that_nests_deeper_is_refused(opening, closing, depth):
    """P7: however deep; no parser on the way to the browser may fall over it."""
    assert refused(Malformed, nested(depth, opening, closing)) == f"the body nests deeper than {MAX_DEPTH} levels"


def test_many_brackets_side_by_side_are_not_deep():
    assert publish({"type": "note", "data": {"a": [[]] * 1000, "b": "[" * 1000}}).drafts


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, 10**30, -(2**63), -(2**63) - 1])
def test_large_whole_numbers_stay_exact(number):
    assert data_of({"type": "note", "data": {"n": number}}) == {"n": number}


def test_unknown_fields_of_the_body_are_ignored():
    assert publish({"type": "note", "data": {}, "colour": "red", "timestamp": 5}).drafts[0].data == b"{}"


# Batches


@pytest.mark.parametrize("count", [1, 2, MAX_BATCH_EVENTS - 1, MAX_BATCH_EVENTS])
def test_batch_keeps_its_order(count):
    """P2."""
    publication = publish({"events": [{"type": "note", "data": {"n": n}} for n in range(count)]})

    assert [json.loads(draft.data)["n"] for draft in publication.drafts] == list(range(count))
    assert publication.size == sum(len(draft.data) for draft in publication.drafts)


@pytest.mark.parametrize("count", [0, MAX_BATCH_EVENTS + 1])
def test_batch_beyond_its_limits_is_refused(count):
    """P4, P7."""
    body = {"events": [{"type": "note", "data": {}}] * count}

    assert refused(Malformed, body) == f"events has {count}; it must be a list of 1 to 100 events"


@pytest.mark.parametrize("events", [None, {}, "x", 5, True])
def test_batch_must_be_a_list(events):
    """P7."""
    assert "it must be a list of 1 to 100 events" in refused(Malformed, {"events": events})


@pytest.mark.parametrize("extra", [{"type": "note"}, {"data": {}}, {"type": "note", "data": {}}])
def test_body_is_one_event_or_a_batch_but_not_both(extra):
    """P7."""
    assert "one or the other" in refused(Malformed, {"events": [{"type": "note", "data": {}}]} | extra)


def test_one_wrong_event_refuses_the_whole_batch_and_is_named():
    """P7."""
    events = [{"type": "note", "data": {}}, {"type": "note", "data": {}}, {"type": "Note", "data": {}}]

    assert refused(Malformed, {"events": events}).startswith("events[2].type is 'Note'; ")


@pytest.mark.parametrize("entry", [None, [], "x", 5])
def test_event_of_a_batch_must_be_an_object(entry):
    """P7."""
    detail = refused(Malformed, {"events": [entry]})

    assert detail.startswith("events[0] is ") and detail.endswith("it must be an object with type and data")


@pytest.mark.parametrize("data", [None, [], "x", 5, True])
def test_data_must_be_an_object(data):
    """P7."""
    assert refused(Malformed, {"type": "note", "data": data}).endswith("it must be a JSON object")


def test_data_must_be_there():
    """P7."""
    assert refused(Malformed, {"type": "note"}) == "data is missing or null; it must be a JSON object"


# Types


@pytest.mark.parametrize("type", ["a", "a0_.-", "x" * 63, "x" * 64, "connected.", "ai_response_ready"])
def test_ordinary_types_are_taken(type):
    assert publish({"type": type, "data": {}}).drafts[0].type == type


@pytest.mark.parametrize(
    "type",
    ["", "x" * 65, "A", "0a", "_a", ".a", "-a", "a b", "a\n", "a\r\nid: 1", "a:b", "ä", "a/b", "a\0", None, 5, []],
)
def test_types_out_of_the_pattern_are_refused(type):
    """P7: a type stands in a stream's event line, so nothing else may be in it."""
    assert "it must match [a-z][a-z0-9_.-]{0,63}" in refused(Malformed, {"type": type, "data": {}})


def test_types_of_the_streams_and_of_eventsource_are_reserved():
    assert {"connected", "probe", "heartbeat", "reset", "reconnect", "open", "error", "message"} == RESERVED_TYPES


@pytest.mark.parametrize("type", sorted(RESERVED_TYPES))
@pytest.mark.parametrize("is_participant", [True, False])
def test_reserved_types_are_refused_whoever_sends_them(type, is_participant):
    """P7."""
    detail = refused(Malformed, {"type": type, "data": {}}, is_participant=is_participant)

    assert f"type is {type!r}" in detail


@pytest.mark.parametrize("type", ["note", "participant_joined", "session_status_changed", "ai_progress"])
def test_participant_may_not_publish_what_is_the_services(type):
    detail = refused(Forbidden, {"type": type, "data": {"status": "x"}}, is_participant=True)

    assert "message_added and typing_indicator" in detail
    assert publish({"type": type, "data": {"status": "x"}}, is_participant=False).drafts[0].type == type


# Messages


def test_server_fills_in_what_a_message_lacks():
    data = data_of(message(colour="red"), subject="alice", is_participant=True)

    assert uuid.UUID(data.pop("messageId")).version == 4
    assert data == {
        "participantId": "alice",
        "content": "hi",
        "colour": "red",
        "timestamp": "2026-01-01T12:00:00.000000Z",
    }


def test_server_keeps_what_a_message_has():
    fields = {"messageId": "m1", "participantId": "bob", "timestamp": "yesterday", "content": "hi"}

    assert data_of(message(**fields), subject="service") == fields


def test_null_counts_as_missing_in_a_message():
    data = data_of(message(messageId=None, participantId=None, timestamp=None), subject="service")

    assert uuid.UUID(data["messageId"])
    assert data["participantId"] == "service"
    assert data["timestamp"] == "2026-01-01T12:00:00.000000Z"


@pytest.mark.parametrize("type", ["message_added", "typing_indicator"])
def test_participant_speaks_as_itself_whatever_it_says(type):
    """P6."""
    body = {"type": type, "data": {"content": "hi", "isTyping": True, "participantId": "bob"}}

    (draft,) = publish(body, subject="alice", is_participant=True).drafts

    assert draft.participant_id == "alice"
    assert json.loads(draft.data)["participantId"] == "alice"


@pytest.mark.parametrize("type", ["message_added", "typing_indicator", "ai_progress"])
def test_service_speaks_for_whom_it_names(type):
    body = {"type": type, "data": {"content": "hi", "isTyping": True, "status": "x", "participantId": "bob"}}

    (draft,) = publish(body, subject="service").drafts

    assert draft.participant_id == "bob"
    assert json.loads(draft.data)["participantId"] == "bob"


@pytest.mark.parametrize("content", [None, 5, True, [], {}])
def test_content_must_be_a_string(content):
    """P7."""
    assert refused(Malformed, message(content=content)).endswith("it must be a string")


def test_content_may_be_empty():
    assert data_of(message(content=""))["content"] == ""


@pytest.mark.parametrize("timestamp", [5, True, [], {}])
def test_timestamp_of_a_message_must_be_a_string(timestamp):
    """P7."""
    assert refused(Malformed, message(timestamp=timestamp)).startswith("data.timestamp is ")


@pytest.mark.parametrize("participant", ["", "..", "a b", "x" * 129, 5, [], True])
def test_participant_named_by_a_service_must_be_an_id(participant):
    """P7."""
    assert refused(Malformed, message(participantId=participant)).startswith("data.participantId is ")


@pytest.mark.parametrize("length", [1, 127, 128])
@pytest.mark.parametrize("filling", ["x", "😀", "\0"])
def test_message_id_is_any_string_up_to_the_limit(length, filling):
    assert data_of(message(messageId=filling * length))["messageId"] == filling * length


@pytest.mark.parametrize("message_id", ["x" * 129, 5, True, [], {}])
@pytest.mark.parametrize("place", ["outer", "inner"])
def test_other_message_ids_are_refused(message_id, place):
    """P7."""
    body = message() | {"messageId": message_id} if place == "outer" else message(messageId=message_id)

    assert "it must be a string of 1 to 128 characters" in refused(Malformed, body)


def test_message_id_stands_beside_the_data_or_in_them():
    beside, within = message() | {"messageId": "m1"}, message(messageId="m1")

    assert data_of(beside)["messageId"] == data_of(within)["messageId"] == "m1"
    assert publish(beside).drafts[0].message_key == publish(within).drafts[0].message_key
    assert data_of(message(messageId="m1") | {"messageId": "m1"})["messageId"] == "m1"


def test_two_different_message_ids_are_refused():
    """P7."""
    assert "differ" in refused(Malformed, message(messageId="m1") | {"messageId": "m2"})


# Passing states


@pytest.mark.parametrize("value", [None, "true", 1, 0, []])
def test_typing_is_true_or_false(value):
    """P7."""
    body = {"type": "typing_indicator", "data": {"isTyping": value}}

    assert refused(Malformed, body).endswith("it must be true or false")


@pytest.mark.parametrize("value", [None, 5, True, []])
def test_progress_has_a_status(value):
    """P7."""
    assert refused(Malformed, {"type": "ai_progress", "data": {"status": value}}).endswith("it must be a string")


def test_progress_keeps_its_other_fields():
    assert data_of({"type": "ai_progress", "data": {"status": "x", "step": 2}}, subject="ava") == {
        "status": "x",
        "step": 2,
        "participantId": "ava",
    }


def test_passing_states_are_neither_numbered_nor_remembered():
    (draft,) = publish({"type": "ai_progress", "data": {"status": "x"}, "messageId": "m1"}).drafts

    assert draft.is_transient
    assert draft.message_key is None
    assert not publish(message()).drafts[0].is_transient


# Sizes


@pytest.mark.parametrize("excess", [-1, 0])
def test_data_may_fill_the_limit(excess):
    body = {"type": "note", "data": {"a": "x" * (1000 - len('{"a":""}') + excess)}}

    assert len(publish(body, limit=1000).drafts[0].data) == 1000 + excess


@pytest.mark.parametrize("filling", ["x", "é"])
def test_data_over_the_limit_are_refused(filling):
    """P4, P7: the limit is of bytes, not of characters."""
    length = 1000 - len('{"a":""}') + 1
    count = length if filling == "x" else -(-length // 2)

    detail = refused(TooLarge, {"type": "note", "data": {"a": filling * count}}, limit=1000)

    assert "at most 1000 are allowed" in detail


def test_spaces_between_the_data_do_not_count():
    body = b'{"type": "note", "data": {' + b" " * 2000 + b'"a": 1}}'

    assert publish(body, limit=1000).drafts[0].data == b'{"a":1}'


def test_what_the_server_fills_in_counts_too():
    """P4: the event that is stored and sent keeps the limit, timestamp and all."""
    whole = len(publish(message(messageId="m1")).drafts[0].data_at(format_timestamp(NOW_US)))

    assert publish(message(messageId="m1"), limit=whole).drafts
    refused(TooLarge, message(messageId="m1"), limit=whole - 1)


# Keys


def key_of(body: object, key: str = "k1", subject: str = "alice") -> tuple[bytes, bytes]:
    request_key = publish(body, subject=subject, key=key).key
    assert request_key is not None
    return request_key.digest, request_key.fingerprint


def test_no_idempotency_key_is_no_key():
    assert publish(message()).key is None


@pytest.mark.parametrize("key", ["k", " ", "~", "k" * 254, "k" * 255])
def test_idempotency_key_is_printable_ascii(key):
    assert publish(message(), key=key).key is not None


@pytest.mark.parametrize("key", ["", "k" * 256, "é", "k\n", "\x7f", "\0"])
def test_other_idempotency_keys_are_refused_and_not_repeated(key):
    """P7."""
    detail = refused(Malformed, message(), key=key)

    assert "it must have 1 to 255, printable ASCII" in detail
    assert "\n" not in detail and "kkk" not in detail


def test_keys_belong_to_their_sender():
    assert key_of(message(), "k1", "alice")[0] == key_of(message(), "k1", "alice")[0]
    assert key_of(message(), "k1", "alice")[0] != key_of(message(), "k1", "bob")[0]
    assert key_of(message(), "k1", "alice")[0] != key_of(message(), "k2", "alice")[0]


def test_fingerprint_is_of_the_meaning_and_not_of_the_spelling():
    one = key_of(b'{"type":"note","data":{"a":1,"b":[1,2]}}')[1]

    assert key_of(b' {"data": {"b": [1, 2], "a": 1}, "type": "n\\u006fte"}')[1] == one
    assert key_of(b'{"type":"note","data":{"a":1,"b":[2,1]}}')[1] != one
    assert key_of(b'{"type":"note","data":{"a":"1","b":[1,2]}}')[1] != one


def test_fingerprint_does_not_depend_on_what_the_server_makes_up():
    assert key_of(message())[1] == key_of(message())[1]


def test_message_key_is_of_the_participant_and_its_id():
    def message_key(subject: str, **fields: object) -> bytes | None:
        return publish(message(**fields), subject=subject).drafts[0].message_key

    assert message_key("alice", messageId="m1") == message_key("alice", messageId="m1", content="other")
    assert message_key("alice", messageId="m1") == message_key("service", messageId="m1", participantId="alice")
    assert message_key("alice", messageId="m1") != message_key("bob", messageId="m1")
    assert message_key("alice", messageId="m1") != message_key("alice", messageId="m2")
    assert message_key("alice") is None


def test_same_text_as_message_id_and_as_idempotency_key_does_not_meet():
    publication = publish(message(messageId="x"), subject="alice", key="x")

    assert publication.key is not None
    assert publication.key.digest != publication.drafts[0].message_key


def test_ordinary_event_is_remembered_by_its_message_id_too():
    draft = publish({"type": "note", "data": {}, "messageId": "m1"}).drafts[0]

    assert draft.message_key is not None
    assert draft.data == b"{}"
    assert publish({"type": "note", "data": {}}).drafts[0].message_key is None


# Names


@pytest.mark.parametrize("name", ["a", "A-Z.a_z~0@9:", "...", ".a", "x" * 127, "x" * 128])
def test_names_of_the_allowed_characters_are_taken(name):
    assert check_name(name, "sessionId") == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "x" * 129, "a b", "a/b", "a%2f", "a\n", "a\0", "ä", "a,b", None, 5, []]
)
def test_other_names_are_refused(name):
    """P7."""
    with pytest.raises(Malformed, match=r"^sessionId is .*; it must be 1 to 128 of "):
        check_name(name, "sessionId")


# The whole


@quickly
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_never_break_the_parser(body):
    """P7: no input gives a 500."""
    try:
        parse_object(body)
    except Malformed as error:
        assert error.detail


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)
known = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(json_values, st.sampled_from(["message_added", "typing_indicator", "ai_progress", "note"])),
        "messageId": json_values,
        "data": st.one_of(
            json_values,
            st.fixed_dictionaries(
                {},
                optional={
                    "content": st.one_of(st.text(), json_values),
                    "isTyping": st.one_of(st.booleans(), json_values),
                    "status": st.one_of(st.text(), json_values),
                    "messageId": json_values,
                    "participantId": json_values,
                    "timestamp": json_values,
                },
            ),
        ),
    },
)


@quickly
@given(
    st.one_of(known, st.fixed_dictionaries({"events": st.one_of(json_values, st.lists(known, max_size=3))})),
    st.booleans(),
)
def test_any_json_becomes_valid_drafts_or_a_clear_refusal(body, is_participant):
    """P7: a draft that passes cannot fail its neighbours later: it is one line of JSON of a known type."""
    try:
        publication = publish(body, is_participant=is_participant, key="k")
    except RequestError as error:
        assert 400 <= error.status < 500 and error.detail
        return
    for draft in publication.drafts:
        data = draft.data_at(format_timestamp(NOW_US))
        assert isinstance(json.loads(data), dict)
        assert not {0x0A, 0x0D, 0x00} & set(data)
        assert draft.type.isascii() and draft.type not in RESERVED_TYPES
