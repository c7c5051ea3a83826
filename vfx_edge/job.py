"""One study, from where it lies to its files: what the command, the bench and a service all do.

Heavy libraries are imported inside the functions, so that each part is loaded beside the others.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.outputs.kinds import (
    KINDS,
    RESULT,
    Request,
    check_installed,
    defaults,
    dicom_kinds,
    remove_former,
    write_all,
)
from vfx_edge.parallel import ctrl_c_waits
from vfx_edge.study import Analysis, ByHand, Level, SeriesInfo, StudyResult

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.manifest import ModelManifest
    from vfx_edge.spine.chain import Options
    from vfx_edge.study import DicomSource, Scan

DEFAULT_PARENT = Path("vfx-edge-out")
OnStage = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """A study and what is wanted of it. `out` None: ./vfx-edge-out/<series>. `levels` None: T1 to
    the last lumbar vertebra. `kinds`: names of `outputs.kinds.KINDS`; result.json is always
    written. `previous_report`: the sr.dcm of this study that the new one takes the place of."""

    path: Path
    out: Path | None = None
    series: str | None = None
    levels: tuple[Level, ...] | None = None
    classify: str | tuple[Level, ...] = "suspected"
    segmentation: Path | None = None
    levels_by_hand: ByHand | None = None
    kinds: tuple[str, ...] = defaults()
    language: str = "en"
    previous_report: Path | None = None


@dataclass(frozen=True)
class Finished:
    """What was found, and the folder its files lie in."""

    result: StudyResult
    folder: Path


def run_alone(
    job: Job, backend: str = "auto", model: str = "default", on_stage: OnStage | None = None
) -> Finished:
    """A single study: the networks are opened while the scan is read, and closed at the end.

    Raises VfxError leaves.
    """
    began = time.perf_counter()
    say = on_stage or (lambda _: None)
    _check_kinds(job)
    say("read")
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vfx-edge-open")
    try:
        opening = pool.submit(_opened, job, backend, model)
        pool.submit(_prepare)
        with ctrl_c_waits():
            from vfx_edge.inputs import load_scan

        scan = load_scan(job.path, job.series)
        source = _source(job, scan)
        models = opening.result()
    finally:
        # Not waited for: what it still prepares is needed only for writing.
        pool.shutdown(wait=False)
    with models:
        analysis = _analyzed(job, scan, models, say, began)
    return _written(analysis, source, job, say, began)


def run_job(job: Job, models: "OpenModels", on_stage: OnStage | None = None) -> Finished:
    """A study with networks that are open already. Raises VfxError leaves."""
    began = time.perf_counter()
    say = on_stage or (lambda _: None)
    _check_kinds(job)
    say("read")
    from vfx_edge.inputs import load_scan

    scan = load_scan(job.path, job.series)
    source = _source(job, scan)
    return _written(_analyzed(job, scan, models, say, began), source, job, say, began)


def default_folder(series: SeriesInfo) -> Path:
    """./vfx-edge-out/<series>."""
    from vfx_edge.outputs import series_stem

    return DEFAULT_PARENT / series_stem(series)


def needed_roles(manifest: "ModelManifest", segmentation_given: bool) -> tuple[str, ...]:
    """The networks that the chain asks with this set: only these need be opened. RoleMissing."""
    if segmentation_given:  # nothing is located, named or outlined
        return ("classifier",)
    joined = manifest.network("segmenter").window is not None
    return tuple(role for role in manifest.roles if not (joined and role == "finder"))


def _check_kinds(job: Job) -> None:
    """What would be missing at the end is reported at the start. UnknownKind,
    ExtraMissing."""
    check_installed(job.kinds)


def _source(job: Job, scan: "Scan") -> "DicomSource | None":
    """The headers that DICOM results repeat, where such are wanted: what can't be repeated, or
    is no DICOM, is refused before anything is computed."""
    if not set(dicom_kinds()).intersection(job.kinds):
        return None
    with ctrl_c_waits():
        from vfx_edge.inputs.source import read_source

    return read_source(job.path, scan)


def _opened(job: Job, backend: str, model: str) -> "OpenModels":
    from vfx_edge.backends import open_models
    from vfx_edge.manifest import load_model_set

    manifest = load_model_set(model)
    roles = needed_roles(manifest, job.segmentation is not None)
    return open_models(manifest, backend, roles=roles)


def _prepare() -> None:
    """Load what comes after reading. SciPy is loaded here alone: two threads that import parts of
    one library from different ends can trip each other."""
    from vfx_edge.outputs.report.page import template

    template()


def _analyzed(job: Job, scan: "Scan", models: "OpenModels", say: OnStage, began: float) -> Analysis:
    from vfx_edge.spine.chain import analyze

    read = time.perf_counter() - began
    return _with_run(analyze(scan, models, _options(job, scan), say), {"read": read})


def _options(job: Job, scan: "Scan") -> "Options":
    from vfx_edge.spine.chain import Options

    options = Options(classify=job.classify, levels_by_hand=job.levels_by_hand)
    if job.levels is not None:
        options = replace(options, levels=job.levels)
    if job.segmentation is not None:
        from vfx_edge.inputs.segmentation import read_segmentation

        given = read_segmentation(job.segmentation, scan)
        options = replace(
            options,
            segmentation=given.labels,
            segmentation_named=given.named,
            remarks=given.remarks,
        )
    return options


def _written(
    analysis: Analysis, source: "DicomSource | None", job: Job, say: OnStage, began: float
) -> Finished:
    """Every file asked for; result.json comes last, so that its being there means all are."""
    say("write")
    folder = job.out or default_folder(analysis.scan.series)
    remove_former(folder)
    start = time.perf_counter()
    analysis = _with_run(analysis, {"total": start - began})
    request = Request(analysis, folder, job.language, source, job.previous_report)
    write_all(request, job.kinds)
    end = time.perf_counter()
    analysis = _with_run(analysis, {"write": end - start, "total": end - began})
    KINDS[RESULT].write(replace(request, analysis=analysis))
    return Finished(analysis.result, folder)


def _with_run(analysis: Analysis, seconds: dict[str, float]) -> Analysis:
    """What only the whole job knows, added to what the analysis says of itself."""
    from vfx_edge.usage import peak_rss_mib

    run = analysis.result.run
    run = replace(run, seconds={**run.seconds, **seconds}, peak_rss_mib=peak_rss_mib())
    return replace(analysis, result=replace(analysis.result, run=run))
