"""All tests, in parts that run side by side: most tests that need a cluster wait, the others compute.

`python -m tools.suite` runs all parts, says in a line when each has ended, and prints what each had to say, one after
the other, those that failed last; then a line that counts all. Its code is 0 when all are good. Each part has a cache,
a report and a log of its own below build/. At the end `tools.machinery` looks at whether all tests that the tables of
rules and faults name have passed. `--again` runs what failed in any part once more, and looks again. Arguments for
pytest make it one ordinary run, of which nobody knows what to expect.
"""
