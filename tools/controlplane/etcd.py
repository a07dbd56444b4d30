"""One etcd: its life, its data, and how to take it back in time.

Contract: `start` takes free ports; they and the data stay the same over everything that comes later. `copy` is the data
as they are at one moment, `restore` brings that moment back, as an administrator does who restores a backup: revisions
go backwards. API servers hold what they have read of it in memory and are to be stopped before.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.controlplane.process import ControlPlaneError, Flags, Process, flag_arguments, free_port


class Etcd:
    """An etcd with one member on loopback ports of its own."""

    def __init__(self, program: Path, folder: Path, *, flags: Flags) -> None:
        self.url = ""
        self._program = program
        self._folder = folder
        self._flags = flags
        self._data = folder / "etcd"
        self._copies = 0
        self.process = Process("etcd", [], log=folder / "etcd.log")

    def start(self) -> None:
        for left in (3, 2, 1):
            self.url = f"http://127.0.0.1:{free_port()}"
            peer_url = f"http://127.0.0.1:{free_port()}"
            defaults: Flags = {
                "data-dir": str(self._data),
                "listen-client-urls": self.url,
                "advertise-client-urls": self.url,
                "listen-peer-urls": peer_url,
                "initial-advertise-peer-urls": peer_url,
                "initial-cluster": f"default={peer_url}",
                "unsafe-no-fsync": "true",
                "log-level": "warn",
            }
            self.process.argv = [str(self._program), *flag_arguments(defaults, self._flags)]
            self.process.start()
            try:
                self._wait_ready()
            except ControlPlaneError:
                self.process.kill()
                if left == 1 or "address already in use" not in self.process.last_lines():
                    raise
                shutil.rmtree(self._data, ignore_errors=True)
            else:
                return

    def copy(self) -> Path:
        """The data as they are now."""
        self._copies += 1
        copied = self._folder / f"etcd-copy-{self._copies}"
        self.process.suspend()
        try:
            shutil.copytree(self._data, copied)
        finally:
            self.process.resume()
        return copied

    def restore(self, copied: Path) -> None:
        """Go back to that copy, which can be restored again."""
        self.process.kill()
        shutil.rmtree(self._data)
        shutil.copytree(copied, self._data)
        self.process.start()
        self._wait_ready()

    def compact(self) -> int:
        """Forget all history up to now; returns the revision."""
        revision = self.revision()
        self._ask("kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def revision(self) -> int:
        return int(self._ask("kv/range", {"key": "AA=="})["header"]["revision"])

    def _ask(self, call: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.url}/v3/{call}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def _wait_ready(self, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while self.process.running and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=2):
                    return
            except OSError as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                time.sleep(0.03)
        raise ControlPlaneError(
            f"etcd did not become ready (exit code {self.process.exit_code}); the end of {self.process.log}:\n"
            f"{self.process.last_lines()}"
        )
