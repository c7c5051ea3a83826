"""The tables of one run, as a set: where evaluation.json lies, all beside it are of that run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vfx_edge.files import as_output_error, make_folder
from vfx_edge.outputs.kinds import PATIENCE_S, FolderBusy
from vfx_edge.scratch import HIDDEN, one_set, only_one, private_folder, sweep

MARK = "evaluation.json"
"""Written last, and the first to go."""


@contextmanager
def as_a_set(folder: Path) -> Iterator[None]:
    """What is written in the block is there as a whole, or not at all; another run into the folder
    waits until it is. Answers that are kept in it stay. OutputError."""
    make_folder(folder)
    with only_one(folder, PATIENCE_S) as free:
        if not free:
            raise FolderBusy(folder)
        sweep(folder)
        with as_output_error(folder / MARK):
            (folder / MARK).unlink(missing_ok=True)
        with as_output_error(folder), private_folder(folder, HIDDEN), one_set(folder):
            yield
