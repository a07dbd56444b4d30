"""Generator of docs/reference/ from the code.

    python -m tools.reference            write the pages
    python -m tools.reference --check    exit 1 and show the difference when a page is out of date

Contract: what lives in the code (annotations, variables, reasons, metrics, options, schemas, the command line) is
taken from there and never typed a second time. Where the code has a name but no words for it (a label, a dependency),
a table here gives the words, and is refused when it has a name too few or too many.

One module a group of pages; each page is a function that returns Markdown. `pages` lists them.
"""
