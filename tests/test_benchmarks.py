"""The benchmark's own bookkeeping: every promise has its figure, and the page shows what was measured."""

from __future__ import annotations

import re

from bench.growth import at
from bench.measures import MEASURES
from bench.promises import PROMISES
from bench.report import figures_table


def test_every_promise_is_of_something_that_is_measured():
    measures = {measure.name: measure for measure in MEASURES}
    assert {promise.measure for promise in PROMISES} <= measures.keys()
    assert len(measures) == len(MEASURES)


def test_a_promise_that_was_not_measured_has_no_figure():
    assert all(promise.figure({}) is None for promise in PROMISES)


def test_a_ratio_is_of_servers_that_are_compared_in_that_row():
    for measure in MEASURES:
        names = (
            "cpu_us cpu_us_answer cpu_us_request deliveries_per_s p99_ms per_s share growth held_ms bytes bytes_kept"
        )
        names += " all_s loop_held_ms live_99_s live_all_s publish_p99_ms"
        servers = {kind.name: [dict.fromkeys(names.split(), 1.0)] for kind in measure.compares}
        for promise in PROMISES:
            if promise.measure == measure.name:
                assert promise.figure({measure.name: servers}) is not None, promise.title


def test_what_grows_is_a_row_for_each_size():
    figures = at({1000: {"cpu_us": 1.5}, 5000: {"cpu_us": 2.5}}, "streams", "cpu_us") | {"growth": 1.2}
    page = "\n".join(figures_table({"rtserver": [figures]}, list(figures)))
    assert re.findall(r"\* - (rtserver.*)\n", page) == [
        "rtserver, 1,000 streams",
        "rtserver, 5,000 streams",
        "rtserver",
    ]
    assert "1.5 (1.5 - 1.5)" in page and "2.5 (2.5 - 2.5)" in page and "1.2 (1.2 - 1.2)" in page
