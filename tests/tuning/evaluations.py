"""Evaluations whose figures are known, as `vfx-edge evaluate` writes them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vfx_edge.manifest import ModelManifest
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.tables import write_vertebrae


def cases(
    count: int,
    model: str,
    *,
    seed: int = 0,
    split: str = "validation",
    per_patient: int = 1,
    too_sure: float = 1.0,
) -> list[VertebraRow]:
    """Half of them malignant. too_sure: the log odds that the network states are so many times
    the true ones."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        malignant = number % 2 == 1
        # of two normals with the same spread, the log odds are twice the distance from the middle
        odds = 2 * rng.normal(1 if malignant else -1)
        p = 1 / (1 + np.exp(-np.float32(odds * too_sure)))
        made.append(
            VertebraRow(
                model=model,
                study=f"s{number // per_patient}",
                patient=f"p{number // per_patient}",
                split=split,
                level=f"L{1 + number % per_patient}",
                label="malignant" if malignant else "osteoporotic",
                row=number + 2,
                p_osteoporotic=float(1 - p),
                p_malignant=float(p),
                tier="uncertain",
            )
        )
    return made


def write(
    folder: Path, rows: Sequence[VertebraRow], source: ModelManifest | None, **facts: str
) -> Path:
    """The two files that are read. source: the set that answered; facts: other than it has."""
    folder.mkdir(parents=True, exist_ok=True)
    write_vertebrae(folder / "vertebrae.csv", rows)
    sets = []
    if source is not None:
        own = {"set": source.name, "digest": source.digest, "folder": str(source.directory)}
        sets.append({"name": rows[0].model, "version": source.version} | own | facts)
    content = {"schema": "vfx-edge/evaluation/1", "run": {"model_sets": sets}}
    (folder / "evaluation.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def of_split(rows: Sequence[VertebraRow], split: str) -> list[VertebraRow]:
    return [replace(row, split=split) for row in rows]
