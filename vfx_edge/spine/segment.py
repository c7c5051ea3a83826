"""Body and arch of each vertebra as soft masks: finely, and only about its centre."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vfx_edge.backends import class_probabilities
from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image, Point
from vfx_edge.image.components import grown, largest_piece
from vfx_edge.image.grids import (
    FloatArray,
    Grid,
    bounds_lps_mm,
    box_about,
    grid_about,
    grid_covering,
    sample,
)
from vfx_edge.inference.patches import as_batch, from_network, our_shape
from vfx_edge.manifest import NetworkSpec, SegmenterParameters
from vfx_edge.parallel import cores, map_computing
from vfx_edge.spine.body_and_arch import BODY, split_parts
from vfx_edge.study import Level, Vertebra, VertebraMask

MIN_BODY_CM3 = 1.2  # a cervical body has about 4
MIN_SHARE_OF_NEIGHBOURS = 0.2
OFF_CENTRE_MM = 6.0  # the segmenter is taught with guides as far off
MAX_SHIFT_MM = 12.0  # farther off than this it is another vertebra
SAME_BODY = 0.4  # overlap (of the smaller) from which two bodies are one
SOME_ARCH, GOOD_ARCH = 0.15, 0.3  # of the body's volume; a whole vertebra has half or more
BONE_HU = 75.0  # the densest fifth of a body, its wall, is denser, however thin its bone
LABEL_SPACING_MM = 1.0
RIM = 2  # voxels of soft edge kept about the bone


def _guide(grid: Grid, wanted: Point, others: Sequence[Point], sigma_mm: float) -> FloatArray:
    """+1 Gaussian on the wanted body's centre, -1 on its neighbours': which vertebra is meant."""

    def bump(at: Point) -> FloatArray:
        centre = grid.to_zyx(np.array(at))
        z, y, x = (
            np.exp(-0.5 * ((np.arange(n) - c) * grid.spacing_mm / sigma_mm) ** 2)
            for n, c in zip(grid.shape, centre, strict=True)
        )
        return np.asarray(z[:, None, None] * y[:, None] * x, dtype=np.float32)

    out = bump(wanted)
    for other in others:
        out -= bump(other)
    return out


def _patch(
    image: Image, vertebrae: Sequence[Vertebra], i: int, spec: NetworkSpec
) -> tuple[FloatArray, Grid]:
    """Network input (2, z, y, x) for vertebra number i, and its grid."""
    x, y, z = vertebrae[i].centroid_lps_mm
    parameters = spec.parameters_of(SegmenterParameters)
    middle = (x, y + parameters.backward_mm, z - parameters.downward_mm)
    grid = grid_about(middle, our_shape(spec.input), spec.input.spacing_mm)
    near = [vertebrae[j].centroid_lps_mm for j in (i - 1, i + 1) if 0 <= j < len(vertebrae)]
    guide = _guide(grid, vertebrae[i].centroid_lps_mm, near, parameters.guide_sigma_mm)
    return np.stack([spec.input.normalise(sample(image, grid)), guide]), grid


def _one_piece(soft: FloatArray) -> FloatArray:
    """(body, arch) probabilities (2, z, y, x) of the one piece of bone with most body; the rest
    to 0."""
    bone = soft.sum(0) > 0.5
    # a vertebra fills a small part of its patch: the rest need not be looked through
    box = box_about(bone, RIM + 1)
    out = np.zeros_like(soft)
    out[(slice(None), *box)] = _cleaned(soft[(slice(None), *box)], bone[box])
    return out


def _cleaned(soft: FloatArray, bone: NDArray[np.bool_]) -> FloatArray:
    """See `_one_piece`."""
    others = bone
    bone = largest_piece(bone, soft[0])
    # a margin keeps the soft rim on which sub-voxel edges are read
    kept = grown(bone, RIM) & (~others | bone)
    return _without_holes(np.asarray(np.where(kept, soft, 0.0), dtype=np.float32), bone)


def _without_holes(soft: FloatArray, bone: NDArray[np.bool_]) -> FloatArray:
    """Cavities wholly inside the bone are bone: in noise and in thin marrow they look like none."""
    holes = ndimage.binary_fill_holes(bone) & ~bone
    if holes.any():
        around = ndimage.uniform_filter(soft, (1, 5, 5, 5))
        body = holes & (around[0] >= around[1])
        soft[0][body], soft[1][body] = 1.0, 0.0
        soft[0][holes & ~body], soft[1][holes & ~body] = 0.0, 1.0
    return soft


def _body_centre(body: FloatArray, grid: Grid) -> Point:
    weight = np.where(body > 0.3, body, 0.0)
    # axis by axis: far cheaper than a centre of mass over all of them
    lines = (weight.sum(axes, dtype=np.float64) for axes in ((1, 2), (0, 2), (0, 1)))
    zyx = np.array([line @ np.arange(len(line)) / line.sum() for line in lines])
    x, y, z = (float(v) for v in grid.to_lps(zyx))
    return x, y, z


def _meets_edge(image: Image, body: FloatArray, grid: Grid) -> bool:
    """Whether the body reaches the end of what was scanned: it is seen in the last slice."""
    inside = body > 0.5
    box = box_about(inside, 0)
    last = np.array(image.shape) - 1
    low = np.array([side.start for side in box], dtype=np.float64)
    # padded, so that a body at the grid's own end has somewhere to grow
    body_box = np.pad(inside[box], 1)
    corners = low - 1 + np.array(list(np.ndindex(2, 2, 2))) * (np.array(body_box.shape) - 1)
    reach = image.to_zyx(grid.to_lps(corners))
    if image.valid is None and (reach >= 0).all() and (reach <= last).all():
        return False
    shell = grown(body_box)
    index = image.to_zyx(grid.to_lps(np.argwhere(shell) + low - 1))
    outside = ((index < -1e-6) | (index > last + 1e-6)).any(1)
    if image.valid is not None:
        for near in (np.floor(index), np.ceil(index)):
            nearest = np.clip(near.astype(int), 0, last)
            outside |= ~image.valid[tuple(nearest.T)]
    return bool(outside.sum() > 0.004 * max(len(index), 1))


def _mask(image: Image, vertebra: Vertebra, bone: FloatArray, grid: Grid) -> VertebraMask | None:
    """The mask of one vertebra, or None where there is hardly any body. bone: one piece."""
    body, arch = bone
    if float(body.sum()) * grid.spacing_mm**3 / 1000 < MIN_BODY_CM3:
        return None
    cut = _meets_edge(image, body, grid)
    named = replace(vertebra, centroid_lps_mm=_body_centre(body, grid), wholly_in_view=not cut)
    # one voxel of air all around: whoever interpolates finds an end there
    box = box_about((body > 0) | (arch > 0), 1)
    x, y, z = (float(v) for v in grid.to_lps(np.array([float(side.start) for side in box])))
    half = np.float16
    return VertebraMask(
        named, body[box].astype(half), arch[box].astype(half), (x, y, z), grid.spacing_mm, cut
    )


def body_cm3(mask: VertebraMask) -> float:
    """Volume of the body in cubic centimetres."""
    return float(mask.body.sum(dtype=np.float64)) * mask.spacing_mm**3 / 1000


def _plausible(masks: list[VertebraMask]) -> list[VertebraMask]:
    """Without slivers, and without a second mask of a body that already has one."""
    out: list[VertebraMask] = []
    cm3 = [body_cm3(mask) for mask in masks]
    for i, mask in enumerate(masks):
        near = cm3[max(i - 2, 0) : i] + cm3[i + 1 : i + 3]
        if near and cm3[i] < MIN_SHARE_OF_NEIGHBOURS * float(np.median(near)):
            continue
        if out and overlap(out[-1], mask) > SAME_BODY:
            if mask.vertebra.label_probability > out[-1].vertebra.label_probability:
                out[-1] = mask
            continue
        out.append(mask)
    return out


def overlap(a: VertebraMask, b: VertebraMask) -> float:
    """Shared part of two bodies, as a share of the smaller one."""
    points = np.argwhere(a.body > 0.5)
    if not len(points):
        return 0.0
    shift = (np.array(a.origin_lps_mm) - np.array(b.origin_lps_mm))[::-1] / b.spacing_mm
    index = np.round(points * (a.spacing_mm / b.spacing_mm) + shift).astype(int)
    index = index[((index >= 0) & (index < np.array(b.body.shape))).all(1)]
    shared = float((b.body[tuple(index.T)] > 0.5).sum()) * a.spacing_mm**3
    smaller = min((a.body > 0.5).sum() * a.spacing_mm**3, (b.body > 0.5).sum() * b.spacing_mm**3)
    return shared / max(float(smaller), 1.0)


def segment_vertebrae(
    image: Image,
    vertebrae: Sequence[Vertebra],
    segmenter: Network,
    wanted: Callable[[Level], bool] = lambda _: True,
) -> tuple[VertebraMask, ...]:
    """Masks from head to feet; a name without a body under it is dropped. wanted: which levels are
    outlined; the others keep name and place, under an empty mask."""
    asked = [i for i, vertebra in enumerate(vertebrae) if wanted(vertebra.level)]
    looked = _segment_patches(image, vertebrae, asked, segmenter)
    moved = [
        replace(v, centroid_lps_mm=_corrected(v, *looked[i])) if i in looked else v
        for i, v in enumerate(vertebrae)
    ]
    # a guide that was off its body's centre is set right, and that vertebra looked at once more
    again = [
        i
        for i, (old, new) in enumerate(zip(vertebrae, moved, strict=True))
        if _gap_mm(old, new) > OFF_CENTRE_MM
    ]
    looked |= _segment_patches(image, moved, again, segmenter)
    masks = map_computing(lambda i: _mask(image, moved[i], *looked[i]), asked)
    whole = [mask for mask in masks if mask is not None]
    if not any(_arch_share(mask) > SOME_ARCH for mask in whole):
        return ()  # a rod, a table, bodies without a spine: no vertebra is seen for one
    # one whose marrow a tumour replaced still has its arch
    seen = [mask for mask in whole if _arch_share(mask) > GOOD_ARCH or _is_bone(image, mask)]
    named = [_unlined(v, segmenter.spec) for v in vertebrae if not wanted(v.level)]
    return tuple(sorted([*named, *_plausible(seen)], key=lambda mask: mask.vertebra.level.rank))


def _unlined(vertebra: Vertebra, spec: NetworkSpec) -> VertebraMask:
    nothing = np.zeros((1, 1, 1), np.float16)
    return VertebraMask(vertebra, nothing, nothing, vertebra.centroid_lps_mm, spec.input.spacing_mm)


def _arch_share(mask: VertebraMask) -> float:
    """The arch's volume as a share of the body's."""
    arch, body = (float(part.sum(dtype=np.float64)) for part in (mask.arch, mask.body))
    return arch / max(body, 1.0)


def _is_bone(image: Image, mask: VertebraMask) -> bool:
    """Whether an outline has any bone in it: where the spine leaves the field, soft tissue in front
    of it is taken for bodies."""
    index = np.rint(image.to_zyx(mask.grid.to_lps(np.argwhere(mask.body > 0.5)))).astype(int)
    inside = index[((index >= 0) & (index < image.shape)).all(1)]
    return len(inside) == 0 or float(np.percentile(image.values[tuple(inside.T)], 80)) > BONE_HU


def _segment_patches(
    image: Image, vertebrae: Sequence[Vertebra], which: Sequence[int], segmenter: Network
) -> dict[int, tuple[FloatArray, Grid]]:
    """Number -> (body, arch) probabilities (2, z, y, x) of one piece of bone and their grid, for
    those in `which`. Patches are cut and tidied up while the network is busy with others."""
    spec, size = segmenter.spec, segmenter.batch_limit
    with ThreadPoolExecutor(cores(), thread_name_prefix="vfx-edge-patch") as pool:
        cut = [pool.submit(_patch, image, vertebrae, i, spec) for i in which]
        tidied: list[Future[FloatArray]] = []
        for at in range(0, len(cut), size):
            patches = [job.result()[0] for job in cut[at : at + size]]
            answer = segmenter.run(as_batch(patches, spec.input))
            tidied += [pool.submit(_largest_bone, raw, spec) for raw in answer]
        return {
            i: (bone.result(), patch.result()[1])
            for i, bone, patch in zip(which, tidied, cut, strict=True)
        }


def _largest_bone(raw: FloatArray, spec: NetworkSpec) -> FloatArray:
    """The network's own answer to one patch -> (body, arch) probabilities of one piece of bone."""
    soft = class_probabilities(raw[None], spec)[0]
    parts = [spec.classes.index(name) for name in ("body", "arch")]
    return _one_piece(from_network(soft[parts], spec.input))


def _corrected(vertebra: Vertebra, bone: FloatArray, grid: Grid) -> Point:
    """The centre of the body that was seen, if it can be this vertebra's at all."""
    body = bone[0]
    if float(body.sum()) * grid.spacing_mm**3 / 1000 < MIN_BODY_CM3:
        return vertebra.centroid_lps_mm
    seen = _body_centre(body, grid)
    near = np.linalg.norm(np.subtract(seen, vertebra.centroid_lps_mm)) < MAX_SHIFT_MM
    return seen if near else vertebra.centroid_lps_mm


def _gap_mm(a: Vertebra, b: Vertebra) -> float:
    return float(np.linalg.norm(np.subtract(a.centroid_lps_mm, b.centroid_lps_mm)))


def masks_from_labels(image: Image, labels: NDArray[np.uint8]) -> tuple[VertebraMask, ...]:
    """Masks from a segmentation in VerSe labels on the image's own grid.

    Labels that name no vertebra (sacrum, coccyx) are left out.
    """
    whole = grid_covering(image, LABEL_SPACING_MM)
    values = [v for v in range(1, 29) if v in (28, *range(1, 26)) and (labels == v).any()]
    soft = {value: _soft_label(image, labels, value, whole) for value in values}
    hard = np.zeros(whole.shape, np.uint8)
    for value, (box, likely) in soft.items():
        hard[box][likely > 0.5] = value
    part = split_parts(hard)
    masks = []
    for value, (box, likely) in soft.items():
        corner = np.array([s.start for s in box], dtype=np.float64)
        x, y, z = (float(v) for v in whole.to_lps(corner))
        grid = Grid(
            (x, y, z), LABEL_SPACING_MM, (likely.shape[0], likely.shape[1], likely.shape[2])
        )
        front = grown((part[box] == BODY) & (hard[box] == value))
        rear = (hard[box] == value) & (part[box] != BODY)
        body = np.where(front & ~rear, likely, 0).astype(np.float32)
        vertebra = Vertebra(Level.from_verse(value), _body_centre(likely, grid), 1.0)
        bone = _one_piece(np.stack([body, likely - body]))
        mask = _mask(image, vertebra, bone, grid)
        if mask is not None:
            masks.append(mask)
    return tuple(sorted(masks, key=lambda m: m.vertebra.level.rank))


def _soft_label(
    image: Image, labels: NDArray[np.uint8], value: int, whole: Grid
) -> tuple[tuple[slice, ...], FloatArray]:
    """(box in `whole`, probability in it) of one label, linearly interpolated."""
    found = ndimage.find_objects((labels == value).astype(np.uint8))[0]
    box = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in found)
    start = np.array([s.start for s in box], dtype=np.float64)
    affine = image.affine_zyx_to_lps.copy()
    affine[:3, 3] = image.to_lps(start[None])[0]
    hard = ((labels[box] == value) * np.int16(1000)).astype(np.int16)
    piece = Image(hard, affine, "SEG", "1")
    low, high = bounds_lps_mm(piece)
    first = np.maximum(np.floor(whole.to_zyx(np.stack([low, high])).min(0)).astype(int) - 4, 0)
    last = np.minimum(
        np.ceil(whole.to_zyx(np.stack([low, high])).max(0)).astype(int) + 5, whole.shape
    )
    x, y, z = (float(v) for v in whole.to_lps(first.astype(np.float64)))
    shape = tuple(int(n) for n in last - first)
    grid = Grid((x, y, z), whole.spacing_mm, (shape[0], shape[1], shape[2]))
    likely = np.clip(sample(piece, grid) / 1000, 0, 1).astype(np.float32)
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True)), likely
