"""Folders of other people as training cases: with masks in VerSe's layout, or CT alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.recipes import segmenter
from models.recipes.cases import Labelled
from models.recipes.plausible import plausible
from models.recipes.shapes import ARCH, BODY, Case, centroids, load_case, on_grid
from vfx_edge.backends import open_models
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan
from vfx_edge.manifest import load_model_set
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.study import Analysis, Level, VertebraMask
from vfx_edge.vocabulary import SACRUM

SPACING_MM = 1.5
SURE = 0.8  # label probability from which a pseudo-label is used


def verse_pairs(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """(name, mask, CT) of every pair below `folder`, as VerSe and BIDS name them:
    `<stem>_seg-vert_msk.nii.gz` and `<stem>_ct.nii.gz`, in whatever folders."""
    images = {path.name: path for path in sorted(folder.rglob("*_ct.nii.gz"))}
    for mask in sorted(folder.rglob("*_seg-vert_msk.nii.gz")):
        stem = mask.name.split("_seg-vert")[0]
        if image := images.get(f"{stem}_ct.nii.gz"):
            yield stem, mask, image


def from_masks(name: str, mask: Path, image: Path) -> Labelled:
    """One CT with its expert mask as a case."""
    case = load_case(name, mask, image, SPACING_MM)
    centres = segmenter.body_centres(case)
    if (case.verse == SACRUM).any():
        centres[SACRUM] = centroids(case.verse)[SACRUM]
    return Labelled(case, centres, real=True, expert=True)


def from_model(folder: Path, model: str) -> Iterator[Labelled]:
    """Every CT in `folder`: NIfTI files, folders of DICOM, or a single one."""
    inside = [*folder.rglob("*.nii.gz"), *(path for path in folder.iterdir() if path.is_dir())]
    for path in sorted(inside) or [folder]:
        try:
            labelled = from_chain(path.name.removesuffix(".nii.gz"), path, model)
        except InputError:  # no CT in it, or no spine: nothing to learn from
            continue
        if labelled:
            yield labelled


def from_chain(name: str, image: Path, model: str) -> Labelled | None:
    """A CT without labels as a case: what the chain makes of it, as far as it is plausible.

    None where fewer than three vertebrae are kept. Raises VfxError leaves.
    """
    volume = load_scan(image)
    with open_models(load_model_set(model), "auto") as models:
        found = analyze(volume, models, ChainOptions(outline=tuple(Level)))
    case = _painted(name, found)
    centres = {v: c for v, c in segmenter.body_centres(case).items() if v in _sure(found)}
    kept = plausible(case, centres)
    case.keep_only(kept)
    if len(kept) < 3:
        return None
    return Labelled(case, {v: centres[v] for v in kept}, real=True)


def _sure(found: Analysis) -> set[int]:
    return {m.vertebra.level.verse for m in found.masks if m.vertebra.label_probability >= SURE}


def _painted(name: str, found: Analysis) -> Case:
    """All masks of a result on one grid of the recipes' spacing."""
    grid, hu = on_grid(found.scan.image, SPACING_MM)
    empty = np.zeros(grid.shape, np.uint8)
    case = Case(name, SPACING_MM, np.array(grid.origin_lps_mm), hu, empty, empty.copy())
    best = np.full(grid.shape, 0.5, np.float32)
    for mask in found.masks:
        _paint_one(case, mask, best)
    return case


def _paint_one(case: Case, mask: VertebraMask, best: np.ndarray) -> None:
    points = np.argwhere(mask.bone)
    lps = mask.grid.to_lps(points)
    index = np.round((lps - case.origin_lps_mm)[:, ::-1] / case.spacing_mm).astype(int)
    inside = ((index >= 0) & (index < np.array(case.verse.shape))).all(1)
    source, target = tuple(points[inside].T), tuple(index[inside].T)
    body, arch = mask.body[source].astype(np.float32), mask.arch[source].astype(np.float32)
    wins = body + arch > best[target]
    place = tuple(axis[wins] for axis in target)
    best[place] = (body + arch)[wins]
    case.verse[place] = mask.vertebra.level.verse
    case.part[place] = np.where(body >= arch, BODY, ARCH)[wins]
