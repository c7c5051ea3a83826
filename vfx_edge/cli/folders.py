"""The output folder: found writable before the work starts, named when the series is known."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfx_edge.study import SeriesInfo

DEFAULT_PARENT = Path("vfx-edge-out")


def check_writable(folder: Path) -> None:
    """Raise an OutputError where `folder` could not be made and filled; leaves no trace.

    Tried with a real file: on Windows and on network drives the permission bits say little.
    """
    from vfx_edge.outputs.atomic import mapped

    existing = folder.absolute()
    with mapped(folder):
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass


def default_folder(series: "SeriesInfo") -> Path:
    """./vfx-edge-out/<series>."""
    from vfx_edge.outputs import series_stem

    return DEFAULT_PARENT / series_stem(series)
