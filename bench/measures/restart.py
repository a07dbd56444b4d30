"""A restart of the operator when everything is as it should be: what it asks of the API server, and for how long.

Steady means: every target was looked at and nothing is left to do. Then a while is waited, and what the audit log has
by then counts. Questions about the operator's own rights (one for each storage Secret) and about the version of the
server concern no object; they are listed.
"""

from __future__ import annotations

from time import perf_counter

from bench.figures import Figure, Goal
from bench.progress import Progress
from bench.scene import BESIDES, Scene, reads

STALL_MS = Goal(50.0)


def restart(scene: Scene, progress: Progress, *, rounds: int) -> list[Figure]:
    progress.step("restart with everything in place")
    targets = len(scene.configurations())
    ready, steady, wall, cpu, writes, looks, questions, spent, memory = ([] for _ in range(9))
    for turn in range(rounds):
        mark = scene.plane.audit_log.mark()
        started = perf_counter()
        with scene.operator() as operator:
            operator.wait_ready()
            ready.append(perf_counter() - started)
            operator.wait_settled(targets)
            steady.append(perf_counter() - started)
            spent.append(operator.cpu_seconds)
            scene.wait_quiet()
            stall = operator.stalls.read()
            wall.append(stall[0] * 1e3)
            cpu.append(stall[1] * 1e3)
            memory.append(operator.memory / 2**20)
        sent = scene.requests(mark)
        writes.append(float(sum(event.is_write and event.resource not in BESIDES for event in sent)))
        writes[-1] += sum(event.is_write and event.resource == "events" for event in sent)
        looks.append(float(len(reads(sent))))
        questions.append(float(sum(event.resource in ("selfsubjectaccessreviews", "") for event in sent)))
        progress.count(turn + 1, rounds)
    group, title = "restart", f"restart with {targets} converged targets"
    return [
        Figure(group, "writes", f"{title}: writes", "", tuple(writes), goal=Goal(0, exact=True)),
        Figure(group, "reads", f"{title}: GETs", "", tuple(looks), goal=Goal(0, exact=True)),
        Figure(group, "reviews", f"{title}: questions about own rights and the server's version", "", tuple(questions)),
        Figure(group, "ready", f"{title}: process start to caches complete", "s", tuple(ready)),
        Figure(group, "steady", f"{title}: process start to steady", "s", tuple(steady)),
        Figure(group, "cpu", f"{title}: CPU until steady", "s", tuple(spent)),
        Figure(group, "stall", f"{title}: longest stall of the loop", "ms", tuple(wall), goal=STALL_MS),
        Figure(group, "stall_cpu", f"{title}: longest stall of the loop, CPU", "ms", tuple(cpu)),
        Figure(group, "rss", f"RSS of the operator, {scene.fleet.objects} Deployments", "MiB", tuple(memory)),
    ]
