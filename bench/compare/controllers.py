"""The two controllers that are compared, each as a process on a control plane of its own, with the same fleet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from bench.compare.contestants import CONTROLLER, OURS
from bench.operator import Operator
from bench.scene import Scene
from controller.config import Settings
from tools.controlplane.process import Process, free_port


class GoController(Operator):
    """The controller on controller-runtime, with as many workers as the operator has."""

    def __init__(self, program: Path, kubeconfig: Path, folder: Path) -> None:
        name = f"go-controller-{token_hex(3)}"
        self._health, self._metrics = free_port(), free_port()
        self._process = Process(
            name,
            [
                *(str(program), f"-kubeconfig-file={kubeconfig}", f"-workers={Settings().workers}"),
                *(f"-health-address=127.0.0.1:{self._health}", f"-metrics-address=127.0.0.1:{self._metrics}"),
            ],
            log=folder / f"{name}.log",
        )


class Side:
    """One contestant: its name, its scene, and the program that runs there."""

    def __init__(self, scene: Scene, program: Path | None = None) -> None:
        self.name = OURS if program is None else CONTROLLER
        self.scene = scene
        self.added = 0
        self._program = program

    @property
    def size(self) -> int:
        """What this side was made with: figures stand under it."""
        return self.scene.fleet.annotated

    @property
    def targets(self) -> int:
        """Of all that ask for backup now, `added` came during the run."""
        return self.size + self.added

    def build(self, kubeconfig: Path | None = None) -> Operator:
        """The process, not started; it reaches the server as this kubeconfig says."""
        kubeconfig, folder = kubeconfig or self.scene.kubeconfig, self.scene.plane.folder
        if self._program is None:
            return Operator(kubeconfig, folder)
        return GoController(self._program, kubeconfig, folder)

    @contextmanager
    def running(self, kubeconfig: Path | None = None) -> Iterator[Operator]:
        """The process, from its start to its end."""
        operator = self.build(kubeconfig)
        operator.start()
        try:
            yield operator
        finally:
            operator.stop()
