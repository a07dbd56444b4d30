"""The parts of the comparison that need no server: ratios, goals, table, plots, relay, and what is published."""

from __future__ import annotations

import json
import math
import socket
import threading
from xml.etree import ElementTree

import pytest

from bench.compare import publish
from bench.compare.cells import Cell, Cells
from bench.compare.contestants import CONTROLLER, FLOORS, METADATA, OURS
from bench.compare.goals import GOALS, verdicts
from bench.compare.measures import MEASURES
from bench.compare.options import GROUPS, Options
from bench.compare.plots import plots
from bench.compare.report import report
from bench.compare.wire import CountingRelay

MACHINE = {"machine": {"cores": 2}}


def of(*cells: tuple[str, int, str, tuple[float, ...]]) -> Cells:
    return Cells(Cell(*cell) for cell in cells)


def test_a_ratio_is_taken_within_each_turn() -> None:
    # The machine was twice as slow in the second turn; both were.
    cells = of(("cold-sync", 10, OURS, (1.0, 2.0, 1.1)), ("cold-sync", 10, METADATA, (2.0, 4.0, 2.0)))
    ratio = cells.ratio("cold-sync", 10, OURS, METADATA)
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high, ratio.turns) == (0.5, 0.5, 0.55, 3)


def test_nothing_by_nothing_meets_a_goal_and_something_by_nothing_does_not() -> None:
    for ours, met in ((0.0, True), (6.0, False)):
        cells = of(("idle-requests", 10, OURS, (ours,)), ("idle-requests", 10, CONTROLLER, (0.0,)))
        (verdict,) = verdicts(cells)
        assert verdict.met is met
        assert verdict.ratio is not None
        assert math.isfinite(verdict.ratio.value) is met
        assert ("**no**" in report({**MACHINE, "cells": cells.as_json()})) is not met


def test_a_goal_with_nobody_beside_is_a_bound_on_ours() -> None:
    for stall, met in ((12.0, True), (31.0, False)):
        (verdict,) = verdicts(of(("stall", 10, OURS, (stall,)), ("stall", 10, "kopf", (900.0,))))
        assert (verdict.met, verdict.theirs) == (met, None)


def test_more_is_better_where_the_goal_says_so() -> None:
    for rate, met in ((21_000.0, True), (9_000.0, False)):
        cells = of(("event-rate", 10, OURS, (rate,)), ("event-rate", 10, "floor-metadata-protobuf", (20_000.0,)))
        assert [verdict.met for verdict in verdicts(cells)] == [met]


def test_goals_are_about_what_is_measured() -> None:
    assert {goal.measure for goal in GOALS} <= MEASURES.keys()
    floors = {f"floor-{name}" for name in FLOORS}
    assert {goal.against for goal in GOALS} <= {"", CONTROLLER, METADATA, "go-typed", *floors}


def test_cells_survive_json_and_are_forgotten_by_measure_and_size() -> None:
    before = of(("stall", 10, OURS, (1.0, 2.0)), ("stall", 20, OURS, (3.0,)))
    again = Cells.of_json(json.loads(json.dumps(before.as_json())))
    assert list(again) == list(before)
    again.forget({"stall"}, 10)
    again.extend(of(("stall", 20, OURS, (9.0,))))
    assert [(cell.size, cell.samples) for cell in again] == [(20, (3.0, 9.0))]


def test_a_plot_names_everybody_and_is_well_formed() -> None:
    cells = of(
        ("cold-sync", 1_000, OURS, (0.1,)),
        ("cold-sync", 10_000, OURS, (1.0,)),
        ("cold-sync", 10_000, "kopf", (8.0,)),
        ("stall", 1_000, OURS, (5.0,)),
    )
    ((name, picture),) = plots(cells, MEASURES)  # one size alone is no growth
    assert name == "cold-sync"
    texts = [element.text for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert {"ours", "kopf, on.event", "1,000", "10,000"} <= set(texts)


def test_what_is_published_is_made_from_the_samples() -> None:
    document = json.loads(publish.SAMPLES.read_text())
    page = publish.PAGE.read_text()
    assert page.count(publish.BEGIN) == page.count(publish.END) == 1
    shown = page.partition(publish.BEGIN)[2].partition(publish.END)[0].strip()
    assert shown == publish.measured(document)
    pictures = publish.pictures(document)
    assert pictures == {path.name: path.read_text() for path in publish.PICTURES.glob(f"{publish.PREFIX}*.svg")}
    assert pictures


def test_a_relay_passes_on_and_counts_both_directions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                while piece := connection.recv(100):
                    connection.sendall(piece + piece)

        threading.Thread(target=answer, daemon=True).start()
        with CountingRelay(server.getsockname()[1]) as relay:
            with socket.create_connection(("127.0.0.1", relay.port)) as client:
                client.sendall(b"12345")
                got = b""
                while len(got) < 10:
                    got += client.recv(100)
            assert got == b"1234512345"
            assert relay.bytes == 15


def test_the_command_line_of_the_docs() -> None:
    options = Options.parse(["--size", "10k,1k", "--only", "cold-sync"])
    assert (options.sizes, options.only) == ((1_000, 10_000), frozenset({"cold-sync"}))
    assert Options.parse([]).only == frozenset(GROUPS)
    with pytest.raises(SystemExit):
        Options.parse(["--size", "many"])
