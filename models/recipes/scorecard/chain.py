"""Model sets to be scored, and the product's own chain run with them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.backends import OpenModels, open_models
from vfx_edge.manifest import load_model_set
from vfx_edge.pipeline import analyze
from vfx_edge.stages.locate import NoSpineInView
from vfx_edge.study import Analysis, Volume

SPINE_ROLES = ("locator", "finder", "labeller", "segmenter")
# Two scans of one patient: who has seen the one has seen the other's vertebrae.
SAME_PATIENT = (
    frozenset({"ct_head_to_thorax_4mm_dicom", "ct_thoracolumbar_4mm_dicom"}),
    frozenset({"ct_whole_spine_sagittal_dicom", "ct_coronal_slab_dicom"}),
)


@dataclass(frozen=True)
class Fold:
    """A model set that was trained without some of the data."""

    name: str
    folder: Path
    left_out: frozenset[str]


@dataclass(frozen=True)
class Chosen:
    """The model set that scores one item, and what it has seen of it."""

    folder: Path
    trained_on: bool
    note: str


def read_folds(folder: Path | None) -> tuple[Fold, ...]:
    """`folds.json` of a folder of model sets: {name: [left-out items]}; none without a folder."""
    if folder is None:
        return ()
    listed = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
    return tuple(Fold(name, folder / name, frozenset(items)) for name, items in listed.items())


def choose(item: str, folds: tuple[Fold, ...], otherwise: Path) -> Chosen:
    """The fold that left `item` out, with all of its patient's scans where there is one."""
    patient = next((scans for scans in SAME_PATIENT if item in scans), frozenset({item}))
    fitting = [fold for fold in folds if item in fold.left_out]
    for fold in fitting:
        if patient <= fold.left_out:
            return Chosen(fold.folder, False, f"left out ({fold.name})")
    if fitting:
        return Chosen(fitting[0].folder, True, "left out, but not its patient's other scan")
    return Chosen(otherwise, True, "trained on")


@contextmanager
def opened(
    folder: Path, backend: str, roles: tuple[str, ...] | None = None
) -> Iterator[OpenModels]:
    """A model set's networks, closed at the end."""
    with open_models(load_model_set(folder.resolve()), backend, roles=roles) as models:
        yield models


def analysed(volume: Volume, models: OpenModels) -> tuple[Analysis | None, float]:
    """The chain's answer, None where it sees no spine, and the seconds it took."""
    begin = time.perf_counter()
    try:
        analysis = analyze(volume, models)
    except NoSpineInView:
        analysis = None
    return analysis, time.perf_counter() - begin
