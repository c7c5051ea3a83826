"""Analyses the studies, one after another, with networks that are opened once."""

import logging
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from vfx_edge.errors import BackendError, InputError, OutputError, VfxError
from vfx_edge.fractures import Options, roles
from vfx_edge.inputs.source import NoDicomSource, SourceLacks
from vfx_edge.job import Job, run_job
from vfx_edge.outputs.dicom.write import DicomRefused
from vfx_edge.outputs.kinds import dicom_files, dicom_kinds
from vfx_edge.service.loop import Dead, Done, Later, Loop, Outcome, is_hopeless
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.queue import OPEN, SUPERSEDED, Entry, OperationalError, Queue, State
from vfx_edge.service.store.results import left_out, note_left_out, study_of
from vfx_edge.service.store.spool import Spool

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels

_RESULT = re.compile(r"\S+/part/[0-9a-f]+/(\S+)")
log = logging.getLogger(__name__)
Chain = Callable[[Job], object]
"""From a study's path to the files in `Job.out`; raises VfxError leaves."""


class InputGone(InputError):
    """The study's images are no longer in the spool."""

    def __init__(self) -> None:
        super().__init__("The study's images are no longer in the spool: send the study again.")


class ImagesLacking(InputError):
    """Only a part of the study is here."""

    def __init__(self) -> None:
        super().__init__(
            "Only new images of this study came, and its earlier ones are no longer in the spool: "
            "send the whole study again."
        )


class OpenChain:
    """The real chain. Networks are opened at the first study, or by `open`, and again after the
    backend has failed: a lost GPU is not found again otherwise."""

    def __init__(self, backend: str, model: str) -> None:
        self._backend = backend
        self._model = model
        self._models: OpenModels | None = None

    def open(self) -> "OpenModels":
        """ModelError, BackendError."""
        if self._models is None:
            from vfx_edge.backends import open_models
            from vfx_edge.manifest import load_model_set

            manifest = load_model_set(self._model)
            self._models = open_models(manifest, self._backend, roles=roles(manifest, Options()))
        return self._models

    def close(self) -> None:
        """Free what the networks hold."""
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
    """What is done with an entry of the jobs' queue. Results appear whole or not at all, and are
    made once: a job that has them goes straight on to being sent."""

    def __init__(
        self, settings: Settings, spool: Spool, jobs: Queue, sends: Queue, chain: Chain
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._sends = sends
        self._chain = chain
        self.loop = Loop(jobs, self.do)

    def do(self, entry: Entry) -> Outcome:
        """One job, whatever happens to it."""
        if entry.crashes >= self._settings.job_attempts:
            return Dead(
                f"vfx-edge died {entry.crashes} times while it analysed this study: "
                "look into the system's log, then `vfx-edge queue retry` it."
            )
        try:
            return self._done(entry)
        except InputError as error:
            return Dead(self._told(entry.job, error))
        except (OutputError, OSError, OperationalError) as error:
            return self._waiting(entry, self._told(entry.job, error))
        except VfxError as error:
            return self._again(entry, self._told(entry.job, error))
        except Exception as error:  # noqa: BLE001  one study must not stop the others
            # Only the lines of the program: an error's words may hold what is in the file.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("a bug, %s:\n%s", type(error).__name__, where)
            return self._again(entry, f"A bug in vfx-edge ({_place(error)}): please report it.")

    def _done(self, entry: Entry) -> Outcome:
        results = self._spool.results_of(entry.job)
        if results is None:
            self._analyse(entry.job)
            results = self._spool.results_of(entry.job)
        assert results is not None
        if not self._is_superseded(entry.job):
            self._queue_sends(entry, results)
        if self._is_superseded(entry.job):  # looked at again: it may have come in between
            for send in self._sends.entries():
                if send.job == entry.job and send.state in OPEN:
                    self._sends.done(send.key, SUPERSEDED)
            return Done(SUPERSEDED)
        return Done(study=study_of(results))

    def _is_superseded(self, job: str) -> bool:
        return any(one.supersedes == job for one in self._spool.jobs())

    def _analyse(self, job: str) -> None:
        received = self._spool.job(job)
        if received is not None and received.lacking:
            raise ImagesLacking
        path = self._spool.input_of(job)
        if not path.exists():
            raise InputGone
        self._analysed(job, path, _kinds(self._settings.outputs, path))

    def _analysed(self, job: str, path: Path, kinds: tuple[str, ...], missing: str = "") -> None:
        """`missing`: why results of other kinds, which were wanted, can't be made."""
        try:
            with self._spool.results(job) as folder:
                language = self._settings.language
                before = self._sent_before(job)
                self._chain(
                    Job(path, folder, kinds=kinds, language=language, previous_report=before)
                )
                if missing:
                    note_left_out(folder, missing)
        except (DicomRefused, NoDicomSource, SourceLacks) as error:
            refused = (error.kind,) if isinstance(error, DicomRefused) else dicom_kinds()
            rest = tuple(kind for kind in kinds if kind not in refused)
            if rest == kinds:
                raise
            # the verdict must not wait for what this study's headers don't allow
            self._analysed(job, path, rest, f"{missing} {self._told(job, error)}".strip())

    def _sent_before(self, job: str) -> Path | None:
        """The structured report of the same study with fewer or other images, where an archive
        has it."""
        received = self._spool.job(job)
        old = received.supersedes if received else ""
        results = self._spool.results_of(old) if old else None
        has_it = any(
            send.job == old and send.state is State.DONE and send.reason != SUPERSEDED
            for send in self._sends.entries()
        )
        report = results / "sr.dcm" if results and has_it else None
        return report if report and report.is_file() else None

    def _queue_sends(self, entry: Entry, results: Path) -> None:
        for destination in self._settings.destinations:
            if not (dicom_files(results, destination.outputs) or left_out(results)):
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

    def _waiting(self, entry: Entry, reason: str) -> Outcome:
        """For room on the disk, say: people need time for that."""
        if is_hopeless(entry, self._settings.give_up_s):
            return Dead(reason)
        return Later(reason, self._settings.backoff_s(entry.attempts))

    def _again(self, entry: Entry, reason: str) -> Outcome:
        if entry.attempts >= self._settings.job_attempts:
            return Dead(reason)
        return Later(reason, self._settings.backoff_s(entry.attempts))

    def _told(self, job: str, error: Exception) -> str:
        """The reason, without the names of files: who dropped them may have used a patient's, and
        those that were received have UIDs for names."""
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        path = self._spool.input_of(job)
        below = sorted(path.rglob("*"), key=lambda p: -len(str(p))) if path.is_dir() else []
        for place in below:
            for name in (str(place), str(place.relative_to(path)), place.name):
                alone = rf"(?<![\w.]){re.escape(name)}(?!\w)"
                words = re.sub(alone, "a file of the study", words)
        words = words.replace(str(path), "the study")
        if words.startswith(f"{path.name} "):  # a message that names the input by its last part
            words = f"The study {words[len(path.name) + 1 :]}"
        words = _RESULT.sub(r"\1", words).replace(str(self._spool.root), "the spool")
        return words if words.isprintable() else ascii(words)


def _kinds(wanted: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """DICOM results can't be made of what is no DICOM."""
    if path.name.endswith((".nii", ".nii.gz")):
        return tuple(kind for kind in wanted if kind not in dicom_kinds())
    return wanted


def _place(error: BaseException) -> str:
    """Where in the program an error arose, without its words."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = Path(trace.tb_frame.f_code.co_filename).name if trace else "?"
    return f"{type(error).__name__}, {name} line {trace.tb_lineno if trace else 0}"
