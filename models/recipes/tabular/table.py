"""Answers to patients that were left out, as rows that `vfx-edge evaluate` reads, too."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.recipes.tabular.errors import NothingShared
from models.recipes.tabular.examples import Examples, Key, check_enough
from vfx_edge.labelled.dataset import Label, Split
from vfx_edge.scoring.cases import patient_of
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.tables import read_vertebrae, write_vertebrae
from vfx_edge.spine.second_readers import log_odds

Floats = NDArray[np.float64]
MODEL = "tabular"
USUAL = (Split.VALIDATION.value, "")
"""Splits whose answers of a network are honest: it was not trained on these."""


@dataclass(frozen=True, eq=False)
class Answered:
    """n fractures that both readers answered. network, tabular: (n,) p(malignant)."""

    patients: tuple[str, ...]
    malignant: NDArray[np.bool_]
    network: Floats
    tabular: Floats

    @property
    def log_odds(self) -> Floats:
        """(n, 2) of network and tabular, as the chain makes them."""
        both = zip(self.network.tolist(), self.tabular.tolist(), strict=True)
        return np.array([[log_odds(1 - p, p) for p in pair] for pair in both], float)


def write_left_out(path: Path, examples: Examples, p: Floats) -> Path:
    """The answers p (n,) as vertebrae.csv has them; OutputError."""
    told = zip(
        *(examples.keys, examples.patients, examples.malignant.tolist(), p.tolist()), strict=True
    )
    rows = [
        VertebraRow(
            MODEL, study, patient, "",
            level=level,
            label=(Label.MALIGNANT if malignant else Label.OSTEOPOROTIC).value,
            p_malignant=value,
            p_osteoporotic=1 - value,
        )
        for (study, level), patient, malignant, value in told
        if np.isfinite(value)
    ]  # fmt: skip
    return write_vertebrae(path, rows)


def answered(network: Iterable[Path], tabular: Path, model: str | None = None) -> Answered:
    """The fractures of the evaluations `network` whose splits no network was trained on, with the
    answers in `tabular`. TableUnreadable, NothingShared."""
    beside = {_key(row): row.p_malignant for row in read_vertebrae(tabular).rows}
    rows = [
        row
        for folder in network
        for row in read_vertebrae(folder / "vertebrae.csv").rows
        if row.label and Label(row.label).fractured and row.split in USUAL
        if (model is None or row.model == model) and _own(row) is not None
    ]
    if len(names := {row.model for row in rows}) > 1:
        raise NothingShared(f"they hold several models ({', '.join(sorted(names))}): name --model")
    shared = {_key(row): row for row in rows if beside.get(_key(row)) is not None}
    if not shared:
        raise NothingShared("no vertebra has an answer of both, outside of the training split")
    kept = list(shared.values())
    malignant = np.array([row.label == Label.MALIGNANT for row in kept], bool)
    check_enough(malignant)
    return Answered(
        tuple(map(patient_of, kept)),
        malignant,
        np.array([_own(row) for row in kept], float),
        np.array([beside[key] for key in shared], float),
    )


def _own(row: VertebraRow) -> float | None:
    """Of the network alone, also where it was part of a fusion when it was evaluated."""
    return row.p_malignant if row.p_network is None else row.p_network


def _key(row: VertebraRow) -> Key:
    return row.study, row.level
