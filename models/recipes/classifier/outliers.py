"""What is no fracture, by kind: the network must not be sure of its cause.

Some kinds are shown to it in training, as "unknown"; others only when it is scored.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.recipes import augment
from models.recipes.classifier.examples import CROP, CropPool, seen_by_a_scanner, shifted
from models.recipes.classifier.phantoms import Kind, Rng

Maker = Callable[[CropPool, Rng], Tensor]  # -> HU (64, 64, 64)


def _vertebra(pool: CropPool, rng: Rng) -> Tensor:
    kind = (Kind.OSTEOPOROTIC, Kind.MALIGNANT)[int(rng.integers(2))]
    return shifted(pool.draw(kind, rng)[0], rng)


def air(pool: CropPool, rng: Rng) -> Tensor:
    """One value with a little noise: air, or anything else that has no structure."""
    level = -1000.0 if rng.random() < 0.5 else float(rng.uniform(-1000, 300))
    return level + torch.tensor(rng.normal(0, rng.uniform(0, 20), CROP), dtype=torch.float32)


def noise(pool: CropPool, rng: Rng) -> Tensor:
    grain = torch.tensor(rng.normal(0, 1, CROP), dtype=torch.float32)
    return grain * float(rng.uniform(50, 800)) + float(rng.uniform(-800, 400))


def metal(pool: CropPool, rng: Rng) -> Tensor:
    """A vertebra with blobs of metal and dark streaks beside them."""
    hu = _vertebra(pool, rng)
    field = augment.smooth_field(hu.shape, rng, 6)
    hu = torch.where(field < -1.0, hu - 500, hu)
    return torch.where(field > float(rng.uniform(0.5, 1.0)), torch.tensor(3000.0), hu)


def elsewhere(pool: CropPool, rng: Rng) -> Tensor:
    """Lung, abdomen, muscle, neck: a place without a vertebral body."""
    return seen_by_a_scanner(pool.draw(Kind.ELSEWHERE, rng), rng)


def intact(pool: CropPool, rng: Rng) -> Tensor:
    return seen_by_a_scanner(pool.draw(Kind.INTACT, rng), rng)


def scrambled(pool: CropPool, rng: Rng) -> Tensor:
    """A vertebra cut into 64 blocks in another order."""
    blocks = _vertebra(pool, rng).reshape(4, 16, 4, 16, 4, 16).permute(0, 2, 4, 1, 3, 5)
    mixed = blocks.reshape(64, 16, 16, 16)[torch.from_numpy(rng.permutation(64))]
    return mixed.reshape(4, 4, 4, 16, 16, 16).permute(0, 3, 1, 4, 2, 5).reshape(CROP)


def truncated(pool: CropPool, rng: Rng) -> Tensor:
    """The scan ends within the vertebral body: two fifths or more of the crop are padding."""
    hu = _vertebra(pool, rng).clone()
    axis, n = int(rng.integers(3)), int(rng.integers(26, 40))
    index: list[slice] = [slice(None)] * 3
    index[axis] = slice(0, n) if rng.random() < 0.5 else slice(64 - n, None)
    hu[tuple(index)] = -1024
    return hu


def on_its_side(pool: CropPool, rng: Rng) -> Tensor:
    """A vertebra whose axes were mixed up."""
    order = ((1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0))[int(rng.integers(4))]
    return _vertebra(pool, rng).permute(*order).contiguous()


def inverted(pool: CropPool, rng: Rng) -> Tensor:
    """A vertebra in a file whose sign was lost: bone dark, fat bright."""
    return 250 - _vertebra(pool, rng)


TRAINED: dict[str, Maker] = {
    "air": air,
    "noise": noise,
    "metal": metal,
    "elsewhere": elsewhere,
    "scrambled": scrambled,
    "intact": intact,
}
UNTRAINED: dict[str, Maker] = {
    "truncated": truncated,
    "on its side": on_its_side,
    "inverted": inverted,
}
SHARES = (0.05, 0.05, 0.15, 0.15, 0.1, 0.5)  # of TRAINED among the outliers of training


def draw(pool: CropPool, rng: Rng) -> Tensor:
    """One outlier for training, HU (64, 64, 64)."""
    makers = tuple(TRAINED.values())
    return makers[int(rng.choice(len(makers), p=SHARES))](pool, rng)
