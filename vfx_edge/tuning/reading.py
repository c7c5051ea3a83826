"""A folder that `vfx-edge evaluate` wrote -> the cases that a set can be calibrated on."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.evaluation.temperature import SATURATED
from vfx_edge.labelled.dataset import Label, Problem, Split
from vfx_edge.manifest import ModelManifest, load_model_set
from vfx_edge.scoring.cases import patient_of
from vfx_edge.scoring.json_file import read_json
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.tables import MOST_BYTES, read_vertebrae
from vfx_edge.tuning.errors import (
    EvaluationUnreadable,
    HasFusion,
    ModelNotNamed,
    ModelSetChanged,
    NoClassifier,
    NotOfAModelSet,
    OneClassOnly,
    SplitEmpty,
)

USUAL = (Split.VALIDATION.value,)
"""Where no split is named: what neither trained the network nor is to prove it."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Fractures of known cause that a network answered, n of them."""

    p: NDArray[np.float64]
    """(n, 2): osteoporotic, malignant; never nearer to 0 or 1 than 32 bits tell."""
    malignant: NDArray[np.bool_]
    patients: tuple[str, ...]
    splits: tuple[str, ...]
    """Those that they are of; "" where labels.csv names none."""
    unanswered: int = 0
    """Of the same splits, which the network gave no probability."""

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def patient_count(self) -> int:
        return len(set(self.patients))


@dataclass(frozen=True)
class Evaluated:
    """Whose answers they are, as evaluation.json names it.

    name: in the rows. set_name, digest, folder: of the model set; "" where the answers were read
    from results or from another program's table.
    """

    name: str
    set_name: str = ""
    digest: str = ""
    folder: str = ""

    def manifest(self, elsewhere: str | None = None) -> ModelManifest:
        """The set as it lies there now, elsewhere: where it lies, if it was moved. ModelError
        leaves; NotOfAModelSet."""
        if not self.digest and elsewhere is None:
            raise NotOfAModelSet(self.name)
        found = load_model_set(elsewhere or _place(self))
        if self.digest and found.digest != self.digest:
            raise ModelSetChanged(found.name, found.digest, self.digest)
        if "classifier" not in found.roles:
            raise NoClassifier(found.name)
        if "fusion" in found.roles:
            raise HasFusion(found.name)
        return found


@dataclass(frozen=True)
class Evaluation:
    """cells: what is wrong with cells of vertebrae.csv, which count as empty."""

    folder: Path
    model: Evaluated
    cases: Cases
    cells: tuple[Problem, ...] = ()


def read_evaluation(
    folder: Path, model: str | None = None, splits: Sequence[str] = ()
) -> Evaluation:
    """model: which of several; splits: whose cases count, `USUAL` and those without a split where
    none is named. Raises EvaluationUnreadable, ModelNotNamed, SplitEmpty, OneClassOnly, and
    TableUnreadable of the rows."""
    if not os.path.isdir(folder):  # Path's own raises where the name is too long
        raise EvaluationUnreadable(folder, "there is no such folder")
    table = read_vertebrae(folder / "vertebrae.csv")
    known = list(dict.fromkeys(row.model for row in table.rows))
    if (model or len(known) != 1) and model not in known:
        raise ModelNotNamed(model, known)
    name = model or known[0]
    rows = [row for row in table.rows if row.model == name]
    return Evaluation(folder, _evaluated(folder, name), _cases(rows, splits), table.problems)


def _place(model: Evaluated) -> str | Path:
    there = model.folder and os.path.isdir(model.folder)
    return Path(model.folder) if there else model.set_name or model.name


def _evaluated(folder: Path, name: str) -> Evaluated:
    """What evaluation.json says of the set: `run.model_sets`."""
    path = folder / "evaluation.json"
    if not os.path.isfile(path):  # nor a pipe, which may never end
        raise EvaluationUnreadable(folder, "evaluation.json is missing")
    try:
        content = read_json(path, MOST_BYTES)
    except OSError as error:
        why = f"evaluation.json can't be read: {error.strerror or type(error).__name__}"
        raise EvaluationUnreadable(folder, why) from None
    except ValueError as error:
        raise EvaluationUnreadable(folder, f"of evaluation.json {error}") from None
    run = content.get("run") if isinstance(content, dict) else None
    listed = run.get("model_sets") if isinstance(run, dict) else None
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and one.get("name") == name:
            return Evaluated(name, *(_text(one.get(key)) for key in ("set", "digest", "folder")))
    return Evaluated(name)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _cases(rows: Sequence[VertebraRow], splits: Sequence[str]) -> Cases:
    """Rows of the splits that are fractures and were answered; SplitEmpty, OneClassOnly."""
    fractures = [row for row in rows if row.label and Label(row.label).fractured]
    wanted = tuple(splits) or (*USUAL, "")
    own = [row for row in fractures if row.split in wanted]
    answered = [row for row in own if _is_answered(row)]
    if not answered:
        there = Counter(row.split for row in fractures if _is_answered(row))
        named = [f"{split or 'without a split'} ({count})" for split, count in there.items()]
        raise SplitEmpty(tuple(splits) or USUAL, named)
    labels = {row.label for row in answered}
    if len(labels) < 2:
        raise OneClassOnly(len(answered), labels.pop())
    return Cases(
        _probabilities(answered),
        np.array([row.label == Label.MALIGNANT for row in answered]),
        tuple(map(patient_of, answered)),
        tuple(dict.fromkeys(row.split for row in answered)),
        len(own) - len(answered),
    )


def _is_answered(row: VertebraRow) -> bool:
    """Neither cause at all says nothing of which it is."""
    return row.p_malignant is not None and (row.p_malignant, row.p_osteoporotic) != (0, 0)


def _probabilities(rows: Sequence[VertebraRow]) -> NDArray[np.float64]:
    """(n, 2), each row's sum 1. A stated 0 or 1 was rounded to it, if by nothing else by its 32
    bits: it becomes the middle of what was rounded so."""
    malignant = np.array([row.p_malignant for row in rows], np.float64)
    given = [row.p_osteoporotic for row in rows]
    other = np.where([p is None for p in given], 1 - malignant, np.array(given, np.float64))
    both = np.stack([other, malignant], 1)
    unit = next((10.0**-d for d in range(1, 7) if _rounded_to(both, d)), 2 * SATURATED)
    both = both.clip(unit / 2, 1 - unit / 2)
    return np.asarray(both / both.sum(1, keepdims=True))


def _rounded_to(p: NDArray[np.float64], digits: int) -> bool:
    return bool((np.abs(p - p.round(digits)) < SATURATED / 10).all())
