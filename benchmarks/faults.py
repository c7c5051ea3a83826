"""Runs that are killed at random moments: what they leave, and whether the next one works."""

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import inputs
from benchmarks.results import log
from vfx_edge.errors import VfxError
from vfx_edge.outputs.kinds import KINDS
from vfx_edge.scratch import HIDDEN

OUTPUTS = "json,html,seg,nifti"
EACH = 10
"""So many kills in one folder, one after another, then a run that is left alone."""
PATIENCE_S = 120.0
STOPPED = {signal.SIGTERM: (143, -signal.SIGTERM), signal.SIGKILL: (-signal.SIGKILL,)}
"""How a process ends: SIGTERM's own code, before the program listens; else the command's."""


class Broken(VfxError):
    """Something was left that should not be."""


@dataclass
class Tally:
    """What became of the kills by one signal."""

    ended: Counter[str] = field(default_factory=Counter)
    reruns: int = 0


@dataclass(frozen=True)
class Place:
    """The study, where its results go, and the temporary folder of the runs."""

    study: Path
    out: Path
    scratch: Path

    def started(self) -> "subprocess.Popen[bytes]":
        words = ["run", str(self.study), "--out", str(self.out), "--outputs", OUTPUTS, "--quiet"]
        return subprocess.Popen(
            [sys.executable, "-m", "vfx_edge", *words],
            env={**os.environ, "TMPDIR": str(self.scratch)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def finished(self) -> dict[str, Any]:
        """A run that nobody disturbs: what it found."""
        with self.started() as process:
            said = process.communicate(timeout=PATIENCE_S)[1].decode("utf-8", "replace")
        if process.returncode != 0:
            raise Broken(f"a rerun ended with {process.returncode}: {said.strip()[-300:]}")
        return _found(self.out / "result.json")


def command(
    kills: Annotated[int, typer.Option(metavar="N", min=1, help="Of each signal.")] = 100,
    seed: Annotated[int, typer.Option(help="Draws the moments.")] = 1,
) -> None:
    """Kill runs at random moments by SIGTERM and SIGKILL, and look at what they leave."""
    chance = random.Random(seed)
    with _place() as place:
        began = time.perf_counter()
        reference = place.finished()
        seconds = time.perf_counter() - began
        for number in STOPPED:
            log(f"{kills} times {number.name}, within {seconds:.1f} s")
            tally = _killed(place, number, kills, seconds, reference, chance)
            print(f"{number.name}: {kills} kills ({_words(tally.ended)}), {tally.reruns} reruns")
    print("Nothing half written, nothing left after SIGTERM, every rerun gave the same result.")


def _words(ended: Counter[str]) -> str:
    return ", ".join(f"{count} {how}" for how, count in sorted(ended.items()))


@contextmanager
def _place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as name, inputs.phantom(inputs.TINY) as ct:
        folder = Path(name)
        study = Path(shutil.make_archive(str(folder / "ct"), "zip", ct.path))
        (folder / "tmp").mkdir()
        yield Place(study, folder / "out", folder / "tmp")


def _killed(
    place: Place,
    number: signal.Signals,
    kills: int,
    seconds: float,
    reference: dict[str, Any],
    chance: random.Random,
) -> Tally:
    tally = Tally()
    for at in range(1, kills + 1):
        tally.ended[_kill(place, number, chance.uniform(0, seconds))] += 1
        if at % EACH == 0 or at == kills:
            if place.finished() != reference:
                raise Broken(f"the run after kill {at} found something else")
            _check(place, clean=True)
            tally.reruns += 1
            shutil.rmtree(place.out)
            log(f"{number.name}: {at} kills ({_words(tally.ended)}), {tally.reruns} reruns")
    return tally


def _kill(place: Place, number: signal.Signals, after_s: float) -> str:
    """How it ended, in a word or two."""
    before = set(_parts(place.out))
    with place.started() as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        said = process.communicate(timeout=PATIENCE_S)[1].decode("utf-8", "replace")
    if "Traceback" in said or process.returncode not in (0, *STOPPED[number]):
        raise Broken(f"{number.name} ended it with {process.returncode}: {said.strip()[-300:]}")
    _check(place, clean=number == signal.SIGTERM)
    if process.returncode == 0:
        return "too late"
    return "while it wrote" if set(_parts(place.out)) - before else f"with {process.returncode}"


def _parts(folder: Path) -> list[Path]:
    return list(folder.glob(f"{HIDDEN}*"))


def _check(place: Place, *, clean: bool) -> None:
    """Broken where a file is not whole; where `clean`, also where anything unfinished is left."""
    there = sorted(place.out.iterdir()) if place.out.is_dir() else []
    for path in there:
        if path.is_file():
            _check_whole(path)
    for path in (*_parts(place.out), *place.scratch.iterdir()):
        if clean:
            raise Broken(f"{path.name} was left")
        if path.stat().st_mode & 0o077:
            raise Broken(f"{path.name} can be read by others")
    names = [path.name for kind in KINDS.values() for path in kind.files_in(place.out)]
    if clean and names and "result.json" not in names:
        raise Broken(f"results without result.json: {', '.join(names)}")


def _check_whole(path: Path) -> None:
    data = path.read_bytes()
    try:
        if path.suffix == ".json":
            json.loads(data)
        elif path.suffix == ".gz":
            gzip.decompress(data)
        elif path.suffix == ".dcm":
            from pydicom import dcmread

            assert len(dcmread(path).PixelData), "no pixels"
        else:
            assert data.rstrip().endswith(b"</html>"), "no end"
    except Exception as error:
        raise Broken(f"{path.name} is not whole ({error})") from error


def _found(path: Path) -> dict[str, Any]:
    """A result without what differs from run to run."""
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    del result["run"]
    return result
