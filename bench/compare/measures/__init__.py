"""The measurements of the comparison: each runs contestants in turn and adds cells."""

from __future__ import annotations

from bench.compare.measures import caches, decoding, life, targets

_ALL = (*caches.MEASURES, *targets.MEASURES, *life.MEASURES, *decoding.MEASURES)
MEASURES = {measure.name: measure for measure in _ALL}
