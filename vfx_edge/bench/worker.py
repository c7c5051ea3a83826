"""One backend in one precision, measured in a process of its own.

`python -m vfx_edge.bench.worker` follows `protocol`; `measured` is its parent.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vfx_edge.backends import OpenModels, open_models
from vfx_edge.bench.machine import OtherWork
from vfx_edge.bench.parity import facts_of, keep_asked, replay, unique
from vfx_edge.bench.patches import recorded
from vfx_edge.bench.precisions import possible_precisions
from vfx_edge.bench.protocol import serve
from vfx_edge.fracture_task import Options, roles
from vfx_edge.inputs import load_scan
from vfx_edge.job import Job, run_job
from vfx_edge.manifest import load_model_set
from vfx_edge.memory import peak_rss_mib, peak_vram_mib
from vfx_edge.outputs.report.page import write_report
from vfx_edge.outputs.result_json import write_result_json
from vfx_edge.spine.chain import analyze
from vfx_edge.study import BackendRequest, Scan

Report = Callable[..., None]
"""Name of an event, and its values."""


@dataclass(frozen=True)
class Order:
    """What to measure. Paths are absolute."""

    path: str
    out: str
    """A folder for what the studies write."""
    model: str
    backend: str
    precision: str
    repeat: int
    """Warm runs; 0: only the first."""
    duration_s: float | None
    """Instead of `repeat`: warm runs for so long, at least one."""
    studies: int
    """One after another for throughput; 0: none."""
    patches: str
    """Where the reference keeps what its networks were asked, and the others find it."""
    reference: bool
    describe: bool
    """Whether to report the scan's size."""
    gpu_gib: float | None = None
    """GPU memory that the networks may take; None: as `vfx-edge run` gives them."""


def work(order: Order, report: Report) -> None:
    """Measure; each figure is reported as it comes. VfxError where it can't be done."""
    manifest = load_model_set(order.model)
    began = time.perf_counter()
    with open_models(
        manifest,
        BackendRequest(order.backend, order.precision, gpu_gib=order.gpu_gib),
        roles=roles(manifest, Options()),
    ) as models:
        report("opened", seconds=time.perf_counter() - began, **_opened(models))
        busy = _repeat(order, models, report)
        memory = {"peak_rss_mib": peak_rss_mib(), "peak_vram_mib": peak_vram_mib()}
        report("warmed", **memory, busy=busy, warnings=models.warnings)
        if order.studies:
            seconds = throughput(Path(order.path), Path(order.out), models, order.studies)
            figures = {"studies": order.studies, "seconds": seconds}
            report("throughput", **figures, peak_rss_mib=peak_rss_mib())
        _compare(order, models, report)


def _opened(models: OpenModels) -> dict[str, Any]:
    use = models.backend
    return {"backend": use.used, "device": use.device, "precision": use.precision}


def _repeat(order: Order, models: OpenModels, report: Report) -> float:
    """The first study, then warm ones; the share of the processors that others took of these."""
    one_run("first", order, models, report)
    others = OtherWork()
    begin = time.perf_counter()
    done = 0
    while _goes_on(order, done, time.perf_counter() - begin):
        one_run("warm", order, models, report)
        done += 1
    return others.share()


def _goes_on(order: Order, done: int, elapsed_s: float) -> bool:
    if order.duration_s is None or order.repeat == 0:
        return done < order.repeat
    return done == 0 or elapsed_s < order.duration_s


def one_run(kind: str, order: Order, models: OpenModels, report: Report) -> None:
    """One study from path to files, as `vfx-edge run` does it; reported when done."""
    begin = time.perf_counter()
    finished = run_job(Job(Path(order.path), Path(order.out)), models)
    wall = time.perf_counter() - begin
    stages = {name: s for name, s in finished.result.run.seconds.items() if name != "total"}
    facts = facts_of(finished.result)
    report("run", kind=kind, wall=wall, stages=stages, facts=facts)


def input_facts(scan: Scan) -> dict[str, Any]:
    """The scan's size; nothing of where it lay or whose it is."""
    return {
        "shape_zyx": list(scan.image.shape),
        "spacing_zyx_mm": [round(float(edge), 4) for edge in scan.image.spacing_zyx_mm],
        "int16_mib": round(scan.image.values.nbytes / 2**20, 1),
    }


def throughput(path: Path, out: Path, models: OpenModels, studies: int) -> float:
    """Seconds for `studies` studies, the next being read while the present one is analysed."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(load_scan, path)
        for left in reversed(range(studies)):
            scan = coming.result()
            if left:
                coming = pool.submit(load_scan, path)
            analysis = analyze(scan, models)
            write_report(analysis, out / "report.html")
            write_result_json(analysis.result, out / "result.json")
    return time.perf_counter() - begin


def _compare(order: Order, models: OpenModels, report: Report) -> None:
    """The reference keeps what it was asked; the others answer the same."""
    patches = Path(order.patches)
    if order.reference:
        watched, recorders = recorded(models)
        analyze(load_scan(Path(order.path)), watched)
        keep_asked(recorders, models, patches)
    elif patches.is_file():
        compared = replay(models, patches)
        unasked = {network.spec.name for network in unique(models)} - {n.network for n in compared}
        networks = [asdict(one) for one in compared]
        report("parity", networks=networks, unasked=sorted(unasked))
    if order.describe:
        report("input", **input_facts(load_scan(Path(order.path))))
    if order.reference or order.precision == "auto":
        report("precisions", names=possible_precisions(order.backend, models.manifest))


if __name__ == "__main__":
    serve(lambda order, parent: work(Order(**order), parent.report))
