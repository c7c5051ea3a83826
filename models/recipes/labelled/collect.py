"""From a labelled dataset to crops on disk: outlines by experts, or by the chain where none are.

One file a study, named after all that goes into it: what is there is not cut again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from models.recipes.labelled.crops import STORED, CropFacts, StoredCrop, cut, load, save
from vfx_edge.backends import OpenModels, open_models
from vfx_edge.errors import InputError, VfxError, without_names
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.segmentation import load_segmentation
from vfx_edge.labelled.dataset import Dataset, Label, LabelledStudy, Row
from vfx_edge.labelled.errors import row_numbers
from vfx_edge.manifest import load_model_set
from vfx_edge.spine.chain import analyze
from vfx_edge.spine.segment import masks_from_labels
from vfx_edge.study import VertebraMask
from vfx_edge.vocabulary import T1_TO_L5

CUT = 1
"""Goes into the files' names: count it up when crops are cut otherwise."""
Tell = Callable[[str], None]


class NoCrops(InputError):
    """No study could be cut."""

    def __init__(self, reasons: Sequence[str]) -> None:
        first = f" (the first reason: {reasons[0]})" if reasons else ""
        super().__init__(
            f"there is no vertebra to train on{first}: label vertebrae from T1 to L5 in "
            "labels.csv, and see what `vfx-edge run` says of one of the studies"
        )


@dataclass(frozen=True, eq=False)
class Collected:
    """The crops, and what there is none of, a sentence each."""

    crops: tuple[StoredCrop, ...]
    left_out: tuple[str, ...]


class _Chain:
    """The networks that outline what nobody outlined, opened when they are first needed."""

    def __init__(self, model: str, backend: str, stack: ExitStack) -> None:
        self.manifest = load_model_set(model)
        self._backend, self._stack = backend, stack
        self._models: OpenModels | None = None

    @property
    def models(self) -> OpenModels:
        if self._models is None:
            self._models = self._stack.enter_context(open_models(self.manifest, self._backend))
        return self._models


def collect(
    dataset: Dataset, folder: Path, tell: Tell, model: str = "default", backend: str = "auto"
) -> Collected:
    """Cut what is missing in `folder` and read all of it. model: the set whose chain outlines
    studies without a mask. NoCrops; other errors leave the study out, by its rows."""
    found: list[StoredCrop] = []
    left_out: list[str] = []
    with ExitStack() as stack:
        chain = _Chain(model, backend, stack)
        tell(f"crops: of {len(dataset.studies)} studies; those cut before are read")
        for number, study in enumerate(dataset.studies, 1):
            wanted = _rows(study)
            if not wanted:
                continue
            try:
                crops = _crops_of(study, wanted, folder, chain)
            except (VfxError, OSError) as error:
                left_out.append(f"{_of(study)}: {_why(error, study)}")
                continue
            found += crops
            left_out += _missing(wanted, crops)
            if number % 10 == 0 or number == len(dataset.studies):
                tell(f"crops: {number} of {len(dataset.studies)} studies, {len(found)} vertebrae")
    if not found:
        raise NoCrops(left_out)
    return Collected(tuple(found), tuple(left_out))


def _of(study: LabelledStudy) -> str:
    """A card goes where the set goes: it names rows, no study, no file."""
    return row_numbers([row.number for row in study.rows])


def _why(error: VfxError | OSError, study: LabelledStudy) -> str:
    if isinstance(error, VfxError):
        return without_names(error, (study.path, *([study.mask] if study.mask else [])))
    return error.strerror or type(error).__name__


def _rows(study: LabelledStudy) -> dict[str, Row]:
    """Level -> row of what can be trained on."""
    rows = (row for row in study.rows if row.label is not Label.EXCLUDED)
    return {row.level.value: row for row in rows if row.level in T1_TO_L5}


def _crops_of(
    study: LabelledStudy, wanted: dict[str, Row], folder: Path, chain: _Chain
) -> list[StoredCrop]:
    """Of one study; what the file knows of labels and split is taken from the rows of today."""
    path = folder / f"{_key(study, wanted, chain)}.npz"
    crops = load(path)
    if crops is None or not {crop.facts.level for crop in crops} <= set(wanted):
        crops = _cut_study(study, wanted, chain)
        save(path, crops)
    return [replace(crop, facts=_told(crop.facts, wanted)) for crop in crops]


def _told(facts: CropFacts, rows: dict[str, Row]) -> CropFacts:
    row = rows[facts.level]
    return replace(
        facts,
        study=row.study,
        patient=row.patient,
        label=row.label,
        split=row.split.value if row.split else "",
        row=row.number,
    )


def _cut_study(study: LabelledStudy, wanted: dict[str, Row], chain: _Chain) -> list[StoredCrop]:
    scan = load_scan(study.path)
    masks: Sequence[VertebraMask]
    if study.mask is not None:
        masks, by = masks_from_labels(scan.image, load_segmentation(study.mask, scan)), "expert"
    else:
        masks, by = analyze(scan, chain.models).masks, "chain"
    return [
        cut(scan.image, mask, CropFacts("", "", row.level.value, row.label, "", by))
        for mask in masks
        if (row := wanted.get(mask.vertebra.level.value)) is not None
    ]


def _missing(wanted: dict[str, Row], crops: Sequence[StoredCrop]) -> list[str]:
    """Labelled vertebrae without an outline, a sentence each."""
    there = {crop.facts.level for crop in crops}
    return [
        f"row {row.number}: its study has no outline of {level}"
        for level, row in wanted.items()
        if level not in there
    ]


def _key(study: LabelledStudy, wanted: dict[str, Row], chain: _Chain) -> str:
    """A name for all that decides what the crops show."""
    inputs = [_stamp(study.path), *([_stamp(study.mask)] if study.mask else [])]
    by = "" if study.mask else chain.manifest.digest
    parts = [CUT, STORED, study.name, sorted(wanted), by, inputs]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _stamp(path: Path) -> list[list[str | int]]:
    """Name, size and time of change of a file, or of all files in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [[f.name, s.st_size, s.st_mtime_ns] for f in files for s in [f.stat()] if f.is_file()]
