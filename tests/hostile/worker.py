"""Performs cases one after another in this process, told by lines of titles on standard input.

A process of its own, because some cases have killed or stopped the one that read them.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import BinaryIO
from unittest.mock import patch

from tests.hostile.corpus import CASES
from tests.hostile.corpus.case import Base, Case, make_base, nonsense_is_written
from tests.hostile.judge import Came, read, refused, wrong
from vfx_edge.cli import answer, app
from vfx_edge.errors import VfxError
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.decoders import decoders
from vfx_edge.inputs.segmentation import read_segmentation
from vfx_edge.manifest import load_model_set


def make(case: Case, base: Base, folder: Path) -> Path:
    """The case's input in a new folder. What no library would write is written all the same."""
    folder.mkdir(parents=True)
    with (
        nonsense_is_written(),
        tempfile.TemporaryDirectory() as scratch,
        patch.object(tempfile, "tempdir", scratch),
    ):
        return case.make(base, folder)


def words(case: Case, base: Base, folder: Path) -> list[str]:
    """A case of usage as the command is given it."""
    places = {"{in}": base.folder, "{out}": folder / "out", "{file}": folder / "file"}
    found = list(case.words)
    for name, place in places.items():
        found = [word.replace(name, str(place)) for word in found]
    return found


def perform(case: Case, base: Base, path: Path, folder: Path) -> Came:
    """What comes of the input at `path`."""
    try:
        if case.how == "mask":
            return Came(0, said=read_segmentation(path, base.scan).remarks)
        if case.how == "model":
            for network in load_model_set(path).networks:
                network.read()
            return Came(0)
        return _command(words(case, base, folder)) if case.how == "usage" else read(load_scan(path))
    except VfxError as error:
        return refused(error)


def _command(given: list[str]) -> Came:
    said = io.StringIO()
    with patch.object(sys, "argv", ["vfx-edge", *given]), contextlib.redirect_stderr(said):
        code = answer(app, "vfx-edge")
    return Came(code, said.getvalue().removesuffix("\n").removeprefix("vfx-edge: "))


def performed(case: Case, base: Base, folder: Path) -> list[str]:
    """What is wrong with what came of a case."""
    temporary = Path(tempfile.gettempdir())
    before: set[str] = set()
    kept: set[str] = set()
    try:
        path = make(case, base, folder)
        before, kept = listing(folder), listing(temporary)
        found = wrong(case, perform(case, base, path, folder), base.scan)
    except BaseException:  # noqa: BLE001  whatever it is, the case has found it
        found = [traceback.format_exc()]
    if listing(folder) != before:
        found.append(f"files were made or removed: {sorted(listing(folder) ^ before)[:3]}")
    if left := listing(temporary) - kept:
        found.append(f"left in the temporary folder: {sorted(left)[:3]}")
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _emptied(folder: Path) -> Path:
    """The folder, new."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def listing(folder: Path) -> set[str]:
    """Everything below the folder."""
    return {
        os.path.join(where, name)
        for where, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def main() -> None:
    """FOLDER: empty, for everything. A line of JSON for each line of standard input."""
    root = Path(sys.argv[1])
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    printed = (root / "printed").open("w+b")
    os.dup2(printed.fileno(), 1)
    os.dup2(printed.fileno(), 2)
    tempfile.tempdir = str(_emptied(root / "tmp"))  # of a worker that ended badly
    base = Base(root / "base") if (root / "base").is_dir() else make_base(root / "base")
    with decoders():
        assert base.scan.image.values.any()
        for number, line in enumerate(sys.stdin):
            case = CASES[line.rstrip("\n")]
            found = performed(case, base, root / f"{os.getpid()}-{number}")
            found += _printed(printed)
            json.dump({"title": case.title, "wrong": found}, out)
            out.write("\n")
            out.flush()


def _printed(stream: BinaryIO) -> list[str]:
    """What was printed since, as a fault."""
    stream.seek(0)
    text = stream.read()
    stream.seek(0)
    stream.truncate()
    return [f"printed: {text[-300:]!r}"] if text else []


if __name__ == "__main__":
    main()
