"""Made-up maps of what an answer depends on."""

from dataclasses import replace

import numpy as np

from tests.outputs.fakes import axis_aligned
from vfx_edge.image import Image
from vfx_edge.study import Analysis, Explained, Explanation, Level, Point

SIDE = 64
PLACE_MM = (9.0, -14.0, 6.0)
"""From the vertebra's centroid: to the left, in front, towards the head."""


def map_of(level: Level, centroid: Point, change: float, unlike: float | None = 0.0) -> Explanation:
    """A bump at PLACE_MM from the centroid, NaN in the crop's corners."""
    origin = np.array(centroid) - (SIDE - 1) / 2
    z, y, x = np.meshgrid(*(np.arange(SIDE) - (SIDE - 1) / 2,) * 3, indexing="ij")
    far = np.linalg.norm(np.stack([x, y, z], -1) - PLACE_MM, axis=-1)
    values = (change * np.exp(-((far / 6) ** 2) / 2)).astype(np.float32)
    values[np.linalg.norm(np.stack([x, y, z], -1), axis=-1) > 38] = np.nan
    place = tuple(float(a + b) for a, b in zip(centroid, PLACE_MM, strict=True))
    said = Explained(20.0, 13.0, 57, 0.94, change, (place[0], place[1], place[2]), unlike)
    return Explanation(
        level, Image(values, axis_aligned(origin.tolist(), (1, 1, 1)), "CT", "1"), said
    )


def explained(analysis: Analysis, **changes: float) -> Analysis:
    """With a map of each of these levels: its largest change."""
    centroids = {f.vertebra.level: f.vertebra.centroid_lps_mm for f in analysis.findings}
    maps = tuple(map_of(Level(name), centroids[Level(name)], v) for name, v in changes.items())
    said = {one.level: one.said for one in maps}
    findings = tuple(replace(f, explained=said.get(f.vertebra.level)) for f in analysis.findings)
    result = replace(analysis.result, findings=findings)
    return replace(analysis, result=result, explanations=maps)
