"""The service's folders, known nowhere else. All on one file system: each step ends in a rename.

    incoming/<study>/<instance>.dcm   being received; every file in it is whole and on the disk
    studies/<job>/job.json            what is known of it before it is analysed
    studies/<job>/in/                 its images, until its results are sent
    studies/<job>/out/                its results: there whole, or not at all
    queue/                            what is to be done (queue.py)
    part/                             whatever is half-written; emptied at start-up

UIDs come from strangers: only digits and dots become a name, anything else becomes its hash.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from vfx_edge.errors import OutputError
from vfx_edge.outputs.atomic import OutputDiskFull, mapped
from vfx_edge.service import disk

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_JOB = re.compile(r"[0-9a-f]{24}")
MAX_UID = 64


class SpoolBusy(OutputError):
    """Another service works in this spool."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            f"{root} is in use by another vfx-edge service: stop that one, "
            "or name another folder with --spool."
        )


@dataclass(frozen=True)
class Received:
    """A study in the spool that is complete. `key`: its folder's name while it was received."""

    job: str
    study: str
    """Pseudonym: a short hash of the StudyInstanceUID."""
    key: str = ""
    source: str = ""
    """Where it came from: "dicom" or "folder"."""
    urgent: bool = False
    received_at_s: float = 0.0
    supersedes: str = ""
    """The job of the same study with fewer instances, if there was one."""


@dataclass(frozen=True)
class Receiving:
    """A study that instances are coming in for. Times are seconds since 1970."""

    key: str
    instances: int
    last_at_s: float


def name_of(uid: str) -> str:
    """A UID as the name of a file or folder, whatever is really in it."""
    if len(uid) <= MAX_UID and _UID.fullmatch(uid):
        return uid
    return "x" + _hash(uid)[:32]


def pseudonym(uid: str) -> str:
    """What a study is called where people look on: nothing leads back without the UID itself."""
    return _hash(uid)[:10]


class Spool:
    """The folders below `root`; one process at a time may `own` them, any may look."""

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        self.root = root
        self.min_free_bytes = min_free_bytes
        self._lock = threading.RLock()
        self._owner = FileLock(root / "service.lock", timeout=0)
        with mapped(root):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("incoming", "studies", "part"):
                (root / name).mkdir(exist_ok=True)

    @property
    def queue_folder(self) -> Path:
        """Where the queue's file lies."""
        return self.root / "queue"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """For as long as the service runs. SpoolBusy."""
        try:
            self._owner.acquire()
        except Timeout:
            raise SpoolBusy(self.root) from None
        try:
            yield
        finally:
            self._owner.release()

    # -- receiving -----------------------------------------------------------------------------

    def store(self, study_uid: str, instance_uid: str, write: Callable[[BinaryIO], object]) -> Path:
        """Keep an instance: when this returns it is whole and on the disk. `write` gets a stream.

        The same instance again replaces the first. OutputError leaves: full, not writable.
        """
        folder = self.root / "incoming" / name_of(study_uid)
        part = self._part()
        self.check_room(part)
        try:
            with mapped(folder):
                with part.open("xb") as stream:
                    write(stream)
                    stream.flush()
                    os.fsync(stream.fileno())
                with self._lock:  # the study may just be completed: it then begins anew
                    if not folder.is_dir():
                        folder.mkdir()
                        disk.sync(folder.parent)
                    path = folder / f"{name_of(instance_uid)}.dcm"
                    os.replace(part, path)
                disk.sync(folder)
        finally:
            part.unlink(missing_ok=True)
        return path

    def check_room(self, path: Path) -> None:
        """OutputDiskFull while less than `min_free_bytes` is free."""
        if shutil.disk_usage(self.root).free < self.min_free_bytes:
            raise OutputDiskFull(path)

    def mark_urgent(self, study_uid: str) -> None:
        """Let a study that is being received go first."""
        with self._lock:
            folder = self.root / "incoming" / name_of(study_uid)
            if folder.is_dir():
                (self.root / "part" / f"{folder.name}.urgent").touch()

    def receiving(self) -> list[Receiving]:
        """The studies that are not complete yet."""
        with self._lock:
            return [
                Receiving(folder.name, count, folder.stat().st_mtime)
                for folder in sorted((self.root / "incoming").iterdir())
                if (count := len(os.listdir(folder)))
            ]

    def complete(self, key: str) -> Received | None:
        """Nothing more is to come for this study (`Receiving.key`, or `name_of` its UID).

        With what came for it before, as long as that is still there: a second association with
        more images makes a new job of all of them, one with nothing new makes none (the job that
        there is already is given back). None where nothing was received.
        """
        with self._lock:
            folder = self.root / "incoming" / key
            if not folder.is_dir():
                return None
            last = folder.stat().st_mtime
            mark = self.root / "part" / f"{key}.urgent"
            before = max(
                (one for one in self.jobs() if one.key == key),
                key=lambda one: one.received_at_s,
                default=None,
            )
            if before is not None:
                self._add_from(before, folder)
            job = _job_of_instances(key, folder)
            if before is not None and before.job == job:
                shutil.rmtree(folder)
                return before
            if (known := self.job(job)) is not None:
                shutil.rmtree(folder)
                return known
            received = Received(
                *(job, pseudonym(key), key, "dicom", mark.exists(), last),
                supersedes=before.job if before else "",
            )
            self._commit(received, partial(os.replace, folder))
            mark.unlink(missing_ok=True)
            return received

    def adopt(
        self, item: Path, job: str, *, study: str, move: bool, urgent: bool = False
    ) -> Received:
        """Take a file or folder that somebody dropped; `job`: `job_of_content`, `study`: pseudonym.

        Moved by a rename where that is asked for and the file system allows it, else copied: what
        is left of it is the caller's to delete. The name it had is not kept: it may be a
        patient's. OSError, OutputError leaves.
        """
        if (known := self.job(job)) is not None:
            return known
        self.check_room(item)
        received = Received(
            *(job, study), source="folder", urgent=urgent, received_at_s=time.time()
        )

        def place(target: Path) -> None:
            target.mkdir()
            if not (move and disk.renamed(item, target / disk.plain_name(item))):
                target.rmdir()  # a copy appears whole, by a rename of its own
                self._copy_to(item, target)

        with mapped(self.root):
            self._commit(received, place)
        return received

    # -- jobs ----------------------------------------------------------------------------------

    def jobs(self) -> list[Received]:
        """Every complete study that is still in the spool."""
        found = []
        for folder in sorted((self.root / "studies").iterdir()):
            if (one := self.job(folder.name)) is not None:
                found.append(one)
        return found

    def job(self, job: str) -> Received | None:
        """What is known of it; None where there is no such job."""
        if not _JOB.fullmatch(job):
            return None
        path = self.root / "studies" / job / "job.json"
        try:
            return Received(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None

    def input_of(self, job: str) -> Path:
        """What is to be analysed: for `vfx_edge.job.Job`."""
        folder = self._folder(job) / "in"
        dropped = list(folder.iterdir()) if folder.is_dir() else []
        return dropped[0] if len(dropped) == 1 else folder

    def results_of(self, job: str) -> Path | None:
        """The folder of results, None while there are none."""
        folder = self._folder(job) / "out"
        return folder if folder.is_dir() else None

    @contextmanager
    def results(self, job: str) -> Iterator[Path]:
        """A fresh folder; it becomes the job's results when the block ends, or never.

        Results that are there are replaced: only who was told to analyse anew asks for that.
        """
        part = self._part()
        with mapped(self._folder(job)):
            part.mkdir()
        try:
            yield part
            with mapped(self._folder(job)):
                disk.sync_all(part)
                out = self._folder(job) / "out"
                shutil.rmtree(out, ignore_errors=True)
                os.replace(part, out)
                disk.sync(out.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def forget_input(self, job: str) -> None:
        """The images are needed no more."""
        with self._lock:
            shutil.rmtree(self._folder(job) / "in", ignore_errors=True)

    def forget_results(self, job: str) -> None:
        """The results are to be made anew."""
        shutil.rmtree(self._folder(job) / "out", ignore_errors=True)

    def forget(self, job: str) -> None:
        """Everything of the job; by a rename first, so that no half of it is ever seen."""
        part = self._part()
        with self._lock:
            try:
                os.replace(self._folder(job), part)
            except FileNotFoundError:
                return
        shutil.rmtree(part, ignore_errors=True)

    def recover(self) -> None:
        """At start-up, by who owns it: what a killed service left half-done is finished or gone."""
        self.finish()
        for left in (self.root / "part").iterdir():
            if left.suffix != ".urgent":
                disk.remove(left)

    def finish(self) -> list[Received]:
        """Studies that were taken in but for the last rename, which a kill or a full disk stopped:
        they become jobs now. OSError."""
        with self._lock:  # nobody is between two renames
            whole = [
                left
                for left in sorted((self.root / "part").iterdir())
                if _JOB.fullmatch(left.name) and disk.holds_something(left / "in")
            ]
            for left in whole:
                self._publish(left)
            return [one for left in whole if (one := self.job(left.name)) is not None]

    # -- inside --------------------------------------------------------------------------------

    def _folder(self, job: str) -> Path:
        if not _JOB.fullmatch(job):
            raise KeyError(job)
        return self.root / "studies" / job

    def _part(self) -> Path:
        return self.root / "part" / secrets.token_hex(8)

    def _add_from(self, before: Received, folder: Path) -> None:
        """Links to the images of the earlier job that did not come again."""
        for file in self._instances(before.job):
            if not (folder / file.name).exists():
                try:
                    os.link(file, folder / file.name)
                except OSError:  # a file system without links
                    shutil.copyfile(file, folder / file.name)

    def _instances(self, job: str) -> list[Path]:
        folder = self._folder(job) / "in"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _commit(self, received: Received, place: Callable[[Path], None]) -> None:
        """A new job, there by one rename; `place` brings its images, also by one rename: killed
        before it, the images are where they were, killed after it, `recover` finishes."""
        made = self.root / "part" / received.job
        with self._lock, mapped(made):
            made.mkdir(exist_ok=True)
            (made / "job.json").write_text(json.dumps(asdict(received)), "utf-8")
            disk.sync_all(made)
            try:
                place(made / "in")
            except BaseException:
                disk.remove(made)
                raise
            disk.sync(made)
            self._publish(made)

    def _copy_to(self, item: Path, target: Path) -> None:
        part = self._part()
        part.mkdir()
        try:
            disk.copy(item, part / disk.plain_name(item))
            os.replace(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _publish(self, made: Path) -> None:
        target = self.root / "studies" / made.name
        if target.exists():
            disk.remove(made)
            return
        os.replace(made, target)
        disk.sync(target.parent)


def job_of_content(item: Path) -> str:
    """A job's id from the bytes of a file or folder, whatever the files are called. OSError."""
    files = [item] if item.is_file() else sorted(p for p in item.rglob("*") if p.is_file())
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return _hash(" ".join(sorted(set(digests))))[:24]


def _job_of_instances(key: str, folder: Path) -> str:
    names = sorted(file.name for file in folder.iterdir())
    return _hash("\n".join([key, *names]))[:24]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
