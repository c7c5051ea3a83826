"""Phantoms as training cases: anatomy by the product's own generator, drawn anew by seed."""

from dataclasses import replace
from typing import get_args

import numpy as np

from models.recipes.cases import Labelled
from models.recipes.shapes import ARCH, BODY, Case
from vfx_edge.phantom import (
    DrawOptions,
    FractureSpec,
    Part,
    PhantomSpec,
    column_levels,
    make_phantom,
    random_spec,
)
from vfx_edge.phantom.spec import FractureKind
from vfx_edge.vocabulary import SACRUM

BROKEN_SHARE = 0.45
SPINE_FIELD = (150, 150)  # voxels of 1.5 mm: about the spine only


def broken_spec(seed: int) -> PhantomSpec:
    """A random phantom whose vertebrae are broken, nearly every other one: outlines follow sunken
    endplates only if training shows enough of them."""
    rng = np.random.default_rng(seed)
    drawn = random_spec(rng, DrawOptions(matrix=SPINE_FIELD, fracture_rate=0.0, lesion_rate=0.1))
    column = column_levels(drawn.thoracic_count, drawn.lumbar_count)
    seen = column[column.index(drawn.levels[0]) : column.index(drawn.levels[1]) + 1]
    fractures = tuple(
        FractureSpec(
            level,
            get_args(FractureKind)[int(rng.choice(3, p=(0.35, 0.4, 0.25)))],
            float(rng.uniform(0.15, 0.65)),
            bool(rng.random() < 0.5),
        )
        for level in seen
        if level[0] in "TL" and rng.random() < BROKEN_SHARE
    )
    return replace(drawn, fractures=fractures)


def case_labels(labels: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A phantom's labels and parts as a case's (verse, part), uint8: vertebrae and the sacrum."""
    part = np.zeros(parts.shape, np.uint8)
    part[parts == Part.BODY] = BODY
    part[parts == Part.POSTERIOR] = ARCH
    verse = np.where((part > 0) | (labels == SACRUM), labels, 0)
    return verse.astype(np.uint8), part


def phantom_case(spec: PhantomSpec, seed: int) -> Labelled:
    """One phantom at 1.5 mm as a case; truth for every voxel."""
    phantom = make_phantom(spec)
    verse, part = case_labels(phantom.labels, phantom.parts)
    affine = phantom.affine_zyx_to_lps
    inverse = np.linalg.inv(affine)
    centres = {}
    for truth in phantom.truth.levels:
        zyx = inverse[:3, :3] @ np.array(truth.centroid_lps_mm) + inverse[:3, 3]
        if ((zyx >= 0) & (zyx <= np.array(verse.shape) - 1)).all():
            centres[truth.label] = zyx
    case = Case(
        f"phantom{seed}",
        float(spec.spacing_mm),
        affine[:3, 3].copy(),
        phantom.hu,
        verse,
        part,
    )
    return Labelled(case, centres, False)


def random_case(seed: int) -> Labelled:
    """One random phantom."""
    return phantom_case(random_spec(np.random.default_rng(seed)), seed)


def broken_case(seed: int) -> Labelled:
    """One whose vertebrae are broken, nearly every other one."""
    return phantom_case(broken_spec(seed), seed)
