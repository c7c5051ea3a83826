"""The service's folders, known nowhere else. All on one file system: each step ends in a rename.

    incoming/<study>/<instance>.dcm   being received; every file in it is whole and on the disk
    studies/<job>/job.json            what is known of it before it is analysed
    studies/<job>/instances.json      which instances it has, with a digest of each
    studies/<job>/in/                 its images, until they are needed no more
    studies/<job>/out/                its results: there whole, or not at all
    queue/                            what is to be done (queue.py)
    part/                             whatever is half-written, emptied at start-up; and marks of
                                      the studies that are being received
    watched/                          what was taken of a drop folder that is kept (kept.py)
    damaged/                          jobs that could not be read at start-up

UIDs come from strangers: only digits and dots become a name, anything else becomes its hash.
"""

import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from vfx_edge.errors import OutputError
from vfx_edge.files import mapped
from vfx_edge.service.store import disk
from vfx_edge.service.store.arrivals import contents, job_of_instances, pseudonym
from vfx_edge.service.store.incoming import CUT, OPTION, URGENT, Incoming

log = logging.getLogger(__name__)
_JOB = re.compile(r"[0-9a-f]{24}")


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
    """The job of the same study with fewer or other instances, if there was one."""
    lacking: bool = False
    """Only new images came of a study whose earlier ones are no longer here."""


class Spool(Incoming):
    """The folders below `root`; one process at a time may `own` them, any may look."""

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        super().__init__(root, min_free_bytes)
        self._read: dict[str, Received] = {}
        """What job.json says, which never changes: thousands need not be read again and again."""
        self._owner = FileLock(root / "service.lock", timeout=0)
        with mapped(root, OPTION):
            (root / "studies").mkdir(exist_ok=True)

    @property
    def queue_folder(self) -> Path:
        """Where the queue's file lies."""
        return self.root / "queue"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """For as long as the service runs. SpoolBusy."""
        with mapped(self.root, OPTION):
            try:
                self._owner.acquire()
            except Timeout:
                raise SpoolBusy(self.root) from None
        try:
            yield
        finally:
            self._owner.release()

    # -- from received to a job ------------------------------------------------------------------

    def complete(self, key: str) -> Received | None:
        """Nothing more is to come for this study (`Receiving.key`, or `name_of` its UID).

        With what came for it before: a second association with more images, or with other content
        of some, makes a new job of all of them; one with nothing new makes none (the job that there
        is already is given back). Where the earlier images are no longer here the new job lacks
        them, and says so. None where nothing was received.
        """
        folder = self.root / "incoming" / key
        found = contents(folder)  # before the lock: reading hundreds of images takes its time
        with self._lock:
            if not folder.is_dir():
                return None
            urgent = (self.root / "part" / f"{key}{URGENT}").exists()
            came = {name: one.digest for name, one in contents(folder, found).items()}
            received = self._completed(key, folder, came, urgent=urgent)
            for kind in (URGENT, CUT):
                self._mark(key, kind, wanted=False)
            return received

    def _completed(self, key: str, folder: Path, came: dict[str, str], *, urgent: bool) -> Received:
        before, last = self._latest(key), folder.stat().st_mtime
        had = self.instances_of(before.job) if before else {}
        if before and came.items() <= had.items():
            self._discard(folder)
            return replace(before, urgent=before.urgent or urgent)
        whole = before is None or self._add_from(before.job, folder, had.keys() - came.keys())
        instances = {**had, **came} if whole else came
        job = job_of_instances(key, instances)
        if (known := self.job(job)) is not None:
            self._discard(folder)
            return replace(known, urgent=known.urgent or urgent)
        received = Received(
            *(job, pseudonym(key), key, "dicom", urgent, last),
            supersedes=before.job if before and whole else "",
            lacking=not whole,
        )
        self._commit(received, partial(os.replace, folder), instances)
        return received

    def _latest(self, key: str) -> Received | None:
        """The job that a further coming of this study continues."""
        mine = [one for one in self.jobs() if one.key == key and not one.lacking]
        old = {one.supersedes for one in mine}
        left = [one for one in mine if one.job not in old]
        return max(left, key=lambda one: one.received_at_s, default=None)

    def _discard(self, folder: Path) -> None:
        """By a rename first: a kill must not leave a part of it, which would be a study."""
        part = self._part()
        os.replace(folder, part)
        shutil.rmtree(part, ignore_errors=True)

    def adopt(self, item: Path, job: str, *, study: str, urgent: bool = False) -> Received:
        """Take a file or folder that somebody dropped; `job`: `job_of_content`, `study`: pseudonym.

        It is copied, and the caller's to delete. The name it had is not kept: it may be a
        patient's. OSError, OutputError leaves.
        """
        if (known := self.job(job)) is not None:
            return known
        self.check_room()
        received = Received(
            *(job, study), source="folder", urgent=urgent, received_at_s=time.time()
        )
        with mapped(self.root, OPTION):
            self._commit(received, partial(self._copy_to, item))
        return received

    # -- jobs ----------------------------------------------------------------------------------

    def jobs(self) -> list[Received]:
        """Every complete study that is still in the spool."""
        names = sorted(os.listdir(self.root / "studies"))
        known = [self._read.get(name) or self.job(name) for name in names]
        return [one for one in known if one is not None]

    def job(self, job: str) -> Received | None:
        """What is known of it; None where there is no such job."""
        if not _JOB.fullmatch(job):
            return None
        path = self.root / "studies" / job / "job.json"
        if job not in self._read or not path.exists():
            self._read.pop(job, None)
            try:
                self._read[job] = Received(**json.loads(path.read_text("utf-8")))
            except (FileNotFoundError, ValueError, TypeError):
                return None
        return self._read[job]

    def instances_of(self, job: str) -> dict[str, str]:
        """Which instances it had when it was completed, whether they are still here or not: name
        of the file -> digest. {} for what was dropped."""
        path = self._folder(job) / "instances.json"
        try:
            return dict(json.loads(path.read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return {}

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
        with mapped(self.root, OPTION):
            part.mkdir()
        try:
            yield part
            with mapped(self.root, OPTION):
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
        """At start-up, by who owns it: what a killed service left half-done is finished or gone,
        what can't be read is set aside."""
        with mapped(self.root, OPTION):
            self.finish()
            for left in (self.root / "part").iterdir():
                if left.suffix not in (URGENT, CUT):
                    disk.remove(left)
            for job in sorted(os.listdir(self.root / "studies")):
                if self.job(job) is None:
                    self._set_aside(job)

    def _set_aside(self, job: str) -> None:
        (self.root / "damaged").mkdir(exist_ok=True)
        aside = self.root / "damaged" / f"{job}-{secrets.token_hex(4)}"
        os.replace(self.root / "studies" / job, aside)
        log.error("a job can't be read (its job.json is damaged): it lies in %s now", aside)

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

    def _add_from(self, job: str, folder: Path, names: Collection[str]) -> bool:
        """Links to the images of an earlier job that did not come again; whether all are here."""
        images = self._folder(job) / "in"
        if not all((images / name).is_file() for name in names):
            return False
        for name in names:
            try:
                os.link(images / name, folder / name)
            except OSError:  # a file system without links
                disk.copy(images / name, folder / name)
        disk.sync(folder)
        return True

    def _commit(
        self,
        received: Received,
        place: Callable[[Path], None],
        instances: Mapping[str, str] | None = None,
    ) -> None:
        """A new job, there by one rename; `place` brings its images, also by one rename: killed
        before it, the images are where they were, killed after it, `recover` finishes."""
        made = self.root / "part" / received.job
        with self._lock, mapped(self.root, OPTION):
            made.mkdir(exist_ok=True)
            (made / "job.json").write_text(json.dumps(asdict(received)), "utf-8")
            if instances is not None:
                (made / "instances.json").write_text(json.dumps(instances), "utf-8")
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
