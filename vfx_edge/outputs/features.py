"""`features.csv`: radiomics, a row for each vertebra; `features.json`: how they were computed."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vfx_edge.files import write_text
from vfx_edge.outputs.kinds import Request
from vfx_edge.radiomics import FEATURES, Measured, measured, settings_told
from vfx_edge.study import Analysis

TABLE, SETTINGS = "features.csv", "features.json"
ABOUT = ("level", "reason")
"""Columns before the features. reason: why there are none; such cells are empty."""


def write(request: Request) -> tuple[Path, ...]:
    """The kind `radiomics`."""
    return write_features(request.analysis, request.folder)


def write_features(analysis: Analysis, folder: Path) -> tuple[Path, ...]:
    """Both files. One vertebra after the other: mirp keeps what it has computed in a place that
    all threads share. RadiomicsMissing; OutputError when a file can't be written."""
    from vfx_edge.radiomics.mirp_features import ibsi_names, mirp_version

    image = analysis.scan.image
    rows = [(mask.vertebra.level.value, measured(image, mask)) for mask in analysis.masks]
    told = settings_told(mirp_version()) | {"features": ibsi_names()}
    return (
        write_text(folder / TABLE, _table(rows)),
        write_text(folder / SETTINGS, json.dumps(told, indent=1) + "\n"),
    )


def _table(rows: Sequence[tuple[str, Measured]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ABOUT, *FEATURES])
    writer.writerows([level, one.reason, *cells(one.features)] for level, one in rows)
    return text.getvalue()


def cells(features: Mapping[str, float]) -> list[str]:
    """In the order of the columns: the shortest number that gives the same back; "" for NaN."""
    values = (float(features[name]) for name in FEATURES)
    return ["" if math.isnan(value) else repr(value) for value in values]
