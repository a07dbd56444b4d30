"""The rules that informers, queue, writer and election keep, and the faults that the operator survives, each with the
tests that would fail without it.

`rules/*.yaml` and `faults.yaml` are the tables; docs/reference/machinery.md and faults.md are made from them.
`python -m tools.machinery --check` compares them with the lists of ids and with what pytest collects: nothing may be
missing, no test may be unknown or skipped. `--ran REPORT...` reads what a run of pytest wrote with `--junit-xml`, and
wants each of these tests to have passed in it; `make test` ends with it.
"""
