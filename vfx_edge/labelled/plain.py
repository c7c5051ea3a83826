"""CTs that nobody labelled: enough for whatever needs no truth."""

from pathlib import Path

from vfx_edge.labelled.dataset import Dataset, LabelledStudy
from vfx_edge.labelled.folders import told

SINGLE_FILES = (".nii", ".nii.gz", ".zip")
NO_CT = ("_msk", "_seg")
"""In the names of files that hold masks."""
MOST = 100_000


def plain_dataset(folder: Path) -> Dataset:
    """Each folder in `folder` is a study, and each NIfTI file and archive; without any, `folder` is
    one. Each is taken for a patient of its own. Empty where there is nothing."""
    children = [path for path in _children(folder) if not path.name.startswith(".")]
    found = [path for path in children if _is_study(path)]
    if not found and any(path.is_file() for path in children):
        found = [folder]
    names = [_name(path) for path in found]
    studies = (
        LabelledStudy(name, name, path, None, ()) for name, path in zip(names, found, strict=True)
    )
    return Dataset(folder, tuple(studies))


def _children(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path, _ in zip(folder.iterdir(), range(MOST), strict=False))


def _is_study(path: Path) -> bool:
    if path.is_dir():
        return any(path.iterdir())
    name = path.name.lower()
    return name.endswith(SINGLE_FILES) and not any(word in name for word in NO_CT)


def _name(path: Path) -> str:
    """Files of two kinds may share a stem, so a file keeps its whole name."""
    return told(path.absolute().name)
