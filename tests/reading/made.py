"""A folder of labelled studies of some voxels each, whose centres are known, and a program's
answers: a case a study."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vfx_edge.image import Image
from vfx_edge.labelled.dataset import Dataset
from vfx_edge.labelled.reading import read_dataset
from vfx_edge.outputs.nifti import centroids_of, write_image
from vfx_edge.reading.case import cases_to_read
from vfx_edge.reading.log import Log
from vfx_edge.reading.session import Session
from vfx_edge.scoring.cases import cases_of
from vfx_edge.scoring.predictions import predicted, read_predictions
from vfx_edge.study import Level, Point, Vertebra

NAMES = ("Meyer-Anna", "Schulz-Bert", "Nagel-Cleo", "Kunze-Dora")
LABELS = ("malignant", "osteoporotic", "malignant", "osteoporotic")
LEVELS = ("L1", "T12", "L3", "T8")
CENTRE: Point = (-20.0, 10.0, 100.0)
HEAD = ("study", "patient", "level", "label")
AFFINE = np.array([[0, 0, 4.0, -100], [0, 4.0, 0, -70], [4.0, 0, 0, 20], [0, 0, 0, 1]])


def image(seed: int) -> Image:
    """Noise of soft tissue in air, and a bright ball about CENTRE; 4 mm voxels."""
    grid = np.stack(np.meshgrid(*map(np.arange, (40, 40, 40)), indexing="ij"), -1).reshape(-1, 3)
    far = np.linalg.norm(grid @ AFFINE[:3, :3].T + AFFINE[:3, 3] - CENTRE, axis=1)
    noise = np.random.default_rng(seed).normal(0, 30, len(grid))
    hu = np.where(far < 18, 700, np.where(far < 65, 40, -1000)) + noise
    return Image(hu.reshape(40, 40, 40).astype(np.int16), AFFINE.copy(), "CT", "HU")


def written(
    folder: Path,
    count: int = 3,
    labels: Sequence[str] = LABELS,
    tiers: Sequence[str] = LABELS,
) -> Path:
    """The folder, with labels.csv and predictions.csv. tiers: what the program answers."""
    for number, name in enumerate(NAMES[:count]):
        scan = image(number)
        place = folder / "rawdata" / name
        place.mkdir(parents=True)
        write_image(scan.values, scan, place / f"{name}_ct.nii.gz")
        level = Level(LEVELS[number])
        centres = centroids_of(scan, [Vertebra(level, CENTRE, 1.0)])
        (place / f"{name}_ctd.json").write_text(json.dumps(centres))
    rows = [(NAMES[i], f"p{i}", LEVELS[i], labels[i]) for i in range(count)]
    write_csv(folder / "labels.csv", HEAD, rows)
    chances = {"malignant": 0.9625, "uncertain": 0.5125, "osteoporotic": 0.0625}
    said = [(NAMES[i], LEVELS[i], chances[tiers[i]], tiers[i]) for i in range(count)]
    write_csv(folder / "predictions.csv", ("study", "level", "p_malignant", "tier"), said)
    return folder


def session(data: Path, out: Path, reader: str = "anna", **more: Any) -> Session:
    """As the command makes it, with the predictions for a program."""
    dataset: Dataset = read_dataset(data)
    program = read_predictions(data / "predictions.csv", "him")
    rows = [row for study in dataset.studies for row in predicted(program, study).vertebrae]
    cases = cases_to_read(cases_of(rows, False).rows, dataset.studies, {})
    return Session(cases, Log(out, reader), reader, "him", **{"seed": 5, **more})


def lines(file: Path) -> list[Mapping[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table, its header first."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        writer.writerows(rows)
