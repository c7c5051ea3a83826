"""CT, outlines and centres in a folder, as VerSe (2019, 2020) and BIDS name them.

rawdata/sub-verse500/sub-verse500_dir-ax_ct.nii.gz
derivatives/sub-verse500/sub-verse500_dir-ax_seg-vert_msk.nii.gz, …_seg-subreg_ctd.json
verse005.nii.gz, verse005_seg.nii.gz, verse005_ctd.json          of 2019, in one folder
verse005/ct.nii.gz, verse005/seg-vert_msk.nii.gz                 a folder a study
"""

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.inputs.files import PathMissing, PathUnreadable
from vfx_edge.labelled.errors import TooManyEntries

MOST_ENTRIES = 2_000_000
_NIFTI = (".nii.gz", ".nii")
_MASK = re.compile(r"(?:(?P<stem>.+?)_)?(?:seg-vert_msk|seg_verse|seg)")
_CENTRES = re.compile(r"(?:(?P<stem>.+?)_)?(?P<kind>seg-vert_|seg-subreg_|seg_|)ctd")
_CT = re.compile(r"(?:(?P<stem>.+?)_)?ct")
_PLAIN = re.compile(r"(?P<stem>.+)")


@dataclass(frozen=True)
class Files:
    """By the study's key, of which `key_of` makes one."""

    ct: Mapping[str, Path]
    masks: Mapping[str, Path]
    centres: Mapping[str, Path]


def key_of(study: str) -> str:
    """As studies are compared: without BIDS' prefix; capitals don't count, nor how a file system
    writes an umlaut."""
    return unicodedata.normalize("NFC", told(study)).casefold().removeprefix("sub-")


def told(file_name: str) -> str:
    """A file's name as text that can be written down, also where its bytes are none."""
    return file_name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def subject_of(study: str) -> str:
    """ "sub-12_ses-2_dir-ax" -> "12": BIDS' subject, the patient."""
    return re.split(r"_(?:ses|dir|split|run|acq)-", study.removeprefix("sub-"))[0]


def files_of(folder: Path) -> Files:
    """What lies anywhere below `folder`. Raises InputError leaves."""
    named: list[tuple[str, Path]] = []
    centres: list[tuple[str, Path]] = []
    for path in _walked(folder):
        lower = path.name.lower()
        if ending := next((e for e in _NIFTI if lower.endswith(e)), None):
            named.append((path.name[: -len(ending)], path))
        elif lower.endswith("ctd.json"):
            centres.append((path.name[: -len(".json")], path))
    # the usual name first, where a folder holds masks of several kinds
    masks = _matching(_MASK, sorted(named, key=lambda one: not one[0].endswith("seg-vert_msk")))
    cts = _matching(_CT, named)
    # of 2019: a file is a CT because there is a mask of its name
    plain = [(stem, path) for stem, path in named if key_of(stem) in masks]
    plain = [(stem, path) for stem, path in plain if path not in set(masks.values())]
    return Files({**_matching(_PLAIN, plain), **cts}, masks, _centres(centres))


def found(files: Mapping[str, Path], study: str) -> Path | None:
    """That of the study; also one whose name says more (`_dir-ax`), where it is the only one."""
    key = key_of(study)
    if key in files:
        return files[key]
    longer = [path for other, path in files.items() if other.startswith(f"{key}_")]
    return longer[0] if len(longer) == 1 else None


def normal_path(folder: Path, cell: str) -> Path:
    """Where a cell leads, from a folder on, without following links: a dataset may be made of them.
    Backslashes are a spreadsheet's."""
    cell = cell if os.sep == "\\" else cell.replace("\\", "/")
    forms = (cell, *(unicodedata.normalize(form, cell) for form in ("NFC", "NFD")))
    paths = [Path(os.path.normpath(folder / form)) for form in forms]
    return next(filter(is_there, paths), paths[0])  # a file system may write umlauts otherwise


def is_there(path: Path) -> bool:
    """False of a name that is none, too."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or a null byte
        return False


def _matching(pattern: re.Pattern[str], named: list[tuple[str, Path]]) -> dict[str, Path]:
    """Key of the study -> path, the first in the paths' order. Without a stem the folder is it."""
    files: dict[str, Path] = {}
    for name, path in named:
        if at := pattern.fullmatch(name):
            files.setdefault(key_of(at["stem"] or path.parent.name), path)
    return files


def _centres(named: list[tuple[str, Path]]) -> dict[str, Path]:
    """Of vertebrae rather than of their parts."""
    ordered = sorted(named, key=lambda one: "seg-subreg" in one[0])
    return _matching(_CENTRES, ordered)


def _walked(folder: Path) -> list[Path]:
    """NIfTI and JSON files below `folder`, sorted; hidden ones and links to folders are left."""
    if not os.path.exists(folder):  # Path.exists raises where the name is too long
        raise PathMissing(folder)
    if not os.path.isdir(folder):
        raise PathUnreadable(folder, "it is a file, not the folder of a dataset")
    kept: list[Path] = []
    entries = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        entries += len(names) + len(folders)
        if entries > MOST_ENTRIES:
            raise TooManyEntries(folder, MOST_ENTRIES)
        kept += [
            Path(place, name)
            for name in names
            if name.lower().endswith((*_NIFTI, ".json")) and not name.startswith(".")
            if os.path.isfile(os.path.join(place, name))  # no pipe, no link to nowhere
        ]
    return sorted(kept)
