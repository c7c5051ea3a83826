"""`service --load`: several scanners that send at once. How many studies an hour come through, and
how long each waits, with as many studies analysed at once as asked for."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks import inputs, results
from benchmarks.scanner import archiving, sent_and_stored, serving
from models.recipes.scorecard.table import table

SENDERS = 4
WORKERS = (1, 2)
ENOUGH = 20
"""From so many studies on there is a 95th percentile."""
Figures = dict[str, Any]


def measure(path: Path | None, slices: int, matrix: int, studies: int) -> None:
    """Write benchmarks/results/load.json: rows for the threads that this process may use, beside
    those that were measured with other numbers of threads."""
    asked = {"slices": slices, "matrix": matrix, "studies": studies, "senders": SENDERS}
    kept = results.Kept("load", {**asked, "ct": path and path.name})
    rows = []
    with inputs.scan(path, slices, matrix) as scan:
        for workers in WORKERS:
            key = f"{results.threads()} threads, {workers} at once"
            rows.append(kept.point(key, _measured, scan.path, workers, studies))
    before = (results.read("load") or {"figures": {"rows": []}})["figures"]["rows"]
    others = [row for row in before if row["threads"] != results.threads()]
    kept.finish({"rows": sorted([*others, *rows], key=lambda r: (r["threads"], r["workers"]))})


def _measured(path: Path, workers: int, studies: int) -> Figures:
    """Each sender sends its next study when the results of the last one are there; the first study
    of each is not counted."""
    each = -(-studies // SENDERS)
    with (
        archiving() as archive,
        serving(archive, "--workers", str(workers)) as service,
        ThreadPoolExecutor(SENDERS) as senders,
    ):
        list(senders.map(lambda _: sent_and_stored(path, service.port, archive), range(SENDERS)))
        before_s, began_s = _cpu_s(service.pid), time.perf_counter()

        def send(_: int) -> list[float]:
            return [sent_and_stored(path, service.port, archive) for _ in range(each)]

        latencies = [one for some in senders.map(send, range(SENDERS)) for one in some]
        wall_s = time.perf_counter() - began_s
        spent_s = _cpu_s(service.pid) - before_s
    count = len(latencies)
    return {
        "threads": results.threads(),
        "workers": workers,
        "studies": count,
        "an_hour": 3600 * count / wall_s,
        "latency_s": latencies,
        "cpu_s_each": spent_s / count,
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu_s(pid: int) -> float:
    """Of the service and the processes in which it analyses."""
    service = psutil.Process(pid)
    times = [one.cpu_times() for one in (service, *service.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def rows(found: Mapping[str, Any]) -> str:
    """A row for each number of threads, and of studies at once."""
    head = ("threads", "studies at once", "studies", "studies an hour", "median latency",
            "95th percentile", "processor seconds a study", "measured")  # fmt: skip
    return table(head, [_row(one) for one in found["rows"]])


def _row(one: Figures) -> tuple[str, ...]:
    waits = one["latency_s"]
    late = f"{np.percentile(waits, 95):.1f} s" if len(waits) >= ENOUGH else "too few studies"
    return (
        *(str(one["threads"]), str(one["workers"]), str(one["studies"])),
        *(f"{one['an_hour']:.0f}", f"{median(waits):.1f} s", late),
        *(f"{one['cpu_s_each']:.1f}", one["date"]),
    )
