"""One study, from where it lies to its files: what the command, the bench and a service all do.

Heavy libraries are imported inside the functions, so that each part is loaded beside the others.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfx_edge.outputs.kinds import (
    KINDS,
    RESULT,
    Request,
    check_installed,
    chosen,
    defaults,
    dicom_kinds,
    result_set,
    write_all,
)
from vfx_edge.outputs.wording import UnknownLanguage
from vfx_edge.parallel import cores, delayed_interrupt
from vfx_edge.room import check_run, memory_error_as_sentence
from vfx_edge.study import Analysis, Answer, BackendRequest, OnStage, SeriesInfo, StudyResult
from vfx_edge.tasks import DEFAULT, task_of
from vfx_edge.vocabulary import LANGUAGES, SELDOM_ASKED

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.manifest import Demand
    from vfx_edge.study import DicomSource, Scan

DEFAULT_PARENT = Path("vfx-edge-out")


@dataclass(frozen=True)
class Job:
    """A study and what is wanted of it. `out` None: ./vfx-edge-out/<series>. `options`: of the
    task's own type; None: its defaults. `kinds`: names of `outputs.kinds.KINDS`; None: the task's
    default ones; result.json is always written. `previous_report`: the sr.dcm of this study that
    the new one takes the place of."""

    path: Path
    out: Path | None = None
    series: str | None = None
    task: str = DEFAULT
    options: Any = None
    kinds: tuple[str, ...] | None = None
    language: str = "en"
    previous_report: Path | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kinds that are written. UnknownKind, UnknownTask."""
        outputs = task_of(self.task).outputs
        return chosen(defaults(outputs) if self.kinds is None else self.kinds, outputs)

    @property
    def settled_options(self) -> Any:
        """The options, or the task's defaults."""
        return task_of(self.task).load().Options() if self.options is None else self.options


@dataclass(frozen=True)
class Finished:
    """The answer, and the folder its files lie in."""

    answer: Answer
    folder: Path

    @property
    def result(self) -> StudyResult:
        """Of a triage of fractures."""
        assert isinstance(self.answer, Analysis), "another task's answer has no such result"
        return self.answer.result


def run_alone(
    job: Job,
    backend: str | BackendRequest = "auto",
    model: str = "default",
    on_stage: OnStage | None = None,
    demand: "Demand | None" = None,
) -> Finished:
    """A single study: the networks are opened while the scan is read, and closed at the end.
    backend: what is asked of the machine. demand: what the model set must prove.

    Raises VfxError leaves.
    """
    run = _Run(job, on_stage)
    with memory_error_as_sentence():
        return run.write(*_answered(run, job, backend, model, demand))


def answer_alone(
    job: Job,
    backend: str | BackendRequest = "auto",
    model: str = "default",
    on_stage: OnStage | None = None,
) -> Answer:
    """The same, and nothing is written."""
    with memory_error_as_sentence():
        answer, _ = _answered(_Run(job, on_stage), job, backend, model, None)
    return answer


def _answered(
    run: "_Run", job: Job, backend: str | BackendRequest, model: str, demand: "Demand | None"
) -> "tuple[Answer, DicomSource | None]":
    check_run(cores())
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vfx-edge-open")
    try:
        opening = pool.submit(_opened, job, backend, model, demand)
        if "html" in job.wanted:
            pool.submit(_prepare_report)
        scan, source = run.read()
        models = opening.result()
    finally:
        # Not waited for: what it still prepares is needed only for writing.
        pool.shutdown(wait=False)
    with models:
        return run.analyze(scan, models), source


def run_job(job: Job, models: "OpenModels", on_stage: OnStage | None = None) -> Finished:
    """A study with networks that are open already. Raises VfxError leaves."""
    run = _Run(job, on_stage)
    try:
        with memory_error_as_sentence():
            scan, source = run.read()
            return run.write(run.analyze(scan, models), source)
    finally:
        from vfx_edge.memory import give_back  # a single run does without

        give_back()


def default_folder(series: SeriesInfo) -> Path:
    """./vfx-edge-out/<series>."""
    from vfx_edge.outputs.file_names import series_stem

    return DEFAULT_PARENT / series_stem(series)


def _opened(
    job: Job, backend: str | BackendRequest, model: str, demand: "Demand | None"
) -> "OpenModels":
    from vfx_edge.backends import open_models
    from vfx_edge.manifest import load_model_set

    manifest = load_model_set(model, demand)
    roles = task_of(job.task).load().roles(manifest, job.settled_options)
    return open_models(manifest, backend, roles=roles, later=SELDOM_ASKED)


def _prepare_report() -> None:
    """Load what comes after reading. SciPy is loaded here alone: two threads that import parts of
    one library from different ends can trip each other."""
    from vfx_edge.outputs.report.page import prepare

    prepare()


class _Run:
    """A job's steps, and how long they took. What would be missing at the end is refused at the
    start: UnknownTask, UnknownKind, ExtraMissing."""

    def __init__(self, job: Job, on_stage: OnStage | None) -> None:
        self._began = time.perf_counter()
        self._job = job
        self._task = task_of(job.task)
        self._on_stage = on_stage or (lambda _: None)
        check_installed(job.wanted)
        if job.language not in LANGUAGES:
            raise UnknownLanguage(job.language)

    def read(self) -> "tuple[Scan, DicomSource | None]":
        """The scan, and the headers that DICOM results repeat, where such are wanted: what can't
        be repeated, or is no DICOM, is refused before anything is computed."""
        job = self._job
        self._on_stage("read")
        with delayed_interrupt():
            from vfx_edge.inputs import load_scan
            from vfx_edge.inputs.files import sweep_scratch
            from vfx_edge.inputs.modality import MODALITIES

        sweep_scratch()
        scan = load_scan(job.path, job.series, modality=MODALITIES[self._task.modality])
        if not set(dicom_kinds()).intersection(job.wanted):
            return scan, None
        with delayed_interrupt():
            from vfx_edge.inputs.source import read_source

        return scan, read_source(job.path, scan)

    def analyze(self, scan: "Scan", models: "OpenModels") -> Answer:
        """The task's answer; of the next backend where the first one fails and `auto` chose."""
        read = self._seconds()
        options, task = self._job.settled_options, self._task.load()
        answer = models.answer(lambda: task.analyze(scan, models, options, self._on_stage))
        return _with_seconds(answer, {"read": read, "total": self._seconds()})

    def write(self, answer: Answer, source: "DicomSource | None") -> Finished:
        """Every file asked for, or none; result.json comes last: where it is, all are."""
        job = self._job
        self._on_stage("write")
        folder = job.out or default_folder(answer.scan.series)
        with result_set(folder):
            start = self._seconds()
            answer = _with_seconds(answer, {"total": start})
            request = Request(answer, folder, job.language, source, job.previous_report)
            write_all(request, job.wanted)
            end = self._seconds()
            answer = _with_seconds(answer, {"write": end - start, "total": end})
            KINDS[RESULT].write(replace(request, answer=answer))
        return Finished(answer, folder)

    def _seconds(self) -> float:
        return time.perf_counter() - self._began


def _with_seconds(answer: Answer, seconds: dict[str, float]) -> Answer:
    """What only the whole job knows, added to what the answer says of itself."""
    from vfx_edge.memory import peak_rss_mib

    run = answer.run
    seconds = {**run.seconds, **seconds}
    return answer.with_run(replace(run, seconds=seconds, peak_rss_mib=peak_rss_mib()))
