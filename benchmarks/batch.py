"""`vfx-edge batch`: what an engine costs beside a plain loop in one process with open networks."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer

from benchmarks.processes import CACHE
from benchmarks.results import Kept
from models.recipes.scorecard.table import table
from vfx_edge.backends.cache import CACHE_VARIABLE
from vfx_edge.parallel import own_environment

DRAWN = 12
"""Phantoms that differ; the other studies are these under other names."""
ENGINES = ("processes", "ray")
LOOP = "plain loop, one process"
AFTER_S = 3.0
"""For processes that end after the command."""


def command(
    timed: Annotated[int, typer.Option(metavar="N", min=4, help="Studies of each run.")] = 40,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each, in turns.")] = 3,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Workers at once.")] = 2,
) -> None:
    """Small phantoms by a plain loop, by worker processes and by Ray, in turns: what each costs."""
    kept = Kept("batch", {"timed": timed, "rounds": rounds, "workers": workers})
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        studies = _studies(home, timed)
        runs: dict[str, list[dict[str, Any]]] = {LOOP: [], **{name: [] for name in ENGINES}}
        for turn in range(rounds):  # in turns: what else the machine does hits all alike
            for name, found in runs.items():
                out = home / f"{name.partition(',')[0]}-{turn}"
                words = _words(name, studies, out, workers)
                found.append(kept.point(f"{name} {turn + 1}", _timed, words))
    kept.finish({"runs": runs, "overhead": {name: _overhead(runs, name) for name in ENGINES}})


def rows(found: dict[str, Any]) -> str:
    """What each engine costs."""
    studies = found["settings"]["timed"]
    lines = []
    for name, runs in found["runs"].items():
        each = median(run["cpu_s"] for run in runs) / studies
        more = f"{found['overhead'][name]:+.1%}" if name in found["overhead"] else ""
        wall = median(run["wall_s"] for run in runs) / studies
        lines.append((name, f"{each:.2f} s", more, f"{wall:.2f} s"))
    head = ("", "processor seconds a study", "more than the loop", "seconds a study")
    return (
        f"{table(head, lines)}\n\n{studies} studies a run, {found['settings']['workers']} workers, "
        "opening the networks and starting the engine included; medians."
    )


def _overhead(runs: dict[str, list[dict[str, Any]]], name: str) -> float:
    """The median over the turns of what more the engine takes than the loop beside it."""
    pairs = zip(runs[name], runs[LOOP], strict=True)
    return float(median(engine["cpu_s"] / loop["cpu_s"] for engine, loop in pairs)) - 1


def _words(name: str, studies: Path, out: Path, workers: int) -> list[str]:
    if name == LOOP:
        return ["benchmarks.batch_loop", str(studies), str(out)]
    words = ["vfx_edge", "batch", str(studies), "-o", str(out), "--quiet", "--engine", name]
    return [*words, "--workers", str(workers)]


def _studies(home: Path, count: int) -> Path:
    """A folder of `count` small CT, of which DRAWN differ."""
    drawn = home / "drawn"
    words = ["vfx_edge", "phantom", str(drawn), "--studies", str(DRAWN), "--levels", "T11-L3"]
    assert _ended(words) == 0
    cts = sorted(drawn.glob("rawdata/*/*_ct.nii.gz"))
    folder = home / "studies"
    folder.mkdir()
    for number in range(count):
        shutil.copyfile(cts[number % len(cts)], folder / f"{number:04d}.nii.gz")
    return folder


def _ended(words: Sequence[str]) -> int:
    environment = {**own_environment(), CACHE_VARIABLE: str(CACHE)}
    return subprocess.run([sys.executable, "-m", *words], env=environment, check=False).returncode


def _timed(words: Sequence[str]) -> dict[str, Any]:
    """Seconds of wall, and of processors: the whole machine's, as Ray takes no account of its
    workers. So nothing else may run."""
    before, begin = _busy_s(), time.perf_counter()
    code = _ended(words)
    wall = time.perf_counter() - begin
    time.sleep(AFTER_S)
    assert code == 0, f"{words[0]} ended with {code}"
    return {"wall_s": wall, "cpu_s": _busy_s() - before}


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)
