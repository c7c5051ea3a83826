"""Where the vertebrae of a study really are: by the experts' mask, and by their centres."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.errors import InputError
from vfx_edge.evaluation.matching import Place
from vfx_edge.image import Image, Point
from vfx_edge.scoring.json_file import read_json
from vfx_edge.study import Level, Scan

_AXES = {"L": (0, False), "R": (0, True), "P": (1, False), "A": (1, True), "S": (2, False),
         "I": (2, True)}  # fmt: skip
"""Direction -> which of x, y, z, and whether it is counted from the other end."""
MOST_ENTRIES = 1000
"""VerSe's list of a whole spine has 26; with the parts of each vertebra some hundreds."""


class CentresUnreadable(InputError):
    """The file of centres is none in VerSe's format."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} holds no centres in VerSe's format ({why}): write it as VerSe does, a "
            "list of a direction and of label, X, Y, Z, or remove it."
        )
        self.names = (path.name,)


@dataclass(frozen=True, eq=False)
class Truth:
    """places: level -> its body's centre, and whether the body lies wholly in view. labels:
    (z, y, x) VerSe labels on the scan's grid; None without a mask."""

    places: Mapping[str, Place]
    labels: NDArray[np.uint8] | None = None


def read_truth(mask: Path | None, centres: Path | None, scan: Scan) -> Truth:
    """Centres that are stated count before those of the mask. Without a mask all of them are taken
    as wholly in view, as VerSe states no others; what a mask shows no body of is not.
    InputError leaves."""
    places: dict[str, Place] = {}
    labels: NDArray[np.uint8] | None = None
    if mask is not None:
        from vfx_edge.inputs.segmentation import load_segmentation
        from vfx_edge.spine.segment import masks_from_labels

        labels = load_segmentation(mask, scan)
        for drawn in masks_from_labels(scan.image, labels):
            vertebra = drawn.vertebra
            place = Place(vertebra.centroid_lps_mm, vertebra.wholly_in_view)
            places[vertebra.level.value] = place
    stated = {} if centres is None else read_centres(centres, scan.image)
    for name, point in stated.items():
        places[name] = Place(point, places[name].whole if name in places else mask is None)
    return Truth(places, labels)


def read_centres(path: Path, image: Image) -> dict[str, Point]:
    """Level -> LPS mm, from a `*_ctd.json` of VerSe, whose numbers count the image's voxels along
    its stated directions. Labels that name no vertebra are left out. CentresUnreadable."""
    try:
        listed = read_json(path)
        axes = [_AXES[letter] for letter in listed[0]["direction"]]
        if sorted(axis for axis, _ in axes) != [0, 1, 2]:
            raise ValueError("its directions are not of three axes")
        if len(listed) > MOST_ENTRIES:
            raise ValueError("it lists more than a spine has")
        found = {}
        for entry in listed[1:]:
            index = [float(entry[axis]) for axis in "XYZ"]
            if (level := _level(entry["label"])) is not None:
                found[level] = _place(index, axes, image)
    except OSError as error:
        raise CentresUnreadable(path, error.strerror or type(error).__name__) from None
    except ValueError as error:
        said = "a number is none" if "convert" in str(error) else str(error)
        raise CentresUnreadable(path, said) from None
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError):
        raise CentresUnreadable(path, "a field is missing, or no number") from None
    return found


def _level(label: Any) -> str | None:
    try:
        return Level.from_verse(int(label)).value
    except KeyError:
        return None


def _place(index: list[float], axes: list[tuple[int, bool]], image: Image) -> Point:
    xyz = np.zeros(3)
    for value, (axis, from_end) in zip(index, axes, strict=True):
        xyz[axis] = image.shape[2 - axis] - 1 - value if from_end else value
    size = np.array(image.shape[::-1])
    if not ((-size <= xyz) & (xyz <= 2 * size)).all():  # nor where one is no number
        raise ValueError("a centre lies far outside the scan")
    x, y, z = (float(v) for v in image.to_lps(xyz[None, ::-1])[0])
    return x, y, z
