"""Where the files of a trained nnU-Net lie: in its folder, in a folder above it, or in the zip that
`nnUNetv2_export_model_to_zip` writes.
"""

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from export.checkpoints import size_of
from export.zips import MAX_DEPTH, NO_ZIP, OddZip, open_zip
from vfx_edge.errors import ModelError

Folder = Path | zipfile.Path
"""What both have in common is all that is used: `/`, name, iterdir, is_file, open."""
PLANS = "plans.json"
MAX_JSON_BYTES = 64 << 20
CONFIGURATIONS = ("3d_fullres", "3d_lowres")
SHOWN = 6
_BELOW = 2  # folders: a folder of results holds datasets, these hold models


class NotExportable(ModelError):
    """The folder holds no nnU-Net that can be run here as nnU-Net itself would."""

    def __init__(self, folder: Folder, why: str, remedy: str) -> None:
        super().__init__(f"{folder} can't be exported ({why}): {remedy}")


def model_folder(place: Path, configuration: str | None = None) -> Folder:
    """The folder with the plans: the one given, or the one below it; also `model.zip/Dataset1_A`.

    NotExportable where none is there, or several.
    """
    top = _top(place)
    if not top.is_dir():
        raise NotExportable(place, "there is no such folder", "give an nnU-Net model folder or zip")
    if (top / PLANS).is_file():
        return top
    every = dict(_with_plans(top, MAX_DEPTH if isinstance(top, zipfile.Path) else _BELOW))
    known = [name for name in every if name.endswith(CONFIGURATIONS)] or list(every)
    if configuration is not None:
        known = [name for name in every if name.endswith(f"__{configuration}")]
    if len(known) == 1:
        return every[known[0]]
    listed = ", ".join(sorted(known or every)[:SHOWN]) + ", …" * (len(known or every) > SHOWN)
    if known:
        remedy = f"choose with --configuration, or give {place}/ and one of these names"
        raise NotExportable(place, f"it holds several models: {listed}", remedy)
    if every:
        why = f"it holds no model of the configuration {configuration}, but {listed}"
        raise NotExportable(place, why, "leave --configuration out, or choose what is there")
    remedy = "give the folder, or the zip, as nnU-Net v2 wrote it"
    raise NotExportable(place, f"{PLANS} is missing", remedy)


def _top(place: Path) -> Folder:
    """The place, where one of its parents is a zip, within that. NotExportable for what is no zip,
    or is made to do harm."""
    file = next((path for path in (place, *place.parents) if path.is_file()), None)
    if file is None:
        return place
    try:
        top = zipfile.Path(open_zip(file))
    except OddZip as error:
        remedy = "ask its makers for the zip as nnU-Net wrote it"
        raise NotExportable(place, str(error), remedy) from error
    except (OSError, *NO_ZIP) as error:
        remedy = "give a model folder, or the zip of nnUNetv2_export_model_to_zip"
        raise NotExportable(place, "it is no zip that can be read", remedy) from error
    return top if file == place else top / place.relative_to(file).as_posix()


def _with_plans(folder: Folder, depth: int, name: str = "") -> Iterator[tuple[str, Folder]]:
    """Every folder with plans down to `depth` below it, after its name from `folder` on."""
    if (folder / PLANS).is_file():
        yield name, folder
    elif depth:
        for below in folder.iterdir():
            if below.is_dir():
                yield from _with_plans(below, depth - 1, f"{name}/{below.name}".lstrip("/"))


class Reading:
    """Getting values out of a folder's JSON; NotExportable for what is missing or odd."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def refused(
        self, why: str, remedy: str = "give the folder as nnU-Net v2 wrote it"
    ) -> NotExportable:
        return NotExportable(self.folder, why, remedy)

    def json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            if (size := size_of(path)) > MAX_JSON_BYTES:
                raise self.refused(f"{name} is larger than such a file ever is")
            with path.open("rb") as file:
                values = json.loads(file.read(size + 1).decode())
            json.dumps(values, ensure_ascii=False).encode()  # half a surrogate can't be written
        except FileNotFoundError as error:
            raise self.refused(f"{name} is missing") from error
        except OSError as error:
            raise self.refused(f"{name} can't be read: {error.strerror}") from error
        except (*NO_ZIP, RecursionError) as error:  # damaged, no UTF-8, no JSON
            raise self.refused(f"{name} is no valid JSON") from error
        if not isinstance(values, dict):
            raise self.refused(f"{name} holds no table")
        return values

    def table(self, values: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
        found = values.get(key)
        if not isinstance(found, dict):
            raise self.refused(f"{where} has no table '{key}'")
        return found

    def numbers(
        self, values: Mapping[str, Any], key: str, low: float, high: float
    ) -> tuple[float, ...]:
        """Three numbers within bounds."""
        found = values.get(key)
        if not isinstance(found, list) or len(found) != 3:
            raise self.refused(f"'{key}' does not hold three numbers")
        return tuple(self.number(value, key, low, high) for value in found)

    def number(
        self, value: Any, what: str, low: float = -math.inf, high: float = math.inf
    ) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refused(f"'{what}' is no number")
        if not math.isfinite(value) or not low <= value <= high:
            raise self.refused(f"'{what}' is {value:g}, outside {low:g} to {high:g}")
        return float(value)
