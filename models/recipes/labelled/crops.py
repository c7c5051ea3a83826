"""Crops as they are stored: cut by the product's own `spine.crops.crop`, in HU, with a rim.

The rim leaves room for turning and scaling; the middle of a stored crop is what the network is
shown at run time, but for whole HU.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.recipes.labelled.plan import EDGE, Plan, crop_spec
from vfx_edge.files import replacing
from vfx_edge.image import Image
from vfx_edge.labelled.dataset import Label
from vfx_edge.spine.crops import crop
from vfx_edge.study import VertebraMask

STORED = 80
"""mm; a cube of 64 mm turned by 10 degrees and scaled by a tenth fits in."""
RIM = (STORED - EDGE) // 2
_HIDDEN = -30000.0
"""HU that no image has: it marks what a mask hides."""
_DAMAGED = (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises about a file that is not whole."""


@dataclass(frozen=True)
class CropFacts:
    """What is known of a stored crop. mask_by: who drew its outline, "expert" or "chain"; row: of
    labels.csv."""

    study: str
    patient: str
    level: str
    label: Label
    split: str = ""
    mask_by: str = "expert"
    row: int = 0


@dataclass(frozen=True, eq=False)
class StoredCrop:
    """hu: (80, 80, 80) int16 at 1 mm. shown: bool of the same shape, the vertebra's own voxels."""

    facts: CropFacts
    hu: NDArray[np.int16]
    shown: NDArray[np.bool_]


def cut(image: Image, mask: VertebraMask, facts: CropFacts) -> StoredCrop:
    """The crop about one vertebra of a scan."""
    raw = {"patch_zyx": [STORED] * 3, "hu_clip": [-1e6, 1e6], "hu_offset": 0.0, "hu_scale": 1.0}
    hu = crop(image, mask, crop_spec(Plan(masked=False), **raw))
    hidden = {"padding_hu": _HIDDEN, "interpolation": "linear"}
    shown = crop(image, mask, crop_spec(Plan(masked=True), **raw, **hidden)) > _HIDDEN + 1
    return StoredCrop(facts, np.rint(np.clip(hu, -1024, 30000)).astype(np.int16), shown)


def save(path: Path, crops: Sequence[StoredCrop]) -> None:
    """The crops of one study in one file, which appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            hu=np.array([c.hu for c in crops]).reshape(-1, *(STORED,) * 3),
            shown=np.array([c.shown for c in crops], np.bool_).reshape(-1, *(STORED,) * 3),
            facts=np.array([_words(c.facts) for c in crops], np.str_).reshape(len(crops), -1),
        )


def load(path: Path) -> list[StoredCrop] | None:
    """What `save` wrote; None where there is nothing, or nothing whole."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            stored = np.load(file)
            facts, hu, shown = (stored[name] for name in ("facts", "hu", "shown"))
    except _DAMAGED:
        return None
    whole = (len(facts), *(STORED,) * 3)
    if (hu.dtype, shown.dtype) != (np.int16, np.bool_) or not hu.shape == shown.shape == whole:
        return None
    try:
        return [StoredCrop(_facts(f), h, s) for f, h, s in zip(facts, hu, shown, strict=True)]
    except ValueError:
        return None


def _words(facts: CropFacts) -> list[str]:
    return [str(value) for value in asdict(facts).values()]


def _facts(words: Sequence[Any]) -> CropFacts:
    study, patient, level, label, split, mask_by, row = (str(word) for word in words)
    return CropFacts(study, patient, level, Label(label), split, mask_by, int(row))
