"""Fractures of known cause as rows of features: labels.csv and an evaluation's features.csv."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.recipes.tabular.errors import FeaturesUnreadable, TooFewCases
from vfx_edge.labelled.clinical import clinical_of
from vfx_edge.labelled.dataset import Dataset, Label, Split
from vfx_edge.second_reader import CLINICAL_FEATURES, SIGN
from vfx_edge.tuning.stable import stable_features

Floats = NDArray[np.float64]
Key = tuple[str, str]
"""Study and level."""
LEARNT = (Split.TRAIN, Split.VALIDATION, None)
"""What is learnt from; the test set proves."""
MOST_BYTES = 2**28
LEAST = 10
"""Of each cause: below that no fold holds two."""
_ABOUT = ("model", "study", "patient", "split", "level", "label", "sex", "age", "called", "reason")
"""Columns that are no features."""


@dataclass(frozen=True, eq=False)
class Examples:
    """n fractures. values: (n, features), NaN where not known; malignant: (n,) bool."""

    keys: tuple[Key, ...]
    patients: tuple[str, ...]
    malignant: NDArray[np.bool_]
    names: tuple[str, ...]
    values: Floats

    def __len__(self) -> int:
        return len(self.keys)

    def of_features(self, names: Sequence[str]) -> "Examples":
        """With these columns alone."""
        at = [self.names.index(name) for name in names]
        return Examples(self.keys, self.patients, self.malignant, tuple(names), self.values[:, at])

    @property
    def told(self) -> tuple[str, ...]:
        """Features that are known of some case and are not the same in all."""
        spread = (np.unique(column[np.isfinite(column)]).size > 1 for column in self.values.T)
        return tuple(name for name, so in zip(self.names, spread, strict=True) if so)


def examples_of(
    dataset: Dataset, features: Mapping[Key, Mapping[str, float]] | None = None
) -> Examples:
    """Of the splits that are learnt from. Features of a vertebra that the table lacks are not
    known. TooFewCases."""
    features = features or {}
    more = tuple(dict.fromkeys(name for row in features.values() for name in row))
    names = (*CLINICAL_FEATURES, *more)
    keys, patients, truth, values = [], [], [], []
    for study in dataset.studies:
        clinical = clinical_of(study).features
        for row in study.rows:
            if not row.label.fractured or row.split not in LEARNT:
                continue
            known = {**features.get((study.name, row.level.value), {}), **clinical}
            keys.append((study.name, row.level.value))
            patients.append(row.patient)
            truth.append(row.label is Label.MALIGNANT)
            values.append([known.get(name, math.nan) for name in names])
    malignant = np.array(truth, bool)
    check_enough(malignant)
    return Examples(tuple(keys), tuple(patients), malignant, names, np.array(values, float))


def check_enough(malignant: NDArray[np.bool_]) -> None:
    """TooFewCases."""
    count = int(malignant.sum())
    if min(count, malignant.size - count) < LEAST:
        raise TooFewCases(malignant.size - count, count, LEAST)


def read_features(path: Path) -> dict[Key, dict[str, float]]:
    """An evaluation's features.csv: (study, level) -> feature -> value, without what is empty.
    FeaturesUnreadable."""
    lines = _lines(path)
    if not {"study", "level"} <= set(lines.fieldnames or ()):
        raise FeaturesUnreadable(path, "it has no columns study and level")
    names = [name for name in lines.fieldnames or () if name not in _ABOUT]
    found: dict[Key, dict[str, float]] = {}
    try:
        for line in lines:
            known = {name: value for name in names if (value := _value(line[name])) is not None}
            found[line["study"], line["level"]] = known
    except (csv.Error, ValueError) as error:
        raise FeaturesUnreadable(path, f"line {lines.line_num}: {error}") from None
    return found


def only_stable(
    features: Mapping[Key, Mapping[str, float]], evaluation: Path
) -> dict[Key, dict[str, float]]:
    """Without radiomics that did not repeat in `evaluation`; signs stay. EvaluationUnreadable,
    ModelNotNamed."""
    kept = set(stable_features(evaluation))
    return {
        key: {name: v for name, v in row.items() if name in kept or name.startswith(SIGN)}
        for key, row in features.items()
    }


def _lines(path: Path) -> "csv.DictReader[str]":
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise FeaturesUnreadable(path, error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise FeaturesUnreadable(path, "it is no text in UTF-8") from None
    if len(data) > MOST_BYTES:
        raise FeaturesUnreadable(path, "it is larger than such a table ever is")
    return csv.DictReader(io.StringIO(text, newline=""))


def _value(cell: str | None) -> float | None:
    if cell is None or not cell.strip():
        return None
    value = float(cell)
    return value if math.isfinite(value) else None
