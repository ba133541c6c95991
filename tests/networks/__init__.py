"""The clients through networks of every kind, by the real clock: which tier, how soon, and whether anything was lost.

``python -m tests.networks`` runs the matrix.  In reading order: `row` (what is expected of a network), `rows` (all of
them), `record` (what was seen), `judge` (whether that is well), `paths` and `visitors` (the network and who is behind
it), `runner`, `table`.
"""
