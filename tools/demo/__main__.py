"""`python -m tools.demo`: choose the stage, perform, clean up, and tell with the exit code how it went."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import AbstractContextManager

from tools.controlplane import ApiFailure, ApiUnreachable, BuildFailed, ControlPlaneError, NotInTime, binaries
from tools.demo import borrowed, operatorprocess, staying, throwaway
from tools.demo.cast import CONFIGURATION, EVENT, REPOSITORY
from tools.demo.failure import DemoFailed, DemoRefused
from tools.demo.lookout import Lookout
from tools.demo.narration import Narrator
from tools.demo.operatorprocess import OperatorProcess
from tools.demo.options import Options, read
from tools.demo.prompt import Prompt
from tools.demo.stage import BLUEPRINT, Stage
from tools.demo.story import Story

_OBSERVED, _FAILED, _REFUSED, _INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    options = read(sys.argv[1:], os.environ)
    narrator = Narrator(sys.stdout, environ=os.environ)
    try:
        if options.kubeconfig:
            proposal = borrowed.propose(options.kubeconfig)
            _ask(proposal, options, narrator)
        else:
            proposal = None
            binaries()  # a build takes minutes and is not part of the performance
    except (DemoRefused, BuildFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return _REFUSED
    except KeyboardInterrupt:
        return _INTERRUPTED

    def stage() -> AbstractContextManager[Stage]:
        return borrowed.stage(proposal, narrator) if proposal else throwaway.stage(narrator)

    if options.keep:
        return staying.run_apart(lambda leave: perform(stage(), options, narrator, leave=leave))
    return perform(stage(), options, narrator, leave=None)


def perform(
    stage: AbstractContextManager[Stage], options: Options, narrator: Narrator, *, leave: staying.Leave | None
) -> int:
    """Everything from the first server to the last trace of it; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    try:
        narrator.chapter("A cluster, and the operator beside it")
        with stage as ready:
            _play(ready, options, narrator, leave=leave)
    except KeyboardInterrupt:
        narrator.result("\nInterrupted; everything that the demo made was removed.")
        return _INTERRUPTED
    except (DemoFailed, DemoRefused, ControlPlaneError, NotInTime, ApiFailure, ApiUnreachable) as error:
        narrator.failure(str(error))
        return _FAILED
    except borrowed.NotRemoved as error:
        narrator.failure(str(error))
        return _FAILED
    narrator.result(f"\nEvery step was observed on the API server, in {time.monotonic() - began:.0f} s.")
    return _OBSERVED


def _play(stage: Stage, options: Options, narrator: Narrator, *, leave: staying.Leave | None) -> None:
    show = narrator.log_line if options.verbose else None
    with operatorprocess.running(stage, show=show) as operator:
        narrator.say(f"The operator is process {operator.pid}, its log is {operator.log}.")
        lookout = Lookout(stage.connect, timeout=options.timeout, alarm=operator.trouble)
        try:
            for kind in (REPOSITORY, CONFIGURATION, EVENT):
                lookout.start(kind, namespace=stage.names.namespace)
            lookout.start(BLUEPRINT)
            operator.wait_ready(options.timeout)
            narrator.seen("the operator is ready, and the demo's own watches are open")
            prompt = Prompt(stage, narrator)
            Story(stage, admin=stage.connect(), lookout=lookout, narrator=narrator, prompt=prompt).play()
        except (DemoFailed, ApiFailure, ApiUnreachable) as error:
            raise DemoFailed(
                f"{error}\nThe operator's log is {operator.log}; it ends with:\n{operator.last_lines()}"
            ) from error
        finally:
            lookout.stop()
        if leave is not None:
            _tell_how_to_go_on(stage, operator, narrator)
            leave()
            staying.wait_for_end()


def _tell_how_to_go_on(stage: Stage, operator: OperatorProcess, narrator: Narrator) -> None:
    narrator.chapter("It goes on")
    narrator.result(f"   export KUBECONFIG={stage.kubeconfig}")
    narrator.result(f"   kubectl get backupconfigurations -n {stage.names.namespace}")
    narrator.result(f"   tail -f {operator.log}")
    narrator.result(f"   kill {os.getpid()}    # stops the operator and removes everything")
    narrator.result("\nEvery step was observed on the API server.")


def _ask(proposal: borrowed.Proposal, options: Options, narrator: Narrator) -> None:
    narrator.result("The demo would use your cluster:")
    for line in proposal.lines():
        narrator.result(f"  {line}")
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise DemoRefused("nobody is there to ask: say YES=1, or unset KUBECONFIG for a throw-away cluster")
    try:
        answer = input("Go on? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise DemoRefused("nothing was done; unset KUBECONFIG for a throw-away cluster")


def _interrupt(*_: object) -> None:
    """Begin to clean up; an impatient second signal would leave things behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
