"""Defects of the wire: what is read in two ways, kept for ever, or answered to the wrong request."""

from __future__ import annotations

from tests.sabotage.defect import Defect

CORPUS = "test_smuggling.py::test_over_a_socket_every_entry_has_its_outcome_and_the_connection_ends"
FRAMING = "test_framing.py::"
WIRE = "test_wire.py::"

# What is broken, where, how, and which test must notice.
_ROWS = (
    # Where a request ends
    ("accept two lengths", "framing.py", "if len(lengths) > 1 or not", "if not", CORPUS),
    ("accept a length beside chunks", "framing.py", "if lengths or is_old:", "if is_old:",
     FRAMING + "test_a_head_that_two_readers_could_read_differently_is_refused"),
    ("accept chunks in HTTP/1.0", "framing.py", "if lengths or is_old:", "if lengths:",
     FRAMING + "test_http_1_0_needs_no_host_and_has_no_chunks"),
    ("accept chunked twice", "framing.py",
     'if len(codings) > 1 or codings[0].lower() != "chunked":', 'if codings[-1].lower() != "chunked":', CORPUS),
    ("accept two hosts", "framing.py", "elif len(hosts) > 1:", "elif False:", CORPUS),
    ("accept lines of a head that end in LF", "framing.py",
     r'head[:-4].split(b"\r\n")', r'head[:-4].replace(b"\r\n", b"\n").split(b"\n")', CORPUS),
    ("accept lines between chunks that end in LF", "framing.py",
     r'if not line.endswith(b"\r\n"):', 'if False:', CORPUS),
    ("refuse a piece of what is allowed as a whole", "framing.py",
     "    if len(buffer) > MAX_TARGET_BYTES:\n        _check_target_length(buffer[:MAX_HEAD_BYTES])\n",
     '    if len(buffer) > MAX_TARGET_BYTES and b"\\r" not in buffer:\n        raise AddressTooLong("too long")\n',
     "test_smuggling.py::test_an_entry_cut_at_any_byte_has_the_same_outcome[an address as long as is allowed]"),
    ("drop the body of an upgrade to h2c", "wire.py",
     "else (None, head.length)\n", 'else (None, 0 if "Upgrade" in head.fields else head.length)\n',
     WIRE + "test_requests_are_answered_in_order_wherever_they_are_cut"),
    ("go on behind an error", "wire.py",
     "encode_head(line.code, line.reason, headers) + body)\n        self._linger()\n",
     "encode_head(line.code, line.reason, headers) + body)\n        self.state = State.HEAD\n",
     WIRE + "test_requests_are_answered_in_order_wherever_they_are_cut"),
    # In order
    ("answer out of order", "wire.py", "        self.state = State.ANSWERING\n", "        self.state = State.HEAD\n",
     WIRE + "test_a_request_that_takes_time_holds_back_those_behind_it"),
    ("tell nobody to go on with the body", "wire.py", "if self._head.expects_continue and", "if False and",
     WIRE + "test_a_client_that_asks_first_is_told_to_go_on"),
    # Not for ever
    ("forget how long a connection may be idle", "wire.py",
     "self._expect(self._server.timeouts.head if self._buffer else self._server.timeouts.idle)",
     "self.deadline = math.inf", WIRE + "test_an_idle_connection_ends_and_a_waiting_request_does_not"),
    ("forget how long a head may take", "wire.py",
     "elif self.state in (State.HEAD, State.BODY):", "elif self.state is State.BODY:",
     WIRE + "test_what_does_not_come_in_time_ends_the_connection"),
    ("forget how long a body may take", "wire.py",
     "            self._expect(self._server.timeouts.body)\n", "",
     WIRE + "test_what_does_not_come_in_time_ends_the_connection"),
    ("take empty lines for the beginning of a request", "wire.py",
     r' and (data[0] not in b"\r\n" or data.strip(b"\r\n")):', ":",
     WIRE + "test_empty_lines_now_and_then_keep_no_connection_open"),
    # Not without bounds
    ("hold whatever is sent ahead", "wire.py", "if len(self._buffer) > MAX_AHEAD_BYTES and", "if False and",
     WIRE + "test_a_client_that_sends_far_ahead_is_left_waiting"),
    ("hold a whole read more with every answer", "wire.py",
     "if len(self._buffer) <= MAX_AHEAD_BYTES:", "if True:",
     WIRE + "test_a_flood_of_requests_is_read_only_as_fast_as_it_is_answered"),
    ("count no fields", "framing.py", "if len(lines) > MAX_FIELDS:", "if False:",
     FRAMING + "test_the_fields_of_a_head_are_counted"),
    ("take a head of any size", "framing.py", "if len(buffer) >= MAX_HEAD_BYTES:", "if False:",
     FRAMING + "test_the_bytes_of_a_head_are_bounded"),
    ("read what is refused without end", "handlers/base.py",
     "self.request.connection.set_max_body_size(self._body.transfer_limit)",
     "self.request.connection.set_max_body_size(1 << 62)",
     "test_contract_bodies.py::test_of_a_request_that_is_refused_so_much_is_read_and_no_more"),
    # Nobody holds up everybody else
    ("end all that are late at once", "wire.py",
     "batch, self._late = self._late[:EXPIRIES_AT_ONCE], self._late[EXPIRIES_AT_ONCE:]",
     "batch, self._late = self._late, []",
     WIRE + "test_of_many_that_are_late_some_are_ended_at_a_time"),
    ("deal with everything in one turn", "turns.py", "poll(timeout, MAX_EVENTS)", "poll(timeout)",
     "test_turns.py::test_of_many_that_are_ready_so_many_are_told_at_once_and_all_in_turn"),
    # TLS
    ("write past the encryption", "sink.py",
     'if transport.get_extra_info("sslcontext") is None:', "if True:", "test_tls.py::test_every_tier_works"),
    ("take a stream with TLS for full when all of it has been sent", "tls.py",
     "    transport.set_write_buffer_limits(high=1)", "    transport.set_write_buffer_limits(high=0)",
     "test_tls.py::test_each_event_comes_although_the_client_says_nothing_in_between"),
    ("speak old versions of TLS", "tls.py",
     "context.minimum_version = ssl.TLSVersion.TLSv1_2", 'context.minimum_version = ssl.TLSVersion.TLSv1\n'
     '    context.set_ciphers("ALL:@SECLEVEL=0")',
     "test_tls.py::test_versions_from_1_2_on_are_spoken"),
    ("keep large buffers for TLS", "tls.py", "BUFFER_BYTES = 16 << 10", "BUFFER_BYTES = 256 << 10",
     "test_tls.py::test_an_idle_connection_costs_little_memory"),
    ("close with TLS before the answer has been read", "wire.py",
     "        self._transport.resume_reading()\n        self._expect(LINGER_SECONDS)\n",
     "        self._transport.close()\n        self._expect(LINGER_SECONDS)\n",
     "test_tls.py::test_an_answer_before_the_body_has_been_read_arrives"),
)  # fmt: skip

WIRE_DEFECTS = tuple(Defect("wire", *row) for row in _ROWS)
