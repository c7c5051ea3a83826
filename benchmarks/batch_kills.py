"""`vfx-edge batch` by each engine while its workers are killed: what is left in the end."""

import csv
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks.processes import CACHE
from benchmarks.results import Kept
from models.recipes.scorecard.table import table
from vfx_edge.backends.cache import CACHE_VARIABLE
from vfx_edge.outputs.nifti import write_image
from vfx_edge.parallel import own_environment
from vfx_edge.phantom import PhantomSpec, make_phantom

DRAWN = 4
"""Phantoms that differ; the other studies are these under other names."""
SMALL: dict[str, Any] = {"levels": ("L1", "L2"), "spacing_mm": 3.0, "pixel_mm": 3.0,
                         "matrix": (128, 128)}  # fmt: skip
ROUNDS_MOST = 20
LOOK_S = 0.1
WORKER = "vfx_edge.batch.worker"
VICTIMS = {
    "processes": (WORKER,),
    "ray": ("ray::StudyWorker",),
    "slurm": (WORKER, "submitit.core._submit"),
}
"""What stands in the command line of a process that may be killed: of Slurm's also the job."""
MORE = {"processes": (), "ray": (), "slurm": ("--slurm", "cluster=local", "--slurm", "chunk=15")}


def command(
    studies: Annotated[int, typer.Option(metavar="N", min=4, help="Of each engine.")] = 300,
    kills: Annotated[int, typer.Option(metavar="N", min=1, help="Workers killed.")] = 10,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Workers at once.")] = 2,
    engine: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one. Repeatable.")
    ] = None,
) -> None:
    """300 small phantoms by each engine; workers and the driver are killed."""
    kept = Kept("batch-kills", {"studies": studies, "kills": kills, "workers": workers})
    chosen = engine or list(VICTIMS)
    for name in chosen:
        kept.point(name, _campaign, name, studies, kills, workers)
    if not any(kept.missing(name) for name in VICTIMS):  # else another call does the others
        kept.finish({name: kept.point(name, dict) for name in VICTIMS})


def rows(found: dict[str, Any]) -> str:
    """What is left after the kills, an engine a line."""
    head = ("engine", "workers killed", "driver killed", "starts", "done", "lost", "doubled",
            "rows in the summary", "processes left")  # fmt: skip
    lines = [_row(name, found[name]) for name in VICTIMS if name in found]
    size = " × ".join(str(edge) for edge in found["processes"]["voxels"])
    return f"{table(head, lines)}\n\nEach of {found['settings']['studies']} CT has {size} voxels."


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    keys = ("workers_killed", "driver_killed", "starts", "done", "lost", "doubled", "rows", "left")
    return name, *(str(int(one[key])) for key in keys)


def _campaign(engine: str, count: int, kills: int, workers: int) -> dict[str, Any]:
    """The batch until it is done."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        studies, voxels = _studies(home, count)
        words = ["vfx_edge", "batch", str(studies), "-o", str(home / "out"), "--quiet"]
        words += ["--workers", str(workers), "--retry-failed", "--engine", engine, *MORE[engine]]
        killer = _Killer(engine, count, kills)
        codes = []
        for _ in range(ROUNDS_MOST):
            codes.append(killer.run(words, home))
            if codes[-1] == 0 and killer.driver_killed:
                break
        return {
            "starts": len(codes),
            "codes": codes,
            "workers_killed": killer.killed.total(),
            "killed": dict(killer.killed),
            "driver_killed": killer.driver_killed,
            "voxels": voxels,
            "left": _left(home),
            **_counted(studies, home / "out"),
        }


def _studies(home: Path, count: int) -> tuple[Path, list[int]]:
    """A folder of `count` small CT, of which DRAWN differ; and their size."""
    folder = home / "studies"
    folder.mkdir()
    voxels: list[int] = []
    for number in range(min(DRAWN, count)):
        image = make_phantom(PhantomSpec(seed=number, **SMALL)).scan.image
        voxels = max(voxels, list(image.values.shape))
        write_image(image.values, image, folder / f"{number:04d}.nii.gz")
    for number in range(DRAWN, count):
        shutil.copyfile(folder / f"{number % DRAWN:04d}.nii.gz", folder / f"{number:04d}.nii.gz")
    return folder, voxels


class _Killer:
    """Workers, when so many studies have been begun as were drawn; after half of them the driver.
    So on any machine the kills lie all over the batch."""

    def __init__(self, engine: str, studies: int, kills: int) -> None:
        drawn = random.Random(7)
        self._at = sorted(drawn.sample(range(1, max(studies - 2 * kills, kills + 2)), kills + 1))
        self._driver = self._at[len(self._at) // 2]
        self.driver_killed = False
        self.killed: Counter[str] = Counter()
        self._victims = VICTIMS[engine]
        self._drawn = drawn

    def run(self, words: Sequence[str], home: Path) -> int:
        """The exit code of one start of the command."""
        temporary = home / "t"
        temporary.mkdir(exist_ok=True)
        environment = {**own_environment(), CACHE_VARIABLE: str(CACHE), "TMPDIR": str(temporary)}
        with subprocess.Popen([sys.executable, "-m", *words], env=environment) as process:
            ended = threading.Event()
            given = (process.pid, home / "out" / "studies", ended)
            killer = threading.Thread(target=self._kill, args=given)
            killer.start()
            code = process.wait()
            ended.set()
            killer.join()
        return code

    def _kill(self, driver: int, begun: Path, ended: threading.Event) -> None:
        while self._at and not ended.wait(self._drawn.uniform(0, 2 * LOOK_S)):
            running = self._running(driver)
            if not running or len(list(begun.glob("*"))) < self._at[0]:
                continue
            if self._at.pop(0) == self._driver:
                self.driver_killed = True
                psutil.Process(driver).kill()
                return
            victim, kind = self._drawn.choice(running)
            with suppress(psutil.Error):  # it may just have ended
                victim.kill()
                self.killed[kind] += 1

    def _running(self, driver: int) -> list[tuple[psutil.Process, str]]:
        found = []
        try:
            for one in psutil.Process(driver).children(recursive=True):
                words = " ".join(one.cmdline())
                found += [(one, kind) for kind in self._victims if kind in words]
        except psutil.Error:
            return []
        return found


def _left(home: Path) -> int:
    """Processes that still have the batch's folder for temporary files."""
    count = 0
    for one in psutil.process_iter():
        try:
            count += one.environ().get("TMPDIR") == str(home / "t")
        except psutil.Error:
            continue
    return count


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
        "rows": len(rows),
        "done": len(done & results),
        "lost": len(given - {names[name] for name in done & results if name in names}),
        "doubled": sum(count - 1 for count in counts.values()),
        "beyond": len(results - set(names)),
    }
