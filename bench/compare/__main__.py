"""`make bench`: the comparison, from the programs to the table."""

from __future__ import annotations

import json
import sys

from bench.compare.ledger import AnotherCommit, Ledger
from bench.compare.options import Options
from bench.compare.plan import described, fitted, planned
from bench.compare.publish import publish
from bench.compare.report import report
from bench.compare.run import Run
from bench.progress import Progress


def main() -> int:
    options = Options.parse()
    if options.plan:
        print("\n".join(described(fitted(planned(options), options.minutes * 60, {}), {})))
        return 0
    if not options.report:
        try:
            ledger = Ledger.opened(options.json, resume=options.resume)
        except AnotherCommit as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        progress = Progress()
        try:
            Run(options, progress, ledger).measure()
        finally:
            progress.end()
    document = json.loads(options.json.read_text())
    if options.publish:
        publish(document)
    print(report(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
