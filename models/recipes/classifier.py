"""Recipe of the fracture classifier: synthetic osteoporotic and malignant fractures.

No real labelled fracture is to be had, so this network is for demonstration. The signs are those
of the paper's table 1: lesions that destroy cortex, marrow or pedicle, soft-tissue masses and a
convex posterior border make a fracture malignant; sharp lines in thin bone make it osteoporotic.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.recipes import augment
from vfx_edge.phantom import (
    DrawOptions,
    FractureSpec,
    LesionSpec,
    Part,
    PhantomSpec,
    make_phantom,
    random_spec,
)

CROP = (64, 64, 64)
STORED = 84  # edge of stored crops: room to rotate and shift
OSTEOPOROTIC, MALIGNANT = 0, 1
THRESHOLD_MALIGNANT, THRESHOLD_OSTEOPOROTIC = 0.85, 0.95  # the published ones
VIEWS = tuple(
    (f"{a}", f"{b}")
    for a, b in (
        ("T2", "T4"), ("T4", "T6"), ("T6", "T8"), ("T8", "T10"), ("T10", "T12"),
        ("T11", "L1"), ("T12", "L2"), ("L1", "L3"), ("L2", "L4"), ("L3", "L5"),
    )
)  # fmt: skip


def _levels(view: tuple[str, str]) -> tuple[str, ...]:
    every = [*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6))]
    return tuple(every[every.index(view[0]) : every.index(view[1]) + 1])


def _lesion(level: str, rng: np.random.Generator) -> LesionSpec:
    """At least one sign of malignancy beside the lesion itself, mostly."""
    kind = ("lytic", "mixed", "sclerotic")[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    return LesionSpec(
        level,
        kind,  # type: ignore[arg-type]
        float(rng.uniform(0.3, 1.0)),
        destroys_cortex=bool(rng.random() < 0.7),
        destroys_pedicle=bool(rng.random() < 0.45),
        soft_tissue_mass=bool(rng.random() < 0.5),
        convex_posterior_border=bool(rng.random() < 0.6),
    )


def fracture_spec(malignant: bool, seed: int) -> PhantomSpec:
    """Three neighbouring vertebrae, each fractured for the same cause."""
    rng = np.random.default_rng([seed, malignant])
    view = VIEWS[int(rng.integers(len(VIEWS)))]
    options = DrawOptions(1.0, 1.0, (256, 256), None, view, 0.0, 0.0, 0.0, 0.0)
    drawn = random_spec(rng, options)
    kinds = ("wedge", "biconcave", "crush")
    broken = [
        FractureSpec(
            level,
            kinds[int(rng.integers(3))],
            float(rng.uniform(0.2, 0.6)),
            bool(rng.random() < 0.5),
        )  # type: ignore[arg-type]
        for level in _levels(view)
        if not malignant or rng.random() < 0.8  # the paper's approach 2: intact ones with lesions
    ]
    density = rng.uniform(0.3, 1.1) if malignant else rng.uniform(0.25, 0.8)
    values = {
        **drawn.__dict__,
        "fractures": tuple(broken),
        "bone_density": float(density),
        "margin_mm": (25.0, 25.0),
    }
    values["lesions"] = tuple(_lesion(v, rng) for v in _levels(view)) if malignant else ()
    return PhantomSpec(**values)


def crops(malignant: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 84, 84, 84) int16 HU at 1 mm about each body, and (n, …) bool bone."""
    phantom = make_phantom(fracture_spec(malignant, seed))
    inverse = np.linalg.inv(phantom.affine_zyx_to_lps)
    hu = np.pad(phantom.hu, STORED // 2, constant_values=-1024)
    bone = np.pad(np.isin(phantom.parts, (Part.BODY, Part.POSTERIOR)), STORED // 2)
    out = []
    for truth in phantom.truth.levels:
        if not truth.whole_in_view or not (truth.fracture or truth.lesions):
            continue
        at = np.round(inverse[:3, :3] @ np.array(truth.centroid_lps_mm) + inverse[:3, 3]).astype(
            int
        )
        box = tuple(slice(int(a), int(a) + STORED) for a in at)
        out.append((hu[box], bone[box]))
    return np.array([h for h, _ in out]), np.array([b for _, b in out])


def write_crops(folder: Path, seeds: range) -> None:
    """crops_<seed>_<class>.npz; a running training picks them up."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for malignant in (False, True):
            path = folder / f"crops_{seed:05d}_{int(malignant)}.npz"
            if path.exists():
                continue
            hu, bone = crops(malignant, seed)
            with path.with_suffix(".partial").open("wb") as file:
                np.savez_compressed(file, hu=hu, bone=bone)
            path.with_suffix(".partial").replace(path)


def normalise(hu: Tensor) -> Tensor:
    """A bone window about zero: in the published one bone and lesion differ by a few per cent."""
    return (hu.clamp(-300, 1200) - 250) / 250


def example(hu: np.ndarray, bone: np.ndarray, rng: np.random.Generator) -> Tensor:
    """One augmented input (1, 64, 64, 64)."""
    matrix = augment.random_matrix(rng, 7, 0.06, 0.03, flip=True)
    middle = (np.array(hu.shape) - 1) / 2 + rng.normal(0, 2.0, 3)
    points = augment.sample_points(CROP, middle, matrix, 0.8, rng)
    patch, inside = augment.take([(hu, "bilinear", -1024.0), (bone, "nearest", 0.0)], points)
    seen = augment.scanner(patch, inside > 0.5, rng, 1.0) if rng.random() < 0.25 else patch
    return normalise(seen)[None]


def plain(hu: np.ndarray, rng: np.random.Generator) -> Tensor:
    """One input (1, 64, 64, 64), only shifted and mirrored."""
    start = rng.integers(6, 15, 3)
    z, y, x = (slice(int(a), int(a) + n) for a, n in zip(start, CROP, strict=True))
    patch = hu[z, y, x]
    if rng.random() < 0.5:
        patch = patch[..., ::-1]
    return normalise(torch.from_numpy(patch.astype(np.float32)))[None]


def outlier(hu: np.ndarray, rng: np.random.Generator) -> Tensor:
    """What is no vertebra: air, noise, metal, a place beside the spine, a scrambled crop."""
    kind = int(rng.integers(5))
    if kind == 0:
        patch = torch.full(CROP, float(rng.uniform(-1024, 100)))
    elif kind == 1:
        patch = torch.randn(CROP) * float(rng.uniform(50, 800)) + float(rng.uniform(-800, 400))
    elif kind == 2:
        points = augment.sample_points(
            CROP, np.array([42, 42, 42]) + rng.choice([-38, 38], 3), np.eye(3), 0, rng
        )
        (patch,) = augment.take([(hu, "bilinear", -1024.0)], points)
    elif kind == 3:
        (patch,) = augment.take(
            [(hu, "bilinear", -1024.0)],
            augment.sample_points(CROP, np.full(3, 41.5), np.eye(3), 0, rng),
        )
        field = augment.smooth_field(patch.shape, rng, 6)
        patch = torch.where(field > 0.8, torch.tensor(3000.0), patch)
    else:
        block = (
            hu[:64, :64, :64]
            .reshape(4, 16, 4, 16, 4, 16)
            .transpose(0, 2, 4, 1, 3, 5)
            .reshape(64, 16, 16, 16)
        )
        block = block[rng.permutation(64)].reshape(4, 4, 4, 16, 16, 16).transpose(0, 3, 1, 4, 2, 5)
        patch = torch.from_numpy(block.reshape(CROP).astype(np.float32))
    return normalise(patch)[None]


def loss(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Cross-entropy against soft targets: outliers are half and half, nothing is certain."""
    x, target = batch
    return F.cross_entropy(net(x).float(), target)
