"""`vfx-edge phantom DIR --studies N`: a cohort of phantoms in VerSe's layout, with labels.csv."""

import signal
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import typer

from vfx_edge.cli import folders
from vfx_edge.cli.progress import ShareProgress
from vfx_edge.files import write_text
from vfx_edge.image import Image
from vfx_edge.labelled.dataset import Dataset, Facts, Label, LabelledStudy, Row, Split
from vfx_edge.labelled.writing import labels_csv
from vfx_edge.outputs.corrected import write_case
from vfx_edge.parallel import cores
from vfx_edge.phantom.cohort import CohortStudy, draw_cohort, make_study, readings
from vfx_edge.phantom.cohort.about import description, readme
from vfx_edge.room import MemoryRanOut
from vfx_edge.study import Vertebra
from vfx_edge.vocabulary import Level

SHOWN = 0.5
"""A vertebra's centre is stated where so much of its body is in view."""


def write_cohort(folder: Path, studies: int, seed: int, levels: tuple[str, str]) -> None:
    """Everything of the cohort, labels.csv last. OutputError leaves."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise typer.BadParameter(f"{folder} is not empty: name another folder for the cohort")
    try:
        drawn = draw_cohort(studies, seed, levels)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    folders.check_writable(folder)
    write_text(folder / "dataset_description.json", description(studies, seed))
    write_text(folder / "README.md", readme(studies, seed))
    _write_all(folder, drawn)
    write_text(folder / "labels.csv", labels_csv(labels_of(folder, drawn)))


def labels_of(folder: Path, drawn: Iterable[CohortStudy]) -> Dataset:
    """What is known of each study, as it will be read from labels.csv."""
    studies: list[LabelledStudy] = []
    number = 2  # the header is line 1
    for study in drawn:
        rows = _rows(study, number)
        number += len(rows)
        name = f"sub-{study.name}"
        studies.append(
            LabelledStudy(
                name,
                study.patient,
                folder / "rawdata" / name / f"{name}_ct.nii.gz",
                Split(study.split),
                rows,
            )
        )
    return Dataset(folder, tuple(studies))


def _rows(study: CohortStudy, first: int) -> tuple[Row, ...]:
    said = readings(study)
    return tuple(
        Row(
            first + i,
            f"sub-{study.name}",
            study.patient,
            Level(level),
            Label(label),
            Split(study.split),
            _facts(study, level),
            said.get(level, {}),
        )
        for i, (level, label) in enumerate(study.labels.items())
    )


def _facts(study: CohortStudy, level: str) -> Facts:
    return Facts(
        study.genant(level), "synthetic", study.sex, float(study.age), study.contrast, study.scanner
    )


def _write_all(folder: Path, drawn: tuple[CohortStudy, ...]) -> None:
    workers = min(cores(), len(drawn))
    try:
        with (
            ShareProgress() as progress,
            ProcessPoolExecutor(workers, get_context("spawn"), _ignore_interrupts) as pool,
        ):
            written = pool.map(partial(_write_study, folder), drawn)
            for done, _ in enumerate(written, 1):
                progress.step(f"{done} of {len(drawn)} studies", done / len(drawn))
    except BrokenProcessPool:
        raise MemoryRanOut from None


def _ignore_interrupts() -> None:
    """The command itself is told, and ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_study(folder: Path, study: CohortStudy) -> None:
    hu, phantom = make_study(study)
    shown = [
        Vertebra(Level(v.level), v.centroid_lps_mm, 1.0, v.whole_in_view)
        for v in phantom.truth.levels
        if v.body_share_in_view >= SHOWN
    ]
    image = Image(hu, phantom.affine_zyx_to_lps, "CT", "HU")
    write_case(image, phantom.labels, shown, folder, study.name)
