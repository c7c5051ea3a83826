"""Stored crops by kind, and what the network is shown of them."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.recipes import augment
from models.recipes.classifier.phantoms import Crop, Kind, Rng

CROP = (64, 64, 64)
TEST = range(30)  # seeds of the phantoms that only scores are taken from
CALIBRATION = range(30, 60)  # of those that temperature, thresholds and the limit are chosen on
FIRST_TRAINED = 60


class CropPool:
    """Stored crops by kind; files that appear later are picked up.

    seeds: which phantoms; None: all that training may use.
    """

    def __init__(self, folder: Path, seeds: range | None = None) -> None:
        self.folder, self.seeds = folder, seeds
        self.by_kind: dict[Kind, list[Crop]] = {kind: [] for kind in Kind}
        self.phantoms: dict[Kind, list[int]] = {kind: [] for kind in Kind}
        self._seen: set[Path] = set()
        self.rescan()

    def rescan(self) -> None:
        for path in sorted(self.folder.glob("crops_*.npz")):
            _, seed, kind = path.stem.split("_")
            if path in self._seen or not self._wants(int(seed)):
                continue
            self._seen.add(path)
            with np.load(path) as stored:
                crops = list(zip(stored["hu"], stored["bone"], strict=True))
            self.by_kind[Kind(int(kind))] += crops
            self.phantoms[Kind(int(kind))] += [int(seed)] * len(crops)

    def _wants(self, seed: int) -> bool:
        return seed in self.seeds if self.seeds is not None else seed >= FIRST_TRAINED

    def draw(self, kind: Kind, rng: Rng) -> Crop:
        """One of the crops of a kind; IndexError when there is none."""
        crops = self.by_kind[kind]
        if not crops:
            raise IndexError(f"no crops of kind {kind.name.lower()} in {self.folder}: prepare some")
        return crops[int(rng.integers(len(crops)))]


def normalise(hu: Tensor) -> Tensor:
    """A bone window about zero: in the published one bone and lesion differ by a few per cent."""
    return (hu.clamp(-300, 1200) - 250) / 250


def seen_by_a_scanner(crop: Crop, rng: Rng, share: float = 0.35) -> Tensor:
    """HU (64, 64, 64): turned, scaled, bent, and in a share of cases scanned anew."""
    hu, bone = crop
    matrix = augment.random_matrix(rng, 7, 0.06, 0.03, flip=True)
    middle = (np.array(hu.shape) - 1) / 2 + rng.normal(0, 2.0, 3)
    points = augment.sample_points(CROP, middle, matrix, 0.8, rng)
    patch, inside = augment.take([(hu, "bilinear", -1024.0), (bone, "nearest", 0.0)], points)
    return augment.scanner(patch, inside > 0.5, rng, 1.0) if rng.random() < share else patch


def shifted(hu: NDArray[np.int16], rng: Rng) -> Tensor:
    """HU (64, 64, 64): only shifted and mirrored."""
    start = rng.integers(6, 15, 3)
    z, y, x = (slice(int(a), int(a) + n) for a, n in zip(start, CROP, strict=True))
    patch = hu[z, y, x]
    if rng.random() < 0.5:
        patch = patch[..., ::-1]
    return torch.from_numpy(patch.astype(np.float32))


def held_out(
    pool: CropPool, views: int, seed: int, at_most: int | None = None
) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Both classes' crops, or `at_most` so many of them, each seen by `views` scanners.

    (n, 1, 64, 64, 64) normalised, (n,) classes, (n,) numbers of the phantoms.
    """
    rng = np.random.default_rng(seed)
    every = [
        (kind, crop, phantom)
        for kind in (Kind.OSTEOPOROTIC, Kind.MALIGNANT)
        for crop, phantom in zip(pool.by_kind[kind], pool.phantoms[kind], strict=True)
    ]
    chosen = np.sort(rng.permutation(len(every))[:at_most])
    rows = [every[i] for i in chosen for _ in range(views)]
    inputs = torch.stack([normalise(seen_by_a_scanner(crop, rng))[None] for _, crop, _ in rows])
    return inputs, torch.tensor([int(k) for k, _, _ in rows]), np.array([p for _, _, p in rows])
