"""What can be said of a cluster's parts without starting one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tools.cluster import Cluster, ClusterError, cgroups, preconditions, why_not
from tools.cluster.node import ADDRESS, Node
from tools.image import Archive
from tools.image.handmade import write_archive

VERSION_1 = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
proc /proc proc rw 0 0
"""
NODE = Node(folder=Path("/f"), cgroup="g", cni_plugins=Path("/plugins"))


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in why_not()
    with pytest.raises(ClusterError, match="needs root"):
        Cluster().start()


def test_a_machine_without_namespaces_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preconditions, "require_programs", lambda *_, **__: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "Operation not permitted" in why_not()


def test_a_cluster_that_does_not_run_says_so() -> None:
    cluster = Cluster()
    for ask in (lambda: cluster.folder, lambda: cluster.state, cluster.client):
        with pytest.raises(ClusterError, match="was not started"):
            ask()
    assert not cluster.running
    cluster.stop()


def test_hierarchies_of_both_versions_are_found() -> None:
    assert cgroups.hierarchies(VERSION_1) == [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/unified")]
    assert cgroups.hierarchies("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == [Path("/sys/fs/cgroup")]


def make_groups(root: Path, *names: str, process: str = "") -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "cgroup.procs").write_text(process)


def test_only_old_groups_without_processes_are_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On plain folders, in which the kernel's files have to be removed by hand."""
    roots = [tmp_path / "cpu", tmp_path / "memory"]
    for root in roots:
        make_groups(root, "autobackup-node-dead", "autobackup-node-dead/pod", "autobackup-node-live", "other")
        make_groups(root, "autobackup-node-young")
    (roots[1] / "autobackup-node-live" / "cgroup.procs").write_text("17\n")
    for folder in [*roots[0].iterdir(), *roots[1].iterdir()]:
        os.utime(folder, (0, 0))
    for root in roots:
        os.utime(root / "autobackup-node-young")
    removing = Path.rmdir

    def rmdir(folder: Path) -> None:
        (folder / "cgroup.procs").unlink()
        removing(folder)

    monkeypatch.setattr(Path, "rmdir", rmdir)
    assert cgroups.remove_abandoned(roots=roots) == ["autobackup-node-dead"]
    for root in roots:
        left = sorted(path.name for path in root.iterdir())
        assert left == ["autobackup-node-live", "autobackup-node-young", "other"]


def test_all_a_node_writes_is_below_its_folder() -> None:
    kubelet = json.loads(NODE.kubelet())
    assert kubelet["cgroupRoot"] == "/g"
    assert kubelet["volumePluginDir"].startswith("/f/")
    commands = NODE.commands(Path("/p"), {name: Path(f"/k/{name}") for name in ("kubelet", "scheduler", "proxy")})
    assert "--root-dir=/f/kubelet" in commands["kubelet"]
    assert f"--node-ip={ADDRESS}" in commands["kubelet"]
    assert {Path(command[0]).name for command in commands.values()} == set(commands)
    assert 'root = "/f/containerd"' in NODE.containerd()
    assert json.loads(NODE.network())["plugins"][0]["ipam"]["dataDir"].startswith("/f/")


def test_a_handmade_image_is_an_image(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar", "localhost/a:1", {"bin/a": b"xyz", "bin/b": "a"}, command=("/bin/a",))
    archive = Archive(path)
    assert archive.name == "localhost/a:1"
    assert archive.config["config"]["Cmd"] == ["/bin/a"]
    assert archive.names() == {"bin/a", "bin/b"}
    assert archive.read("bin/a") == b"xyz"
    again = write_archive(tmp_path / "b.tar", "localhost/a:1", {"bin/a": b"xyz", "bin/b": "a"}, command=("/bin/a",))
    assert again.read_bytes() == path.read_bytes()
