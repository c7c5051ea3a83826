"""`vfx-edge batch`: what it costs beside a plain loop, and what is left after many kills."""

import csv
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
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
ROUNDS_MOST = 20
BETWEEN_KILLS_S = (4.0, 30.0)
WORKER = "vfx_edge.batch.worker"


def command(
    studies: Annotated[int, typer.Option(metavar="N", min=4, help="Of the killed batch.")] = 300,
    timed: Annotated[int, typer.Option(metavar="N", min=4, help="Of those that are timed.")] = 60,
    kills: Annotated[int, typer.Option(metavar="N", min=1, help="Workers killed.")] = 10,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Workers at once.")] = 2,
) -> None:
    """Small phantoms by worker processes: cost over a plain loop; workers and driver killed."""
    asked = {"studies": studies, "timed": timed, "kills": kills, "workers": workers}
    kept = Kept("batch", asked)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        some = _studies(home, "timed", timed)
        many = _studies(home, "many", studies)
        loop = kept.point("loop", _timed, ["benchmarks.batch_loop", str(some), str(home / "loop")])
        words = ["vfx_edge", "batch", str(some), "-o", str(home / "batch"), "--quiet"]
        batch = kept.point("batch", _timed, [*words, "--workers", str(workers)])
        killed = kept.point("killed", _killed, many, home / "killed", kills, workers)
    overhead = batch["cpu_s"] / loop["cpu_s"] - 1
    kept.finish({"loop": loop, "batch": batch, "overhead": overhead, "killed": killed})


def rows(found: dict[str, Any]) -> str:
    """What the batch costs, and what is left after the kills."""
    studies, killed = found["settings"]["timed"], found["killed"]
    each = {name: found[name]["cpu_s"] / studies for name in ("loop", "batch")}
    workers = found["settings"]["workers"]
    lines = [
        ("plain loop, one process", f"{each['loop']:.2f} s", ""),
        (f"batch, {workers} workers", f"{each['batch']:.2f} s", f"{found['overhead']:+.1%}"),
    ]
    cost = table(("", "processor seconds a study", "more than the loop"), lines)
    return (
        f"{cost}\n\n{studies} studies each, opening the networks included. "
        f"Of {killed['studies']} studies with {killed['workers_killed']} workers "
        f"{'and the command ' if killed['driver_killed'] else ''}killed: {killed['done']} done, "
        f"{killed['lost']} lost, {killed['doubled']} doubled; the command was started "
        f"{len(killed['codes'])} times."
    )


def _studies(home: Path, name: str, count: int) -> Path:
    """A folder of `count` small CT, of which DRAWN differ."""
    drawn = home / "drawn"
    if not drawn.exists():
        words = ["vfx_edge", "phantom", str(drawn), "--studies", str(DRAWN), "--levels", "T11-L3"]
        _ended(words)
    cts = sorted(drawn.glob("rawdata/*/*_ct.nii.gz"))
    folder = home / name
    folder.mkdir()
    for number in range(count):
        os.link(cts[number % len(cts)], folder / f"{number:04d}.nii.gz")
    return folder


def _started(words: Sequence[str]) -> "subprocess.Popen[bytes]":
    environment = {**own_environment(), CACHE_VARIABLE: str(CACHE)}
    return subprocess.Popen([sys.executable, "-m", *words], env=environment)


def _ended(words: Sequence[str]) -> int:
    with _started(words) as process:
        return process.wait()


def _timed(words: Sequence[str]) -> dict[str, Any]:
    """Seconds of wall and of processors, all processes together."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    code = _ended(words)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert code == 0, f"{words[0]} ended with {code}"
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu}


def _killed(studies: Path, out: Path, kills: int, workers: int) -> dict[str, Any]:
    """The batch until it is done: workers killed at random moments, the driver once."""
    drawn = random.Random(7)
    words = ["vfx_edge", "batch", str(studies), "-o", str(out), "--quiet"]
    words += ["--workers", str(workers), "--retry-failed"]
    left, driver_killed, codes = [kills], [False], []
    for _ in range(ROUNDS_MOST):
        with _started(words) as process:
            ended = threading.Event()
            killer = threading.Thread(
                target=_kill, args=(process, drawn, left, driver_killed, kills // 2, ended)
            )
            killer.start()
            codes.append(process.wait())
            ended.set()
            killer.join()
        if codes[-1] == 0 and driver_killed[0]:
            break
    return {"codes": codes, "workers_killed": kills - left[0], "driver_killed": driver_killed[0],
            **_counted(studies, out)}  # fmt: skip


def _kill(
    process: "subprocess.Popen[bytes]",
    drawn: random.Random,
    left: list[int],
    driver_killed: list[bool],
    at: int,
    ended: threading.Event,
) -> None:
    """Workers, one after the other; the driver when `at` kills are left."""
    while left[0] and not ended.wait(drawn.uniform(*BETWEEN_KILLS_S)):
        if left[0] == at and not driver_killed[0]:
            driver_killed[0] = True
            process.kill()
            return
        if running := _workers(process.pid):
            drawn.choice(running).kill()
            left[0] -= 1


def _workers(driver: int) -> list[psutil.Process]:
    try:
        children = psutil.Process(driver).children()
        return [child for child in children if WORKER in child.cmdline()]
    except psutil.Error:
        return []


def _counted(studies: Path, out: Path) -> dict[str, Any]:
    """Rows and results against what there was to do."""
    with (out / "sources.csv").open(newline="", encoding="utf-8") as stream:
        names = {row["study"]: row["path"] for row in csv.DictReader(stream)}
    with (out / "summary.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    counts = Counter(row["study"] for row in rows)
    given = {str(path.absolute()) for path in studies.glob("*.nii.gz")}
    results = {path.parent.name for path in out.glob("studies/*/result.json")}
    done = {row["study"] for row in rows if row["state"] == "done"}
    shutil.rmtree(out / "studies")
    return {
        "studies": len(given),
        "done": len(done & results),
        "lost": len(given - {names[name] for name in done & results if name in names}),
        "doubled": sum(count - 1 for count in counts.values()),
        "beyond": len(results - set(names)),
    }
