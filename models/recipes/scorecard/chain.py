"""Model sets to be scored, and the product's own chain run with them."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.backends import OpenModels, open_models
from vfx_edge.manifest import load_model_set
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.spine.locate import NoSpineInView
from vfx_edge.study import Analysis, Level, Scan

SPINE_ROLES = ("locator", "finder", "labeller", "segmenter")
# Two scans of one patient: who has seen the one has seen the other's vertebrae.
SAME_PATIENT = (
    frozenset({"ct_head_to_thorax_4mm_dicom", "ct_thoracolumbar_4mm_dicom"}),
    frozenset({"ct_whole_spine_sagittal_dicom", "ct_coronal_slab_dicom"}),
)


@dataclass(frozen=True)
class Fold:
    """A model set of which some networks were trained without some of the data: role -> items."""

    name: str
    folder: Path
    left_out: Mapping[str, frozenset[str]]

    def spared(self, items: frozenset[str]) -> tuple[str, ...]:
        """The roles whose networks have seen none of the items."""
        return tuple(role for role, own in self.left_out.items() if items <= own)


@dataclass(frozen=True)
class Chosen:
    """The model set that scores one item. trained_on: whether the network in question has seen
    it; note: which networks have not."""

    folder: Path
    trained_on: bool
    note: str


def read_folds(folder: Path | None) -> tuple[Fold, ...]:
    """`folds.json` of a folder of model sets: {name: {role: [items]}}; none without a folder."""
    if folder is None:
        return ()
    listed = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
    return tuple(
        Fold(name, folder / name, {role: frozenset(items) for role, items in roles.items()})
        for name, roles in listed.items()
    )


def choose(item: str, folds: tuple[Fold, ...], otherwise: Path, role: str = "labeller") -> Chosen:
    """A set whose network of this role has seen no scan of the item's patient; else `otherwise`."""
    patient = next((scans for scans in SAME_PATIENT if item in scans), frozenset({item}))
    fitting = [fold for fold in folds if role in fold.spared(patient)]
    if not fitting:
        return Chosen(otherwise, True, "trained on")
    best = max(fitting, key=lambda fold: len(fold.spared(patient)))
    return Chosen(best.folder, False, f"left out of {', '.join(best.spared(patient))}")


@contextmanager
def opened(
    folder: Path, backend: str, roles: tuple[str, ...] | None = None
) -> Iterator[OpenModels]:
    """A model set's networks, closed at the end."""
    with open_models(load_model_set(folder.resolve()), backend, roles=roles) as models:
        yield models


def analysed(scan: Scan, models: OpenModels) -> tuple[Analysis | None, float]:
    """The chain's answer, None where it sees no spine, and the seconds it took."""
    begin = time.perf_counter()
    try:
        analysis = analyze(scan, models, ChainOptions(outline=tuple(Level)))
    except NoSpineInView:
        analysis = None
    return analysis, time.perf_counter() - begin
