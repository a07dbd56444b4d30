"""Defects of other libraries, put into a copy of our code on purpose: at least one test has to fail for each.

`python -m tools.mutations` runs them all and reports survivors; `--only ID` runs some, `--list` shows what there is.
docs/reference/defects.md is made from the same catalogue.
"""
