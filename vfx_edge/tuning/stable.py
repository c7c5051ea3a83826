"""Which features go on: those that `vfx-edge evaluate --repeat --radiomics` found stable."""

import csv
import io
import os
from pathlib import Path

from vfx_edge.scoring.repeat_features import COLUMNS, STABLE
from vfx_edge.tuning.errors import EvaluationUnreadable, ModelNotNamed

MOST_BYTES = 2**24


def stable_features(evaluation: Path, model: str | None = None) -> tuple[str, ...]:
    """The stable ones, in the table's order. evaluation: the folder. model: whose, where it holds
    several model sets. EvaluationUnreadable; ModelNotNamed."""
    rows = _rows(evaluation)
    models = list(dict.fromkeys(row["model"] for row in rows))
    if (model is None and len(models) > 1) or (model is not None and model not in models):
        raise ModelNotNamed(model, models)
    wanted = model or models[0]
    return tuple(
        row["feature"] for row in rows if row["model"] == wanted and row["stable"] == "true"
    )


def _rows(evaluation: Path) -> list[dict[str, str]]:
    path = evaluation / STABLE
    if not os.path.isfile(path):
        why = f"it has no {STABLE}: run it with --repeat --radiomics"
        raise EvaluationUnreadable(evaluation, why)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationUnreadable(evaluation, f"{STABLE} can't be read") from error
    if not rows or not set(COLUMNS) <= rows[0].keys():
        raise EvaluationUnreadable(evaluation, f"{STABLE} has other columns")
    return rows
