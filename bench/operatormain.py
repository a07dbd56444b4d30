"""`autobackup`, with every stall of its event loop recorded: python -m bench.operatormain STALLS ARGUMENTS..."""

from __future__ import annotations

import sys
from pathlib import Path

from autobackup.__main__ import main
from bench.stalls import install

if __name__ == "__main__":
    install(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
