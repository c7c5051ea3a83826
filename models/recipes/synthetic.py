"""Phantoms as training cases: anatomy by the product's own generator, drawn anew by seed."""

from pathlib import Path

import numpy as np

from models.recipes.cases import Labelled, save
from models.recipes.shapes import ARCH, BODY, Case
from vfx_edge.phantom import SACRUM_NUMBER, DrawOptions, Part, make_phantom, random_spec


def phantom_case(seed: int, options: DrawOptions | None = None) -> Labelled:
    """One random phantom at 1.5 mm as a case; truth for every voxel."""
    spec = random_spec(np.random.default_rng(seed), options)
    phantom = make_phantom(spec)
    part = np.zeros_like(phantom.parts)
    part[phantom.parts == Part.BODY] = BODY
    part[phantom.parts == Part.POSTERIOR] = ARCH
    verse = np.where((part > 0) | (phantom.labels == SACRUM_NUMBER), phantom.labels, 0)
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
        verse.astype(np.uint8),
        part.astype(np.uint8),
    )
    return Labelled(case, centres, False)


def write_phantoms(folder: Path, seeds: range) -> None:
    """phantom_<seed>.npz for each seed; complete files only."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"phantom_{seed:05d}.npz"
        if not path.exists():
            save(path, phantom_case(seed))
