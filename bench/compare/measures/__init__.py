"""The measurements of the comparison: each runs contestants in turn and adds cells."""

from __future__ import annotations

from bench.compare.measures import caches, life, targets

MEASURES = {measure.name: measure for measure in (*caches.MEASURES, *targets.MEASURES, *life.MEASURES)}
