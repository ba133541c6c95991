"""Defects of the probes of the network and of what clients report."""

from __future__ import annotations

from tests.sabotage.defect import Defect

CONTRACT = "test_contract_diagnostics.py::"
UNDER_NODE = "test_client_modules.py::test_the_tests_under_node_pass[reporter]"

DIAGNOSTICS = (
    Defect("P4", "keep the place of a probe that is over", "probes.py", "            del self._running[probe]\n", "",
           CONTRACT + "test_a_place_is_free_again_when_the_probe_is_over"),
    Defect("P4", "keep the place of a client that has gone", "handlers/probes.py",
           "sink.on_lost, sink.on_resume = probe.end, probe.wake", "sink.on_resume = probe.wake",
           CONTRACT + "test_a_place_is_free_again_when_the_client_has_gone"),
    Defect("P4", "let one participant have any number of probes", "probes.py",
           "if is_participant and allowed and own >= allowed:", "if False:",
           CONTRACT + "test_a_participant_has_so_many_probes_and_others_have_their_own"),
    Defect("P4", "run any number of probes", "probes.py", "if self.count >= self._max_probes:", "if False:",
           CONTRACT + "test_so_many_probes_run_at_once"),
    Defect("P5", "leave probes running while the server goes", "probes.py",
           "        for probe in list(self._running):\n            probe.end()\n", "",
           CONTRACT + "test_probes_end_when_the_server_goes_and_none_begins_then"),
    Defect("4.9", "cut the end of a payload that is taken slowly", "handlers/probes.py",
           "while (size or sink.is_paused) and not probe.is_over:", "while size and not probe.is_over:",
           CONTRACT + "test_a_slow_client_gets_the_end_of_its_payload_too"),
    Defect("4.9", "send the chunks of a probe together", "handlers/probes.py",
           "                await _sleep(probe, interval_seconds)\n", "                pass\n",
           CONTRACT + "test_a_stream_sends_its_chunks_each_at_its_time_and_says_when_it_is_over"),
    Defect("P6", "show the secrets that came in headers", "handlers/network.py",
           "return {name: self._line(name) if name in SHOWN_VALUES else None for name in self._seen()}",
           "return {name: self._line(name) for name in self._seen()}", CONTRACT + "test_no_secret_comes_back"),
    Defect("P6", "show whatever a proxy calls forwarded", "handlers/network.py",
           "return {name: self._line(name) if name in SHOWN_VALUES else None for name in names}",
           "return {name: self._line(name) for name in names}", CONTRACT + "test_no_secret_comes_back"),
    Defect("P6", "believe whoever writes X-Forwarded-For", "addresses.py",
           "if client not in self or address is None:", "if address is None:",
           "test_addresses.py::test_the_client_is_the_last_that_no_believed_proxy_has"),
    Defect("P4", "keep reports of any number of networks", "reports.py",
           "if len(self._networks) > self._max_networks:", "if False:",
           CONTRACT + "test_of_so_many_networks_reports_are_kept"),
    Defect("P4", "remember the tier of any number of people", "reports.py",
           "if len(self._tiers) > self._max_people:", "if False:",
           "test_reports.py::test_of_so_many_people_the_tier_is_remembered"),
    Defect("P4", "count what clients make up under its own name", "reports.py",
           'reason=reason if reason in REASONS else "other"', "reason=reason",
           "test_reports.py::test_a_reason_that_nobody_knows_is_counted_as_other"),
    Defect("5", "report at every reconnection", "web/client/reporter.js",
           'if (report.tier === (pending?.tier ?? this.storage.get("reported tier"))) return;', "", UNDER_NODE),
    Defect("5", "report as often as tiers change", "web/client/reporter.js",
           "const left = this._sentAt + APART_SECONDS * 1000", "const left = 0", UNDER_NODE),
    Defect("5", "blame a tier for what happened while none ran", "client/reporter.py",
           "if before.state in _RUNNING:", "if True:",
           "client/test_reporter.py::"
           "test_a_tier_that_was_given_up_is_told_with_its_cause_and_the_next_ones_proof_is_no_other_report"),
    Defect("5", "report of the Python client as often as tiers change", "client/reporter.py",
           "max(delay_seconds, self._not_before - self._clock.now())", "delay_seconds",
           "client/test_reporter.py::test_what_comes_within_a_minute_is_told_together_from_where_it_began"),
)  # fmt: skip
