"""What has to be known to read the table; printed beside it."""

from __future__ import annotations

CLAUSES = (
    "Ours is fast mostly by what it does not do: of an object that does not ask for backup it decodes nothing and holds"
    " nothing, of one that does about ten fields. client-go's informers decode and hold every object they are given."
    " Who needs all objects gains nothing from this.",
    "client-go's metadata informer and ours get protobuf, also of custom resources; whole objects ours gets in JSON.",
    "client-go's informers sort objects into a store with a mutex for many readers and notify handlers from goroutines"
    " of their own; ours runs on one event loop. Go uses all cores, one event loop uses one: a wall time is shared with"
    " the API server on the same machine, so CPU time is given beside it.",
    "kopf does more for each event: it detects causes, has a task for each object, logs. What is measured is a bare"
    " `on.event`. It cannot tell that a list has ended; its cold sync ends with the last object. It waits for a"
    " batching window after each object by default, which is in its times.",
    "The official Python client's informer and watch decode every object into models. The glue around the watch of"
    " `kubernetes.aio` is a dictionary and a queue; it does not recover from failures, which ours and client-go do.",
    "Watch events are changes of status, the most frequent kind there is. They concern no backup: ours drops them after"
    " a look at the bytes or at equal rows. At full speed, part of them come out of the connection's buffers.",
    "Memory for each object: private memory after a collection, less that with one object, by the objects in the"
    " cluster, of which one in ten (and at most 1,000) ask for backup. Of a Python process without objects about 60 MB"
    " are the interpreter, its libraries and the modules of the project.",
    "The controller on controller-runtime does the same reconcile and writes two Events for each target, but no status"
    " of blueprints; it watches four kinds of targets where the operator watches eight; it does not look whether"
    " locations collide or Secrets are there. It holds the pod templates of annotated workloads, where the operator"
    " reads each once with a GET and records what matters.",
    "Requests of an idle hour are those of some minutes, and for each open watch as many as the time that it asked for"
    " goes into an hour: ours asks for 30 to 60 minutes, client-go for 5 to 10. Neither side elects a leader.",
    "Of 100,000 objects all asking for backup nothing is measured: configuring them for the first time takes hours on"
    " such a machine. There, 1,000 of them ask.",
    "The API server, etcd (in memory, without fsync) and the contestant share one machine. A real cluster adds latency"
    " of network and disk to both sides, which moves ratios towards one.",
)


def markdown() -> str:
    return "\n".join(f"{number}. {clause}" for number, clause in enumerate(CLAUSES, 1))
