"""Sound examinations of many kinds, of which none may be doubted: phantoms of `random_spec`, the
rarer kinds among them on purpose."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vfx_edge.inputs import load_scan
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import DrawOptions, PhantomSpec, make_phantom, random_spec
from vfx_edge.study import Scan
from vfx_edge.vocabulary import T1_TO_L5

SEED = 20_000
SLICES_MM = (5.0, 4.0, 5.0)  # coarse: it is the anatomy that counts
PIXEL_MM, FIELD_MM = 3.0, 360.0
WHOLE_EACH, STRETCH = 8, (4, 7)
"""Each eighth shows as much as a department's scans do, the others so many vertebrae: a stretch
costs less, and a short column is what is easiest to doubt."""
KINDS = ("as drawn", "small woman, thin bone", "large man", "scoliosis", "prone", "feet first",
         "cut close", "sharp kernel, noise", "contrast", "many fractures")  # fmt: skip


STORED_REVERSED = {"prone": (1, 2), "feet first": (0,)}


@dataclass(frozen=True)
class Good:
    """One sound examination. kind: one of KINDS."""

    kind: str
    spec: PhantomSpec

    def scan(self) -> Scan:
        """As the reader hands it on; a prone patient and one who lies feet first by way of files
        whose rows, columns and slices run the other way."""
        made = make_phantom(self.spec)
        if self.kind not in STORED_REVERSED:
            return made.scan
        axes = STORED_REVERSED[self.kind]
        affine = made.affine_zyx_to_lps.copy()
        for axis in axes:
            affine[:, 3] += affine[:, axis] * (made.hu.shape[axis] - 1)
            affine[:, axis] *= -1
        with TemporaryDirectory() as folder:
            path = write_ct_series(np.flip(made.hu, axes), affine, Path(folder) / "ct")
            return load_scan(path)


def good(number: int) -> Good:
    """The same number, the same examination."""
    rng = np.random.default_rng(SEED + number)
    side = int(FIELD_MM / PIXEL_MM)
    kind = KINDS[number % len(KINDS)]
    options = DrawOptions(
        pixel_mm=PIXEL_MM,
        matrix=(side, side),
        spacing_mm=float(rng.choice(SLICES_MM)),
        levels=None if number % WHOLE_EACH == 0 else _stretch(np.random.default_rng(number)),
        transition_rate=0.12 if number % WHOLE_EACH == 0 else 0.0,
        fracture_rate=1.0 if kind == "many fractures" else 0.45,
    )
    return Good(kind, _of_kind(kind, random_spec(rng, options), rng))


def _stretch(rng: np.random.Generator) -> tuple[str, str]:
    count = int(rng.integers(STRETCH[0], STRETCH[1] + 1))
    first = int(rng.integers(0, len(T1_TO_L5) - count + 1))
    return T1_TO_L5[first], T1_TO_L5[first + count - 1]


def _of_kind(kind: str, spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    if kind == "small woman, thin bone":
        return replace(spec, stature=0.84, body_size=0.7, bone_density=0.35)
    if kind == "large man":
        return replace(spec, stature=1.16, body_size=1.6, bone_density=1.0)
    if kind == "scoliosis":
        return replace(spec, scoliosis_deg=float(rng.uniform(20, 45)))
    if kind == "cut close":
        return replace(spec, margin_mm=(-8.0, -8.0))
    if kind == "sharp kernel, noise":
        return replace(spec, sharpness=1.0, noise_hu=35.0)
    return replace(spec, contrast="arterial") if kind == "contrast" else spec
