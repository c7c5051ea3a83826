"""Has studies analysed, one after another, and says what becomes of each."""

import logging
import re
from pathlib import Path

from vfx_edge.errors import BackendError, InputError, ModelError, OutputError, VfxError
from vfx_edge.job import Job
from vfx_edge.outputs.kinds import dicom_files, dicom_kinds
from vfx_edge.service.analyse.chain import (
    AnalysisBug,
    AnalysisDied,
    AnalysisInterrupted,
    AnalysisLackedMemory,
    Chain,
    refused_kinds,
)
from vfx_edge.service.analyse.turns import Turns
from vfx_edge.service.queue_loop import (
    Done,
    GivenUp,
    Interrupted,
    Outcome,
    QueueLoop,
    RetryLater,
    retry_until_limit,
)
from vfx_edge.service.reasons import code_location, log_bug, reason
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.queue import OPEN, SUPERSEDED, Entry, OperationalError, Queue, State
from vfx_edge.service.store.results import missing_results, note_missing_results, pseudonym_in
from vfx_edge.service.store.spool import Spool
from vfx_edge.vocabulary import SERVED

_SOON = (State.WAITING, State.RUNNING)
_RESULT = re.compile(r"\S+/part/[0-9a-f]+/(\S+)")
log = logging.getLogger(__name__)


class Worker:
    """Processes the queue of jobs, beside others that do so. Results appear complete or not at all,
    and are made once: those of a job that has them are only sent. `turns`: shared by all."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        jobs: Queue,
        sends: Queue,
        chain: Chain,
        turns: Turns | None = None,
        name: str = "the worker",
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._jobs = jobs
        self._sends = sends
        self._chain = chain
        self._turns = turns or Turns()
        self._name = name
        self.loop = QueueLoop(jobs, self.process)

    def process(self, entry: Entry) -> Outcome:
        """Analyse one job and queue its transmissions; every error becomes an outcome."""
        try:
            return self._analyse_once(entry)
        except InputError as error:
            return GivenUp(self._reason(entry.job, error))
        except (OutputError, ModelError, OSError, OperationalError) as error:
            return retry_until_limit(entry, self._reason(entry.job, error), self._settings)
        except VfxError as error:
            why = self._reason(entry.job, error)
            if isinstance(error, BackendError) and self._settings.request.backend in SERVED:
                return retry_until_limit(entry, why, self._settings)  # no study's fault, either
            return self._retry(entry, why)
        except AnalysisInterrupted:
            return Interrupted(self._settings.retry_first_s)
        except AnalysisDied as error:
            return self._died(entry, str(error))
        except AnalysisBug as error:
            return self._retry(entry, _bug(error.where))
        except Exception as error:  # noqa: BLE001  one study must not stop the others
            log_bug("a bug", error)
            return self._retry(entry, _bug(code_location(error)))

    def _died(self, entry: Entry, how: str) -> Outcome:
        deaths = entry.crashes + 1
        times = "once" if deaths == 1 else f"{deaths} times"
        why = f"The analysis died {times} of this study ({how})"
        if deaths >= self._settings.job_attempts:
            wanted = "look into the service's log, then `vfx-edge queue retry` it."
            return GivenUp(f"{why}: {wanted}", died=True)
        wait_s = self._settings.backoff_s(deaths)
        return RetryLater(f"{why}: it is tried again.", wait_s, died=True)

    def _analyse_once(self, entry: Entry) -> Outcome:
        results = self._spool.results_of(entry.job)
        if results is None:
            log.info("%s begins with %s", self._name, entry.key)
            self._analyse(entry)
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

    def _analyse(self, entry: Entry) -> None:
        job = entry.job
        received = self._spool.job(job)
        if received is not None and received.lacking:
            raise InputError(
                "Only new images of this study came, and its earlier ones are no longer in the "
                "spool: send the whole study again."
            )
        path = self._spool.input_of(job)
        if not path.exists():
            raise InputError("The study's images are no longer in the spool: send the study again.")
        kinds = _possible_kinds(self._settings.outputs, path)
        try:
            with self._turns.beside_others(urgent=entry.urgent) as had_company:
                return self._run_chain(job, path, kinds)
        except AnalysisLackedMemory as error:
            if not had_company():
                raise error.error from None
        log.warning("%s waits for the others: the memory is not enough for both", self._name)
        try:
            with self._turns.alone(lambda: self._goes_first(entry)):
                self._run_chain(job, path, kinds)
        except AnalysisLackedMemory as error:
            raise error.error from None

    def _goes_first(self, waiting: Entry) -> bool:
        """Whether an urgent study is queued, or was just taken, while this one waits. Not one of
        the same study, which may not be taken."""
        return not waiting.urgent and any(
            one.urgent and one.state in _SOON and one.study != waiting.study
            for one in self._jobs.entries()
        )

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
        except VfxError as error:
            refused = refused_kinds(error)
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
        """Why it failed, without names of files: those of dropped files may be a patient's, those
        of received ones are UIDs."""
        words = reason(error)
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


def _bug(where: str) -> str:
    return f"A bug in vfx-edge ({where}): please report it."


def _possible_kinds(wanted: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """Without the DICOM results where the study is no DICOM."""
    if path.name.endswith((".nii", ".nii.gz")):
        return tuple(kind for kind in wanted if kind not in dicom_kinds())
    return wanted
