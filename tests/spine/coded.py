"""A scan that carries its own answers, and networks that read them off.

Hounsfield units say what a voxel is (body, arch, how near to a body's centre), a slab at the left
says which level lies at this height. So the whole chain can be run with perfect networks, which
know nothing but the patch they are given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tests.spine.world import FACTS, Floats, phantom
from vfx_edge.image import Image
from vfx_edge.inference.patches import from_network, to_network
from vfx_edge.manifest import NetworkSpec
from vfx_edge.phantom import FractureSpec, Part, Phantom, PhantomSpec
from vfx_edge.study import Level, Scan

Numbers = NDArray[Any]
BODY_HU, ARCH_HU, TISSUE_HU = 800.0, 200.0, 40.0
IS_BODY, IS_ARCH = 450.0, 120.0
BUMP_HU, LESION_HU, BUMP_MM = 300.0, 700.0, 4.0
TAG_MM = (60.0, 90.0)  # the slab lies this far to the left of the field's middle
TAG_LOW, TAG_STEP = -900.0, 25.0


@dataclass(frozen=True, eq=False)
class Coded:
    """The image, and what is true of it."""

    volume: Image
    made: Phantom
    move: Floats

    @property
    def scan(self) -> Scan:
        return Scan(self.volume, FACTS)

    def centre(self, level: str) -> Floats:
        """LPS mm of a body in the scan (the phantom's own, moved with the patient)."""
        return np.asarray((self.move @ [*self.made.truth.get(level).centroid_lps_mm, 1.0])[:3])


def coded(
    levels: tuple[str, str] = ("T10", "L5"),
    wedges: tuple[str, ...] = (),
    lesions: tuple[str, ...] = (),
    move: Floats | None = None,
    thick: int = 1,
) -> Coded:
    """A coded scan of 1.5 mm voxels; move: (4, 4) applied to the patient; thick: slices joined."""
    spec = PhantomSpec(
        levels=levels, matrix=(90, 146), noise_hu=0.0, margin_mm=(19.0, 12.0),
        fractures=tuple(FractureSpec(level, "wedge", 0.45) for level in wedges),
    )  # fmt: skip
    made = phantom(spec)
    hu: Numbers = np.full(made.hu.shape, TISSUE_HU)
    centres = {t.level: _zyx(made, t.centroid_lps_mm) for t in made.truth.levels}
    named = np.isin(made.labels, [t.label for t in made.truth.levels])
    hu[named & (made.parts == Part.POSTERIOR)] = ARCH_HU
    body = named & (made.parts == Part.BODY)
    hu[body] = BODY_HU
    for level, centre in centres.items():
        z, y, x = (axis - at for axis, at in zip(np.indices(hu.shape), centre, strict=True))
        far = z**2 + y**2 + x**2
        height = LESION_HU if level in lesions else BUMP_HU
        hu += height * body * np.exp(-0.5 * far * (1.5 / BUMP_MM) ** 2)
    hu[:, :, _tag_columns(hu.shape[2])] = _tag(centres, hu.shape[0])[:, None, None]
    move = np.eye(4) if move is None else move
    affine = move @ made.affine_zyx_to_lps
    if thick > 1:
        whole = len(hu) // thick * thick
        hu = hu[:whole].reshape(-1, thick, *hu.shape[1:]).mean(1)
        affine[:3, 3] += affine[:3, 0] * (thick - 1) / 2
        affine[:3, 0] *= thick
    return Coded(Image(np.rint(hu).astype(np.int16), affine, "CT", "HU"), made, move)


def _zyx(made: Phantom, lps: tuple[float, ...]) -> Floats:
    return np.asarray((np.linalg.inv(made.affine_zyx_to_lps) @ [*lps, 1.0])[:3])


def _tag_columns(columns: int) -> slice:
    return slice(*(int(columns / 2 + mm / 1.5) for mm in TAG_MM))


def _tag(centres: dict[str, Floats], slices: int) -> Floats:
    """HU of the slab in every slice: rises evenly from one body's centre to the next."""
    ordered = sorted((c[0], Level(level).rank) for level, c in centres.items())
    z, rank = (np.array(v) for v in zip(*ordered, strict=True))
    ends = [z[0] - 20, *z, z[-1] + 20]
    return np.interp(np.arange(slices), ends, TAG_LOW + TAG_STEP * np.array(
        [rank[0] + 1, *rank, rank[-1] - 1]))  # fmt: skip


def oracle(spec: NetworkSpec, batch: Numbers) -> Numbers:
    """All networks in one function: what the scan itself says of each patch."""
    role = spec.roles[0]
    ours = from_network(batch, spec.input)
    hu = ours[:, 0] * spec.input.hu_scale - spec.input.hu_offset
    roles: dict[str, Callable[[NetworkSpec, Numbers, Numbers], Numbers]] = {
        "locator": _locate, "finder": _find, "labeller": _label,
        "segmenter": _segment, "classifier": _classify,
    }  # fmt: skip
    answer = roles[role](spec, hu, ours)
    return to_network(answer, spec.input) if answer.ndim == 5 else answer


def blind(spec: NetworkSpec, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """A locator that sees no spine anywhere; the others must not be asked."""
    assert spec.roles == ("locator",)
    return to_network(np.stack([np.ones_like(batch[:, 0]), np.zeros_like(batch[:, 0])], 1),
                      spec.input)  # fmt: skip


def _locate(spec: NetworkSpec, hu: Numbers, _: Numbers) -> Numbers:
    spine = np.clip((hu - 60) / 200, 0, 1)
    return np.stack([1 - spine, spine], 1)


def _find(spec: NetworkSpec, hu: Numbers, _: Numbers) -> Numbers:
    body = (hu > IS_BODY).astype(float)
    parts = {"centre": np.clip((hu - BODY_HU) / LESION_HU, 0, 1), "body": body}
    return np.stack([parts.get(name, np.zeros_like(hu)) for name in spec.output.classes], 1)


def _label(spec: NetworkSpec, hu: Numbers, _: Numbers) -> Numbers:
    mm = spec.input.spacing_mm
    _, nz, ny, nx = hu.shape
    column = (nx - 1) / 2 + np.mean(TAG_MM) / mm
    at = slice(int(column - 1), int(column + 2))
    planes = hu[:, :, ny // 2 - 1 : ny // 2 + 1, at].mean((2, 3))
    middle = (planes[:, (nz - 1) // 2] + planes[:, nz // 2]) / 2
    answers = np.full((len(hu), len(spec.output.classes)), 0.002)
    for row, value in zip(answers, middle, strict=True):
        level = list(Level)[int(np.clip(round((value - TAG_LOW) / TAG_STEP), 0, len(Level) - 1))]
        row[spec.output.classes.index(level.value)] = 0.95
        row[spec.output.classes.index("rib")] = Level.T1 <= level <= Level.T13
    return answers


def _segment(spec: NetworkSpec, hu: Numbers, ours: Numbers) -> Numbers:
    out = np.zeros((len(hu), 3, *hu.shape[1:]))
    out[:, 0] = 1
    for answer, numbers, guide in zip(out, hu, ours[:, 1], strict=True):
        at = np.unravel_index(int(guide.argmax()), guide.shape)
        bodies, _ = ndimage.label(numbers > IS_BODY)
        if not bodies[at]:
            continue
        body = bodies == bodies[at]
        rivals = np.argwhere((ndimage.minimum_filter(guide, 5) == guide) & (guide < -0.5))
        index = np.moveaxis(np.indices(guide.shape), 0, -1)
        arch = (numbers > IS_ARCH) & (numbers <= IS_BODY)
        rims = arch & ndimage.binary_dilation(bodies > 0)  # half bone, half tissue
        arch &= ~rims
        arch |= rims & ndimage.binary_dilation(arch, iterations=2)
        for rival in rivals:
            arch &= ((index - at) ** 2).sum(-1) < ((index - rival) ** 2).sum(-1)
        answer[0], answer[1], answer[2] = ~(body | arch), body, arch
    return 12 * out


def _classify(spec: NetworkSpec, hu: Numbers, _: Numbers) -> Numbers:
    middle = tuple(slice(n // 2 - 4, n // 2 + 4) for n in hu.shape[1:])
    lesion = hu[(slice(None), *middle)].max((1, 2, 3)) > BODY_HU + 0.5 * (BUMP_HU + LESION_HU)
    malignant = np.where(lesion, 6.0, -6.0)
    known = {"malignant": malignant, "osteoporotic": -malignant}
    return np.stack([known.get(name, -12.0 + 0 * malignant) for name in spec.output.classes], 1)
