"""The rules that informers, queue, writer and election keep, each with the tests that would fail without it.

`rules/*.yaml` is the table; docs/reference/machinery.md is made from it. `python -m tools.machinery --check` compares
it with the list of rule ids and with what pytest collects: no rule may be missing, no test may be unknown or skipped.
`--ran REPORT` reads what a run of pytest wrote with `--junit-xml`, and wants each of these tests to have passed in it.
"""
