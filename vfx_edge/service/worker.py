"""Analyses the studies, one after another; the networks are opened once."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.errors import BackendError, InputError, OutputError, VfxError
from vfx_edge.fracture_task import Options, roles
from vfx_edge.inputs.source import NoDicomSource, SourceLacks
from vfx_edge.job import Job, run_job
from vfx_edge.manifest import Demand, load_model_set
from vfx_edge.outputs.dicom.write import DicomRefused
from vfx_edge.outputs.kinds import dicom_files, dicom_kinds
from vfx_edge.service.queue_loop import (
    Done,
    GivenUp,
    Outcome,
    QueueLoop,
    RetryLater,
    retry_until_limit,
)
from vfx_edge.service.reasons import code_location, log_bug
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.queue import OPEN, SUPERSEDED, Entry, OperationalError, Queue, State
from vfx_edge.service.store.results import missing_results, note_missing_results, pseudonym_in
from vfx_edge.service.store.spool import Spool

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels

_RESULT = re.compile(r"\S+/part/[0-9a-f]+/(\S+)")
log = logging.getLogger(__name__)
Chain = Callable[[Job], object]
"""From a study's path to the files in `Job.out`; raises VfxError."""


class OpenChain:
    """The real chain. Its networks are opened at the first study, or by `open`, and again after the
    backend has failed: a lost GPU is only found so."""

    def __init__(self, backend: str, model: str, demand: Demand | None = None) -> None:
        self._backend = backend
        self._model = model
        self._demand = demand
        self._models: OpenModels | None = None

    def open(self) -> "OpenModels":
        """ModelError, BackendError."""
        if self._models is None:
            from vfx_edge.backends import open_models

            manifest = load_model_set(self._model, self._demand)
            self._models = open_models(manifest, self._backend, roles=roles(manifest, Options()))
        return self._models

    def close(self) -> None:
        """Free the memory of the networks."""
        if self._models is not None:
            models, self._models = self._models, None
            models.__exit__(None, None, None)

    def __call__(self, job: Job) -> object:
        try:
            return run_job(job, self.open())
        except BackendError:
            self.close()
            raise


class Worker:
    """Processes the queue of jobs. Results appear complete or not at all, and are made once: those
    of a job that has them are only sent."""

    def __init__(
        self, settings: Settings, spool: Spool, jobs: Queue, sends: Queue, chain: Chain
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._sends = sends
        self._chain = chain
        self.loop = QueueLoop(jobs, self.process)

    def process(self, entry: Entry) -> Outcome:
        """Analyse one job and queue its transmissions; every error becomes an outcome."""
        if entry.crashes >= self._settings.job_attempts:
            return GivenUp(
                f"vfx-edge died {entry.crashes} times while it analysed this study: "
                "look into the system's log, then `vfx-edge queue retry` it."
            )
        try:
            return self._analyse_once(entry)
        except InputError as error:
            return GivenUp(self._reason(entry.job, error))
        except (OutputError, OSError, OperationalError) as error:
            return retry_until_limit(entry, self._reason(entry.job, error), self._settings)
        except VfxError as error:
            return self._retry(entry, self._reason(entry.job, error))
        except Exception as error:  # noqa: BLE001  one study must not stop the others
            log_bug("a bug", error)
            why = f"A bug in vfx-edge ({code_location(error)}): please report it."
            return self._retry(entry, why)

    def _analyse_once(self, entry: Entry) -> Outcome:
        results = self._spool.results_of(entry.job)
        if results is None:
            self._analyse(entry.job)
            results = self._spool.results_of(entry.job)
        assert results is not None
        if not self._is_superseded(entry.job):
            self._queue_sends(entry, results)
        if self._is_superseded(entry.job):  # again: it may have come in between
            for send in self._sends.of_job(entry.job):
                if send.state in OPEN:
                    self._sends.done(send.key, SUPERSEDED)
            return Done(SUPERSEDED)
        return Done(study=pseudonym_in(results))

    def _is_superseded(self, job: str) -> bool:
        return any(one.supersedes == job for one in self._spool.jobs())

    def _analyse(self, job: str) -> None:
        received = self._spool.job(job)
        if received is not None and received.lacking:
            raise InputError(
                "Only new images of this study came, and its earlier ones are no longer in the "
                "spool: send the whole study again."
            )
        path = self._spool.input_of(job)
        if not path.exists():
            raise InputError("The study's images are no longer in the spool: send the study again.")
        self._run_chain(job, path, _possible_kinds(self._settings.outputs, path))

    def _run_chain(self, job: str, path: Path, kinds: tuple[str, ...], missing: str = "") -> None:
        """`missing`: why results of other kinds, which were asked for, can't be made."""
        try:
            with self._spool.new_results(job) as folder:
                before, language = self._previous_report(job), self._settings.language
                self._chain(
                    Job(path, folder, kinds=kinds, language=language, previous_report=before)
                )
                if missing:
                    note_missing_results(folder, missing)
        except (DicomRefused, NoDicomSource, SourceLacks) as error:
            refused = (error.kind,) if isinstance(error, DicomRefused) else dicom_kinds()
            rest = tuple(kind for kind in kinds if kind not in refused)
            if rest == kinds:
                raise
            # the verdict must not wait for what this study's headers don't allow
            missing = f"{missing} {self._reason(job, error)}".strip()
            self._run_chain(job, path, rest, missing)

    def _previous_report(self, job: str) -> Path | None:
        """The structured report of the job that this one supersedes, if it was sent."""
        received = self._spool.job(job)
        old = received.supersedes if received else ""
        results = self._spool.results_of(old) if old else None
        is_sent = any(
            send.state is State.DONE and send.reason != SUPERSEDED
            for send in self._sends.of_job(old)
        )
        report = results / "sr.dcm" if results and is_sent else None
        return report if report and report.is_file() else None

    def _queue_sends(self, entry: Entry, results: Path) -> None:
        for destination in self._settings.destinations:
            if not (dicom_files(results, destination.outputs) or missing_results(results)):
                continue
            self._sends.put(
                Entry(
                    key=f"{entry.job}@{destination.name}",
                    job=entry.job,
                    study=entry.study,
                    destination=destination.name,
                    urgent=entry.urgent,
                    received_at_s=entry.received_at_s,
                )
            )

    def _retry(self, entry: Entry, reason: str) -> Outcome:
        if entry.attempts >= self._settings.job_attempts:
            return GivenUp(reason)
        return RetryLater(reason, self._settings.backoff_s(entry.attempts))

    def _reason(self, job: str, error: Exception) -> str:
        """The error's first line without names of files: those of dropped files may be a patient's,
        those of received ones are UIDs."""
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        path = self._spool.input_of(job)
        below = sorted(path.rglob("*"), key=lambda p: -len(str(p))) if path.is_dir() else []
        for place in below:
            for name in (str(place), str(place.relative_to(path)), place.name):
                alone = rf"(?<![\w.]){re.escape(name)}(?!\w)"
                words = re.sub(alone, "a file of the study", words)
        words = words.replace(str(path), "the study")
        if words.startswith(f"{path.name} "):  # a message with the last part of the path
            words = f"The study {words[len(path.name) + 1 :]}"
        words = _RESULT.sub(r"\1", words).replace(str(self._spool.root), "the spool")
        return words if words.isprintable() else ascii(words)


def _possible_kinds(wanted: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """Without the DICOM results where the study is no DICOM."""
    if path.name.endswith((".nii", ".nii.gz")):
        return tuple(kind for kind in wanted if kind not in dicom_kinds())
    return wanted
