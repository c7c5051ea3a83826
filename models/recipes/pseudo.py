"""Pseudo-masks for CT that has centroids only: the segmenter so far, one vertebra at a time.

What does not look like a vertebra is left out by the caller, `sources.annotated_ct`.
"""

import numpy as np
import torch
from torch import nn

from models.recipes import augment, segmenter
from models.recipes.shapes import ARCH, BODY, Case
from vfx_edge.image.components import largest_piece

BONE = 0.4  # a segmenter draws what it is unsure of, the processes, too thin rather than too thick


def _probabilities(
    net: nn.Module,
    hu: np.ndarray,
    spacing_mm: float,
    corner: np.ndarray,
    wanted: np.ndarray,
    others: list[np.ndarray],
    flip: bool,
) -> np.ndarray:
    rng = np.random.default_rng(0)
    scale = np.diag([1.0, 1.0, -1.0 if flip else 1.0]) * segmenter.SPACING_MM / spacing_mm
    middle = corner + (np.array(segmenter.PATCH) - 1) / 2
    points = augment.sample_points(segmenter.PATCH, middle, scale, 0.0, rng)
    (patch,) = augment.take([(hu, "bilinear", -1024.0)], points)
    guide = segmenter.guide(points, wanted, others, spacing_mm)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(torch.stack([segmenter.normalise(patch), guide])[None]).float().softmax(1)[0]
    return np.asarray(out.flip(-1) if flip else out)


def label_case(
    net: nn.Module,
    name: str,
    hu: np.ndarray,
    spacing_mm: float,
    origin_lps_mm: np.ndarray,
    centres: dict[int, np.ndarray],
) -> Case:
    """Masks by the network for annotated body centres (VerSe label -> z, y, x in voxels).

    spacing_mm must be the segmenter's.
    """
    net.eval()
    verse = np.zeros(hu.shape, np.uint8)
    part = np.zeros(hu.shape, np.uint8)
    best = np.full(hu.shape, BONE, np.float32)
    order = sorted(centres, key=lambda v: -centres[v][0])
    for i, value in enumerate(order):
        near = [centres[v] for v in order[max(i - 1, 0) : i] + order[i + 1 : i + 2]]
        wanted = centres[value]
        backward = np.array([0, segmenter.BACKWARD_MM / spacing_mm, 0])
        corner = np.round(wanted + backward).astype(int) - np.array(segmenter.PATCH) // 2
        straight, mirrored = (
            _probabilities(net, hu, spacing_mm, corner, wanted, near, flip)
            for flip in (False, True)
        )
        soft = (straight + mirrored) / 2
        inside = [
            slice(max(c, 0), min(c + n, s))
            for c, n, s in zip(corner, segmenter.PATCH, hu.shape, strict=True)
        ]
        local = tuple(slice(s.start - c, s.stop - c) for s, c in zip(inside, corner, strict=True))
        soft = soft[(slice(None), *local)]
        box = tuple(inside)
        bone = soft[1] + soft[2]
        keep = largest_piece(bone > BONE)
        wins = keep & (bone > best[box])
        best[box][wins] = bone[wins]
        verse[box][wins] = value
        part[box][wins] = np.where(soft[1] >= soft[2], BODY, ARCH)[wins]
    return Case(name, spacing_mm, origin_lps_mm, hu, verse, part)
