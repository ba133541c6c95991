"""What the description says is what the server does: schemathesis makes requests from it and checks every answer.

All of its checks run: no 5xx, documented statuses, media types, bodies and headers, what is invalid refused and what is
valid taken, authentication not ignored, what was deleted gone.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from rtserver import config
from rtserver.openapi import document
from tests.process import ServerProcess

# As many as keep this file under a minute on two cores; a stream lasts up to a second.
EXAMPLES = 20
STREAM_EXAMPLES = 4
STATEFUL_EXAMPLES = 15

quickly = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schemathesis.hook
def before_call(context, case, **options):
    """Probes take their time on purpose; here they take little of it."""
    for name, longest, most in (("chunks", 24, 3), ("interval", 5000, 20), ("seconds", 120, 1)):
        asked = str((case.query or {}).get(name, ""))
        if "/diagnostics/" in case.path and re.fullmatch("[0-9]{1,4}", asked) and most < int(asked) <= longest:
            case.query[name] = most


@schemathesis.hook
def map_body(context, body):
    """A session names nobody twice, which a schema cannot say."""
    if isinstance(body, dict) and isinstance(body.get("participants"), list):
        named = {p["participantId"]: p for p in body["participants"] if isinstance(p, dict) and _is_text(p)}
        others = [p for p in body["participants"] if not (isinstance(p, dict) and _is_text(p))]
        body["participants"] = [*named.values(), *others]
    return body


def _is_text(participant):
    return isinstance(participant.get("participantId"), str)


@pytest.fixture(scope="module")
def server():
    with (
        tempfile.TemporaryDirectory() as directory,
        ServerProcess(
            Path(directory),
            "--max-connection-time",
            "1",
            "--poll-timeout",
            "1",
            "--sse-padding",
            "0",
            "--log-level",
            "error",
        ) as running,
    ):
        yield running


def described():
    found = msgspec.json.decode(msgspec.json.encode(document(config.load({}, environment={}))))
    # A repeated Idempotency-Key with another body is a 422, which a schema cannot foresee.
    taken = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"]
    rules = {"checks": {"positive_data_acceptance": {"expected-statuses": taken}}}
    return schemathesis.openapi.from_dict(found, config=schemathesis.Config.from_dict(rules))


schema = described()
everything = schema.exclude(operation_id="stream")
streams = schema.include(operation_id="stream")


@everything.parametrize()
@quickly
def test_every_operation_does_what_its_description_says(case, server):
    """P7."""
    case.call_and_validate(base_url=server.url, headers=server.headers("service"), timeout=10)


@streams.parametrize()
@settings(quickly, max_examples=STREAM_EXAMPLES)
def test_a_stream_does_what_its_description_says(case, server):
    """P7."""
    case.call_and_validate(base_url=server.url, headers=server.headers("service"), timeout=10)


def test_operations_one_after_the_other_do_what_their_description_says(server):
    """P7: sessions that were created, changed and deleted by the requests before."""

    # Probes of the network leave nothing behind that others could find, and take their time.
    class Walk(everything.exclude(tag="diagnostics").as_state_machine()):
        def get_call_kwargs(self, case):
            return {"base_url": server.url, "headers": server.headers("service"), "timeout": 10}

    Walk.run(settings=settings(quickly, max_examples=STATEFUL_EXAMPLES, stateful_step_count=10))
