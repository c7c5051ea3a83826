"""Crops of phantoms whose labels are known, for experiments that ask how training goes.

One phantom is one patient with three neighbouring vertebrae of one label.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from models.recipes.classifier.phantoms import DRAW, Kind, phantom_spec
from models.recipes.labelled.crops import CropFacts, StoredCrop, cut, load, save
from vfx_edge.image import Image
from vfx_edge.labelled.dataset import Label
from vfx_edge.phantom import (
    FractureSpec,
    LevelTruth,
    Phantom,
    PhantomSpec,
    make_phantom,
    paint_benign_signs,
)
from vfx_edge.spine.segment import masks_from_labels

_KIND = {
    Label.OSTEOPOROTIC: Kind.OSTEOPOROTIC,
    Label.MALIGNANT: Kind.MALIGNANT,
    Label.INTACT_LESION: Kind.MALIGNANT,
    Label.INTACT: Kind.INTACT,
}


def spec_of(label: Label, seed: int) -> PhantomSpec:
    """All three vertebrae have the label: a malignant phantom's lesions are all broken, an intact
    lesion's none."""
    spec = phantom_spec(_KIND[label], seed)
    if label is Label.INTACT_LESION:
        return replace(spec, fractures=())
    if label is Label.MALIGNANT:
        broken = {fracture.level for fracture in spec.fractures}
        whole = sorted({lesion.level for lesion in spec.lesions} - broken)
        rng = np.random.default_rng([seed, DRAW, 2])
        more = [FractureSpec(level, "wedge", float(rng.uniform(0.15, 0.65))) for level in whole]
        return replace(spec, fractures=(*spec.fractures, *more))
    return spec


def label_of(level: LevelTruth) -> Label:
    """What a gold standard would say of a phantom's vertebra."""
    if level.lesions:
        return Label.MALIGNANT if level.fracture else Label.INTACT_LESION
    return Label.OSTEOPOROTIC if level.fracture else Label.INTACT


def crops_of(label: Label, seed: int) -> list[StoredCrop]:
    """The crops of one phantom's vertebrae that are wholly in view."""
    phantom = make_phantom(spec_of(label, seed))
    image = Image(_hu(phantom, label, seed), phantom.affine_zyx_to_lps, "CT", "HU")
    inside = {v.level for v in phantom.truth.levels if v.whole_in_view and label_of(v) is label}
    name = f"phantom{seed:05d}-{label.value}"
    return [
        cut(image, mask, CropFacts(name, name, mask.vertebra.level.value, label))
        for mask in masks_from_labels(image, phantom.labels)
        if mask.vertebra.level.value in inside
    ]


def _hu(phantom: Phantom, label: Label, seed: int) -> np.ndarray:
    hu = phantom.hu.copy()
    if label is Label.OSTEOPOROTIC:
        rng = np.random.default_rng([seed, DRAW, 3])
        for level in phantom.truth.levels:
            if level.whole_in_view and level.fracture:
                paint_benign_signs(hu, phantom, level, rng)
    return hu


def cohort(folder: Path, label: Label, seeds: range) -> list[StoredCrop]:
    """The crops of so many phantoms with one label; those on disk are taken from there."""
    found: list[StoredCrop] = []
    for seed in seeds:
        path = folder / f"{label.value}_{seed:05d}.npz"
        crops = load(path)
        if crops is None:
            crops = crops_of(label, seed)
            save(path, crops)
        found += crops
    return found
