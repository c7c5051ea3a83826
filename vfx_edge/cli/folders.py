"""The output folder, found writable before the work starts."""

import tempfile
from pathlib import Path


def check_writable(folder: Path) -> None:
    """Raise an OutputError where `folder` could not be made and filled; leaves no trace.

    Tried with a real file: on Windows and on network drives the permission bits say little.
    """
    from vfx_edge.files import as_output_error

    existing = folder.absolute()
    with as_output_error(folder):
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
