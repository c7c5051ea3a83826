"""The whole command against what nothing could be quicker than here: its networks' operations at
this machine's convolution peak, and its files read."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import inputs, options, peaks
from benchmarks.limits import works
from benchmarks.processes import whole_command, worker
from benchmarks.results import Kept
from benchmarks.speed import Making, abdomens
from benchmarks.worker import Order

Peak = tuple[Callable[[peaks.Conv, str, int], list[float]], peaks.Conv]
RUNTIMES = {"OpenVINO": peaks.openvino_conv, "PyTorch": peaks.torch_conv}
TRIED, TIMED = 3, 3
"""Calls of each convolution to find the quickest, and of the quickest in each turn."""


def command(
    cts: options.Cts = None,
    slices: options.Slices = 600,
    matrix: options.Matrix = 512,
    repeat: options.Repeat = 7,
    isa: options.Isa = None,
) -> None:
    """The whole command as a ratio that holds on any machine and on a busy one: against the time
    of its networks' operations at the convolution peak and of reading its files, in turns."""
    options.needs("torch")
    names = [inputs.name_of(path) for path in cts or ()]
    kept = Kept("floor", {"slices": slices, "matrix": matrix, "repeat": repeat, "cts": names})
    scans = list(_scans(cts, slices, matrix))
    rows = [
        {"name": name, **kept.point(name, _measured, kept, making, repeat)}
        for name, making in scans
    ]
    kept.finish({"rows": rows})


def _scans(cts: options.Cts, slices: int, matrix: int) -> Iterator[tuple[str, Making]]:
    yield inputs.PHANTOM.format(slices, matrix), inputs.scan(None, slices, matrix)
    yield from abdomens(None, matrix)
    for path in cts or ():
        yield inputs.name_of(path), inputs.scan(path, slices, matrix)


def _measured(kept: Kept, making: Making, repeat: int) -> dict[str, Any]:
    with making as scan:
        what = inputs.facts(scan.path)
        asked = _asked(scan.path)
        best = {precision: _quickest(kept, precision) for precision in asked["gflop"]}
        whole_command(scan.path)  # fills caches
        turns = [_turn(scan.path, best) for _ in range(repeat)]
    return {
        "input": what,
        **asked,
        "wall_s": [turn["wall"] for turn in turns],
        "read_s": [turn["read"] for turn in turns],
        "peak_gflops": {name: [turn["peak"][name] for turn in turns] for name in best},
    }


def _asked(path: Path) -> dict[str, Any]:
    """GFLOP of all that one study asks of its networks, by the precision each computes in."""
    with worker(Order(str(path), "auto", "auto")) as running:
        networks = running.ask()["networks"]
    gflop: dict[str, float] = {}
    for role, work in works().items():
        if (network := networks.get(role)) and network["patches"]:
            at = network["precision"]
            gflop[at] = gflop.get(at, 0.0) + network["patches"] * work.gflop
    return {"gflop": gflop, "patches": {role: n["patches"] for role, n in networks.items()}}


def _turn(path: Path, best: dict[str, Peak]) -> dict[str, Any]:
    """The peaks, the reading and the command, one after another: what else goes on hits all."""
    peak = {
        precision: conv.gflop / median(run(conv, precision, TIMED))
        for precision, (run, conv) in best.items()
    }
    return {"peak": peak, "read": _read_s(path), "wall": whole_command(path)["wall"]}


def _quickest(kept: Kept, precision: str) -> Peak:
    """The runtime and the convolution by which this machine does most operations a second."""
    tried = {
        (name, at): kept.point(
            f"{conv.title}, {name}, {precision}", partial(run, conv, precision, TRIED)
        )
        for name, run in RUNTIMES.items()
        if (name, precision) not in peaks.UNKNOWN
        for at, conv in enumerate(peaks.CONVS)
    }
    runtime, at = max(tried, key=lambda key: peaks.CONVS[key[1]].gflop / median(tried[key]))
    return RUNTIMES[runtime], peaks.CONVS[at]


def _read_s(path: Path) -> float:
    """Seconds to read the CT's files one after another, all of them in the page cache."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    begin = perf_counter()
    for file in files:
        file.read_bytes()
    return perf_counter() - begin


def floor_s(row: dict[str, Any]) -> list[float]:
    """The least that each turn could have taken, seconds."""
    networks = [
        sum(row["gflop"][name] / turn for name, turn in zip(row["gflop"], speeds, strict=True))
        for speeds in zip(*(row["peak_gflops"][name] for name in row["gflop"]), strict=True)
    ]
    return [a + b for a, b in zip(networks, row["read_s"], strict=True)]
