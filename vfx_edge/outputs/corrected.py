"""A corrected case in VerSe's layout, as the recipes and `evaluate` read it.

    FOLDER/rawdata/sub-<name>/sub-<name>_ct.nii.gz
    FOLDER/derivatives/sub-<name>/sub-<name>_seg-vert_msk.nii.gz, …_seg-vert_ctd.json

Neither the files nor their names identify the patient.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import OutputError
from vfx_edge.files import as_output_error, replacing
from vfx_edge.image import Image
from vfx_edge.outputs.nifti import centroids_of, store_image
from vfx_edge.scratch import sweep
from vfx_edge.study import SeriesInfo, Vertebra


class CaseThere(OutputError):
    """A correction of this series is there already."""

    def __init__(self, mask: Path) -> None:
        super().__init__(
            f"{mask} is there already: give --overwrite to replace it, or another name with "
            "--subject."
        )


def pseudonym(series: SeriesInfo) -> str:
    """The same name for the same series, from which its UID cannot be computed."""
    return hashlib.sha256(f"vfx-edge {series.series_uid}".encode()).hexdigest()[:12]


def case_mask(folder: Path, name: str) -> Path:
    """Where the mask of a case lies."""
    return folder / "derivatives" / f"sub-{name}" / f"sub-{name}_seg-vert_msk.nii.gz"


def check_free(folder: Path, name: str, *, overwrite: bool) -> None:
    """CaseThere where a case of this name is there and may not be replaced."""
    mask = case_mask(folder, name)
    with as_output_error(mask):
        if mask.exists() and not overwrite:
            raise CaseThere(mask)


def write_case(
    image: Image,
    labels: NDArray[np.uint8],
    vertebrae: Sequence[Vertebra],
    folder: Path,
    name: str,
) -> tuple[Path, ...]:
    """CT, centroids and mask. All are written before any takes its place; a case that was there
    stays whole until then. OutputError leaves.

    labels: VerSe labels on the image's grid.
    """
    assert re.fullmatch("[A-Za-z0-9]+", name), "the command checks it"
    mask = case_mask(folder, name)
    centroids = mask.with_name(f"sub-{name}_seg-vert_ctd.json")
    ct = folder / "rawdata" / f"sub-{name}" / f"sub-{name}_ct.nii.gz"
    for file in (ct, mask, centroids):
        sweep(file.parent)  # a killed run's
    with replacing(mask) as new_mask, replacing(centroids) as new_list, replacing(ct) as new_ct:
        store_image(image.values, image, new_ct)
        new_list.write_text(json.dumps(centroids_of(image, vertebrae)) + "\n", encoding="utf-8")
        store_image(labels, image, new_mask)
    return ct, mask, centroids
