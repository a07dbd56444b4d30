"""The registry: names, labels, zeros from the start, and the adapters that feed it."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from controller import families as f
from controller.looplag import watch_loop_lag
from controller.metrics import DROP_REASONS, RESULTS, Metrics
from controller.priorities import BANDS, FAN_OUT
from controller.workqueue import WorkQueue
from reconcilers.keys import Key
from tests.support.virtualtime import LoopClock, run_scenario

KEY = Key("Deployment", "shop", "web")


def sample(metrics: Metrics, series: str, /, **labels: str) -> float | None:
    metrics.refresh()
    return metrics.registry.get_sample_value(series, labels)


def test_every_family_is_exported_with_its_type_and_help() -> None:
    metrics = Metrics(version="1.2.3")
    exported = {m.name: m for m in text_string_to_metric_families(generate_latest(metrics.registry).decode())}
    for family in f.FAMILIES:
        shown = exported[family.name.removesuffix("_total")]
        assert (shown.type, shown.documentation) == (family.type, family.help)


def test_family_names_are_unique_and_say_their_unit() -> None:
    names = [family.name for family in f.FAMILIES]
    assert len(names) == len(set(names))
    for family in f.FAMILIES:
        assert (family.type is f.Type.COUNTER) == family.name.endswith("_total")
        assert (family.type is f.Type.HISTOGRAM) == bool(family.buckets)
        assert len(family.buckets) <= 10
        assert family.help.endswith(".")


def test_no_series_of_creation_times() -> None:
    metrics = Metrics(version="1")
    metrics.reconciles("Deployment")
    assert b"_created" not in generate_latest(metrics.registry)


def test_nothing_goes_to_the_global_registry_and_two_can_live_in_one_process() -> None:
    one, other = Metrics(version="1"), Metrics(version="1")
    one.event_dropped("overflow")
    assert sample(one, "autobackup_events_dropped_total", reason="overflow") == 1
    assert sample(other, "autobackup_events_dropped_total", reason="overflow") == 0


def test_known_label_sets_are_there_at_zero() -> None:
    metrics = Metrics(version="1")
    metrics.reconciles("Deployment")
    metrics.queue("targets")
    metrics.preset(f.APPLIES, ["Repository"], ["applied", "noop"])
    for result in RESULTS:
        assert sample(metrics, "controller_runtime_reconcile_total", controller="Deployment", result=result) == 0
    for reason in DROP_REASONS:
        assert sample(metrics, "autobackup_events_dropped_total", reason=reason) == 0
    for priority in BANDS:
        assert sample(metrics, "workqueue_depth", name="targets", priority=str(priority)) == 0
    assert sample(metrics, "workqueue_retries_total", name="targets") == 0
    assert sample(metrics, "autobackup_apply_total", kind="Repository", result="noop") == 0


def test_build_info_and_the_process_itself() -> None:
    metrics = Metrics(version="1.2.3")
    text = generate_latest(metrics.registry).decode()
    assert 'autobackup_build_info{python="3.' in text
    assert 'version="1.2.3"} 1.0' in text
    for name in ("process_resident_memory_bytes", "python_gc_collections_total", "python_info"):
        assert f"\n{name}" in text


def test_a_queue_is_observed() -> None:
    async def scenario(clock: LoopClock) -> None:
        metrics = Metrics(version="1")
        observer = metrics.queue("targets")
        queue: WorkQueue[Key] = WorkQueue(clock, observer=observer)
        observer.bind(queue)
        queue.add(KEY, priority=FAN_OUT)
        assert sample(metrics, "workqueue_depth", name="targets", priority=str(FAN_OUT)) == 1
        await clock.sleep(2)
        await queue.get()
        await clock.sleep(3)
        assert sample(metrics, "workqueue_unfinished_work_seconds", name="targets") == 3
        assert sample(metrics, "workqueue_longest_running_processor_seconds", name="targets") == 3
        queue.retry(KEY)
        queue.done(KEY)
        assert sample(metrics, "workqueue_depth", name="targets", priority=str(FAN_OUT)) == 0
        assert sample(metrics, "workqueue_adds_total", name="targets") == 1
        assert sample(metrics, "workqueue_retries_total", name="targets") == 1
        assert sample(metrics, "workqueue_queue_duration_seconds_sum", name="targets") == 2
        assert sample(metrics, "workqueue_work_duration_seconds_sum", name="targets") == 3
        assert sample(metrics, "workqueue_unfinished_work_seconds", name="targets") == 0

    run_scenario(scenario)


def test_reconciles_count_results_time_and_errors() -> None:
    metrics = Metrics(version="1")
    controller = metrics.reconciles("Deployment")
    assert metrics.reconciles("Deployment") is controller
    controller.reconciled("success", 0.5)
    controller.reconciled("error", 1.5)
    controller.active.inc()
    assert sample(metrics, "controller_runtime_reconcile_total", controller="Deployment", result="error") == 1
    assert sample(metrics, "controller_runtime_reconcile_errors_total", controller="Deployment") == 1
    assert sample(metrics, "controller_runtime_reconcile_time_seconds_sum", controller="Deployment") == 2
    assert sample(metrics, "controller_runtime_active_workers", controller="Deployment") == 1
    with pytest.raises(KeyError):
        controller.reconciled("succes", 0.1)


def test_requests_count_by_code_method_and_host() -> None:
    metrics = Metrics(version="1")
    metrics.request("GET", "127.0.0.1:6443", "200", 0.25)
    metrics.request("GET", "127.0.0.1:6443", "200", 0.25)
    metrics.request("PATCH", "127.0.0.1:6443", "<error>", 5.0)
    host = "127.0.0.1:6443"
    assert sample(metrics, "rest_client_requests_total", code="200", method="GET", host=host) == 2
    assert sample(metrics, "rest_client_requests_total", code="<error>", method="PATCH", host=host) == 1
    assert sample(metrics, "rest_client_request_duration_seconds_sum", verb="GET", host=host) == 0.5


def test_a_family_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="autobackup_targets is a gauge, not a counter"):
        Metrics(version="1").counter(f.TARGETS)


def test_the_lag_of_the_loop_is_what_a_timer_waited_too_long() -> None:
    async def scenario(clock: LoopClock) -> None:
        metrics = Metrics(version="1")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(watch_loop_lag(clock, metrics.loop_lag.observe, every=1.0))
            await clock.sleep(0.5)
            clock.spent += 0.3  # a computation that should have been elsewhere
            await clock.sleep(1.0)
            task.cancel()
        assert sample(metrics, "autobackup_event_loop_lag_seconds_sum") == pytest.approx(0.3)

    run_scenario(scenario)
