"""`python -m tools.mutations`: see the package."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from time import perf_counter

from tools.mutations.catalogue import ORIGINS, defect_of, every_mutation
from tools.mutations.mutation import Mutation
from tools.mutations.trial import Unsound, try_all


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutations",
        description="Put known defects into a copy of the code; a test must fail each time.",
    )
    parser.add_argument("--only", action="append", metavar="ID", help="this defect, in all its forms (repeatable)")
    parser.add_argument("--list", action="store_true", help="show what there is and try nothing")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="trials at a time (%(default)s)")
    options = parser.parse_args(arguments)
    if options.list:
        return _show()
    chosen = _choose(options.only)
    if not chosen:
        parser.error(f"there is no defect {', '.join(options.only)}; --list shows all")
    return _try(chosen, jobs=options.jobs)


def _choose(only: Sequence[str] | None) -> list[Mutation]:
    mutations = every_mutation()
    if only is None:
        return mutations
    return [mutation for mutation in mutations if {mutation.id, defect_of(mutation)} & set(only)]


def _show() -> int:
    for origin in ORIGINS:
        print(f"{origin.title}")
        for mutation in origin.mutations:
            print(f"  {mutation.id:5} {mutation.defect}{' (kept out by the design)' if mutation.structural else ''}")
    return 0


def _try(chosen: Sequence[Mutation], *, jobs: int) -> int:
    started = perf_counter()
    bad = 0
    try:
        for result in try_all(chosen, jobs=jobs):
            bad += not result.good
            line = f"{result.mutation.id:5} {result.verdict:9} {result.seconds:5.1f} s  {result.mutation.defect}"
            print(line, flush=True)
            if result.detail:
                print(result.detail, file=sys.stderr, flush=True)
    except Unsound as unsound:
        print(unsound, file=sys.stderr)
        return 1
    print(f"{len(chosen)} mutations, {bad} not noticed as they should be, {perf_counter() - started:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
