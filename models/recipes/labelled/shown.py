"""What the network is shown of stored crops: plain, or turned, scaled, bent and mirrored.

The study's augmentations: left-right flip, rotation of up to 10 degrees in the sagittal plane, zoom
and an elastic grid. It gives no amounts for the last two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.recipes.labelled.crops import STORED, StoredCrop
from models.recipes.labelled.plan import EDGE
from vfx_edge.manifest.spec import InputSpec

DEGREES = 10.0
ZOOM = 0.1
BEND_MM, BEND_NODES = 1.0, 6
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Shown:
    """n stored crops on a device, and how the manifest has them fed.

    hu: (n, 80, 80, 80) int16. own: bool of the same shape; None: nothing is hidden.
    """

    hu: Tensor
    own: Tensor | None
    spec: InputSpec

    def plain(self, index: Sequence[int]) -> Tensor:
        """(len(index), 1, 64, 64, 64), as at run time."""
        rim = slice((STORED - EDGE) // 2, (STORED + EDGE) // 2)
        hu = self.hu[list(index), rim, rim, rim].float()
        own = None if self.own is None else self.own[list(index), rim, rim, rim]
        return self._numbers(hu, own)[:, None]

    def varied(self, index: Sequence[int], rng: Rng) -> Tensor:
        """(len(index), 1, 64, 64, 64), each in a pose of its own."""
        places = poses(len(index), rng).to(self.hu.device)
        hu = _picked(self.hu[list(index)], places, -1024.0, "bilinear")
        own = None
        if self.own is not None:
            own = _picked(self.own[list(index)], places, 0.0, "bilinear") > 0.5
        return self._numbers(hu, own)[:, None]

    def _numbers(self, hu: Tensor, own: Tensor | None) -> Tensor:
        if own is not None:
            assert not isinstance(self.spec.padding_hu, str)
            hu = torch.where(own, hu, torch.full_like(hu, self.spec.padding_hu))
        return (hu.clamp(*self.spec.hu_clip) + self.spec.hu_offset) / self.spec.hu_scale


def shown(crops: Sequence[StoredCrop], spec: InputSpec, device: str) -> Shown:
    """Crops as tensors; masked where the manifest's input is."""
    hu = torch.from_numpy(np.stack([c.hu for c in crops])).to(device)
    own = None
    if spec.mask == "vertebra":
        own = torch.from_numpy(np.stack([c.shown for c in crops])).to(device)
    return Shown(hu, own, spec)


def poses(n: int, rng: Rng) -> Tensor:
    """Places (n, 64, 64, 64, 3) in the stored cube, as `grid_sample` counts them: x, y, z from -1
    to 1."""
    angle = np.radians(rng.uniform(-DEGREES, DEGREES, n))
    zoom = np.exp(rng.uniform(-ZOOM, ZOOM, n))
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    matrix = np.zeros((n, 3, 3), np.float32)
    matrix[:, 0, 0] = flip * zoom
    matrix[:, 1, 1] = matrix[:, 2, 2] = np.cos(angle) * zoom
    matrix[:, 1, 2], matrix[:, 2, 1] = -np.sin(angle) * zoom, np.sin(angle) * zoom
    offsets = torch.from_numpy(matrix * (EDGE / STORED))
    places = F.affine_grid(
        torch.cat([offsets, torch.zeros(n, 3, 1)], 2), [n, 1, EDGE, EDGE, EDGE], align_corners=False
    )
    nodes = rng.normal(0, BEND_MM * 2 / STORED, (n, 3, *(BEND_NODES,) * 3)).astype(np.float32)
    bend = F.interpolate(torch.from_numpy(nodes), size=(EDGE,) * 3, mode="trilinear")
    return places + bend.permute(0, 2, 3, 4, 1)


def _picked(volumes: Tensor, places: Tensor, outside: float, mode: str) -> Tensor:
    """(n, 80, 80, 80) at the places, (n, 64, 64, 64)."""
    there = volumes.float()[:, None] - outside
    return F.grid_sample(there, places, mode=mode, align_corners=False)[:, 0] + outside
