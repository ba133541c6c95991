"""``make accept``: what is claimed, line by line, each with PASS or FAIL and its figure from a run on this machine."""
