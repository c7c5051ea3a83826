"""A server's networks beside this machine's own: the same findings, what the way there costs, and
what is left of a batch whose server is killed in the middle of it."""

import csv
import json
import shutil
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import inputs, options
from benchmarks.processes import CACHE, program, worker
from benchmarks.results import Kept, threads
from benchmarks.worker import Order
from export.repository import write_repository
from models.recipes.scorecard.table import table
from tests import serving
from vfx_edge.bench.processes import timed

LOCAL = "cpu"
"""The backend of the runtime that the server has, too."""
PRECISION = "fp32"
PHANTOM = "phantom"
OUTAGE_AT = 0.3
"""Of the studies: from there on the server is gone."""
OUTAGE_S = 5.0
DRAWN = 5
"""Phantoms that differ."""


def command(
    cts: options.Cts = None,
    repeat: options.Repeat = 5,
    studies: Annotated[int, typer.Option(metavar="N", min=4, help="Of the batch.")] = 20,
    slices: options.Slices = 200,
    matrix: options.Matrix = 256,
    server: Annotated[
        str, typer.Option(metavar="|".join(serving.SERVERS), help="Which server.")
    ] = "triton",
) -> None:
    """A real server on this machine, by its loopback: same findings, latency added, an outage."""
    if server not in serving.SERVERS or not serving.PYTHON.exists():
        raise typer.BadParameter(f"no server {server} is here: make servers")
    names = [inputs.name_of(path) for path in cts or ()]
    asked = {"repeat": repeat, "studies": studies, "slices": slices, "matrix": matrix,
             "server": server, "cts": names}  # fmt: skip
    kept = Kept("kserve", asked)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_repository("default", home / "models", "cpu", PRECISION)
        made = serving.SERVERS[server](home / "models", home, threads())
        running = stack.enter_context(made)
        drawn = stack.enter_context(inputs.phantom(inputs.standard_phantom(slices, matrix)))
        found = {
            name: kept.point(name, _beside, path, running.url, repeat)
            for name, path in [(PHANTOM, drawn.path), *zip(names, cts or (), strict=True)]
        }
        outage = kept.point("outage", _outage, home, running, studies)
    kept.finish({"scans": found, "outage": outage})


def rows(figures: dict[str, Any]) -> str:
    """What the way costs, and what is left after the outage."""
    lines = []
    for name, one in figures["scans"].items():
        here, there = (statistics.median(one[key]) for key in ("local_s", "server_s"))
        same = "the same" if one["same"] else "**others**"
        memory = f"{one['local_mib']:.0f} / {one['server_mib']:.0f}"
        lines.append(
            (name, f"{here:.2f} s", f"{there:.2f} s", f"{there / here - 1:+.1%}", same, memory)
        )
    head = ("CT", f"`{LOCAL}` here", "`kserve`", "added", "findings", "peak MiB here / `kserve`")
    left = figures["outage"]
    return (
        f"{table(head, lines)}\n\n{left['software']} on the same machine by its loopback, with the "
        f"same ONNX Runtime in {PRECISION.upper()} and as many threads; medians of "
        f"{figures['settings']['repeat']} studies each, in turns, with open networks. Of "
        f"{left['studies']} studies of a batch whose server was killed after "
        f"{left['killed_after']} and begun again {OUTAGE_S:.0f} s later: {left['lost']} lost, "
        f"{left['wrong']} wrong."
    )


def _beside(path: Path, url: str, repeat: int) -> dict[str, Any]:
    """Seconds of whole studies, in turns: others' load falls on both."""
    with (
        worker(Order(str(path), LOCAL, PRECISION)) as here,
        worker(Order(str(path), f"kserve={url}", PRECISION)) as there,
    ):
        runs: dict[str, list[dict[str, Any]]] = {"local": [], "server": []}
        for _ in range(repeat + 1):
            runs["local"].append(here.ask())
            runs["server"].append(there.ask())
    facts = [run["facts"] for both in runs.values() for run in both]
    told = {f"{name}_s": [run["wall"] for run in both[1:]] for name, both in runs.items()}
    memory = {f"{name}_mib": both[-1]["peak_rss_mib"] for name, both in runs.items()}
    return {**told, **memory, "same": all(one == facts[0] for one in facts)}


def _outage(home: Path, server: serving.Server, studies: int) -> dict[str, Any]:
    """A batch whose server is killed and begun again, against the same without a server."""
    few, many = (_small(home, count) for count in (DRAWN, studies))
    words = ["vfx_edge", "batch", "--workers", "1", "--quiet", "--outputs", "json"]
    asked = ["--backend", LOCAL, "--precision", PRECISION]
    timed([*words, str(few), "-o", str(home / "here"), *asked], CACHE)
    words, out = [*words, str(many)], home / "there"
    seen = threading.Event()
    with program([*words, "-o", str(out), "--backend", f"kserve={server.url}"]) as process:
        at = max(1, int(studies * OUTAGE_AT))
        while process.poll() is None and len(_results(out)) < at:
            seen.wait(0.05)
        done = len(_results(out))
        server.kill()
        time.sleep(OUTAGE_S)
        server.start()
        code = process.wait()
    wanted, found = _answers(home / "here"), _answers(out)
    wrong = [n for n, answer in found.items() if answer != wanted[n % DRAWN]]
    (software,) = {_run(path)["backend"]["server"]["software"] for path in _results(out)}
    return {"studies": studies, "killed_after": done, "code": code, "software": software,
            "lost": studies - len(found), "wrong": len(wrong)}  # fmt: skip


def _small(home: Path, count: int) -> Path:
    """A folder of so many small CT, of which DRAWN differ."""
    words = ["vfx_edge", "phantom", str(home / "drawn"), "--levels", "T12-L2"]
    if not (home / "drawn").exists():
        timed([*words, "--studies", str(DRAWN)], CACHE)
    drawn = sorted((home / "drawn").glob("rawdata/*/*_ct.nii.gz"))
    folder = home / f"cts-{count}"
    folder.mkdir()
    for number in range(count):
        shutil.copyfile(drawn[number % len(drawn)], folder / f"{number:03d}.nii.gz")
    return folder


def _results(out: Path) -> list[Path]:
    return list(out.glob("studies/*/result.json"))


def _answers(out: Path) -> dict[int, dict[str, Any]]:
    """A study's number, which its file is named by -> everything of its result but how it came
    about, and whose it is."""
    with (out / "sources.csv").open(newline="", encoding="utf-8") as stream:
        numbers = {row["study"]: int(Path(row["path"]).name[:3]) for row in csv.DictReader(stream)}
    return {numbers[path.parent.name]: _answer(path) for path in _results(out)}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _answer(path: Path) -> dict[str, Any]:
    return {key: value for key, value in _read(path).items() if key not in ("run", "series")}


def _run(path: Path) -> dict[str, Any]:
    run: dict[str, Any] = _read(path)["run"]
    return run
