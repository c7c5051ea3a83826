"""The service's folders. All on one file system: each step ends in a rename.

    incoming/<study>/<instance>.dcm   being received; each file in it is complete and on the disk
    studies/<job>/job.json            what is known of it before it is analysed
    studies/<job>/instances.json      which instances it has, with a digest of each
    studies/<job>/in/                 its images, until they are no longer needed
    studies/<job>/out/                its results: all, or none
    queue/                            what is to be done (queue.py)
    part/                             whatever is half-written, emptied at start-up; and marks of
                                      the studies that are being received
    watched/                          what was taken from a drop folder with --keep
                                      (receive/taken_items.py)
    damaged/                          jobs that could not be read at start-up

UIDs come from outside: only digits and dots become a name; anything else, its hash.
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
from vfx_edge.files import as_output_error
from vfx_edge.service.store import durable_files
from vfx_edge.service.store.identifiers import instances_in, job_id_of_instances, pseudonym
from vfx_edge.service.store.incoming_studies import CUT, OPTION, URGENT, IncomingStudies

log = logging.getLogger(__name__)
_JOB = re.compile(r"[0-9a-f]{24}")


class SpoolBusy(OutputError):
    """Another service uses this spool."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            f"{root} is in use by another vfx-edge service: stop that one, "
            "or name another folder with --spool."
        )


class SpoolGone(OutputError):
    """The folder was removed or replaced while the service ran."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            f"{root} was removed or replaced while the service ran: put it back, if its studies "
            "are still somewhere, and start the service again."
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


class Spool(IncomingStudies):
    """The folders below `root`. One process at a time holds the lock; any may read."""

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        super().__init__(root, min_free_bytes)
        self._jobs: dict[str, Received] = {}
        """What each job.json says: it never changes, and there may be thousands."""
        self._held: tuple[int, int] | None = None
        self._file_lock = FileLock(root / "service.lock", timeout=0)
        with as_output_error(root, OPTION):
            (root / "studies").mkdir(exist_ok=True)

    @property
    def queue_folder(self) -> Path:
        """The folder of the queue's file."""
        return self.root / "queue"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, as the service does while it runs. SpoolBusy."""
        with as_output_error(self.root, OPTION):
            try:
                self._file_lock.acquire()
            except Timeout:
                raise SpoolBusy(self.root) from None
        self._held = self._lock_identity()
        try:
            yield
        finally:
            self._file_lock.release()

    def is_ours(self) -> bool:
        """Whether the folder is still the one that is locked."""
        return self._lock_identity() == self._held

    def _lock_identity(self) -> tuple[int, int] | None:
        """Of the lock's file; None where there is none. What can't be read is as it was."""
        try:
            status = os.stat(self._file_lock.lock_file)
        except FileNotFoundError:
            return None
        except OSError:
            return self._held
        return status.st_dev, status.st_ino

    # -- from received to a job ------------------------------------------------------------------

    def complete(self, key: str) -> Received | None:
        """Make a job of a study that nothing more comes for (`IncomingStudy.key`, or
        `uid_to_name` of its UID).

        Together with what came before: more images, or other content of some, make a new job of
        all of them; nothing new makes none, and the job that exists is returned. Where the earlier
        images were deleted, the new job lacks them. None where nothing was received.
        """
        folder = self.root / "incoming" / key
        found = instances_in(folder)  # before the lock: hundreds of images to read
        with self._lock:
            if not folder.is_dir():
                return None
            urgent = (self.root / "part" / f"{key}{URGENT}").exists()
            came = {name: one.digest for name, one in instances_in(folder, found).items()}
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
        job = job_id_of_instances(key, instances)
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
        """The latest job of this study, which further images of it continue."""
        mine = [one for one in self.jobs() if one.key == key and not one.lacking]
        old = {one.supersedes for one in mine}
        left = [one for one in mine if one.job not in old]
        return max(left, key=lambda one: one.received_at_s, default=None)

    def _discard(self, folder: Path) -> None:
        """By a rename first: a part of it, left by a kill, would be taken for a study."""
        part = self._new_part()
        os.replace(folder, part)
        shutil.rmtree(part, ignore_errors=True)

    def add_item(self, item: Path, job: str, *, study: str, urgent: bool = False) -> Received:
        """Make a job of a dropped file or folder. `job`: `job_id_of_files`; `study`: pseudonym.

        It is copied; the caller deletes it. Its name, maybe a patient's, is not kept. OSError,
        OutputError.
        """
        if (known := self.job(job)) is not None:
            return known
        self.check_room()
        received = Received(
            *(job, study), source="folder", urgent=urgent, received_at_s=time.time()
        )
        with as_output_error(self.root, OPTION):
            self._commit(received, partial(self._copy_to, item))
        return received

    # -- jobs ----------------------------------------------------------------------------------

    def jobs(self) -> list[Received]:
        """Every complete study that is still in the spool."""
        names = sorted(os.listdir(self.root / "studies"))
        known = [self._jobs.get(name) or self.job(name) for name in names]
        return [one for one in known if one is not None]

    def job(self, job: str) -> Received | None:
        """What job.json says of it; None where there is no such job."""
        if not _JOB.fullmatch(job):
            return None
        path = self.root / "studies" / job / "job.json"
        if job not in self._jobs or not path.exists():
            self._jobs.pop(job, None)
            try:
                self._jobs[job] = Received(**json.loads(path.read_text("utf-8")))
            except (FileNotFoundError, ValueError, TypeError):
                return None
        return self._jobs[job]

    def instances_of(self, job: str) -> dict[str, str]:
        """The instances it had when it was completed, even if deleted since: file name -> digest.
        {} for what was dropped."""
        path = self._folder(job) / "instances.json"
        try:
            return dict(json.loads(path.read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return {}

    def input_of(self, job: str) -> Path:
        """The file or folder that is to be analysed."""
        folder = self._folder(job) / "in"
        files = list(folder.iterdir()) if folder.is_dir() else []
        return files[0] if len(files) == 1 else folder

    def results_of(self, job: str) -> Path | None:
        """The folder of its results; None while there are none."""
        folder = self._folder(job) / "out"
        return folder if folder.is_dir() else None

    @contextmanager
    def new_results(self, job: str) -> Iterator[Path]:
        """An empty folder; it replaces the job's results when the block ends without an error."""
        part = self._new_part()
        with as_output_error(self.root, OPTION):
            part.mkdir()
        try:
            yield part
            with as_output_error(self.root, OPTION):
                durable_files.sync_all(part)
                out = self._folder(job) / "out"
                shutil.rmtree(out, ignore_errors=True)
                os.replace(part, out)
                durable_files.sync(out.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def delete_images(self, job: str) -> None:
        """Delete its images, which are no longer needed."""
        with self._lock:
            shutil.rmtree(self._folder(job) / "in", ignore_errors=True)

    def delete(self, job: str) -> None:
        """Delete everything of the job; by a rename first, so that no part of it is ever seen."""
        part = self._new_part()
        with self._lock:
            try:
                os.replace(self._folder(job), part)
            except FileNotFoundError:
                return
        shutil.rmtree(part, ignore_errors=True)

    def recover(self) -> None:
        """At start-up, under the lock: finish or delete what a killed service left half-done, and
        move away what can't be read."""
        with as_output_error(self.root, OPTION):
            self.finish_interrupted()
            for left in (self.root / "part").iterdir():
                if left.suffix not in (URGENT, CUT):
                    durable_files.remove(left)
            for job in sorted(os.listdir(self.root / "studies")):
                if self.job(job) is None:
                    self._move_to_damaged(job)

    def _move_to_damaged(self, job: str) -> None:
        (self.root / "damaged").mkdir(exist_ok=True)
        aside = self.root / "damaged" / f"{job}-{secrets.token_hex(4)}"
        os.replace(self.root / "studies" / job, aside)
        log.error("a job can't be read (its job.json is damaged): it is now in %s", aside)

    def finish_interrupted(self) -> list[Received]:
        """Make jobs of the studies whose last rename a kill or a full disk has stopped. OSError."""
        with self._lock:  # no other thread is between two renames
            complete = [
                left
                for left in sorted((self.root / "part").iterdir())
                if _JOB.fullmatch(left.name) and durable_files.holds_something(left / "in")
            ]
            for left in complete:
                self._publish(left)
            return [one for left in complete if (one := self.job(left.name)) is not None]

    # -- inside --------------------------------------------------------------------------------

    def _folder(self, job: str) -> Path:
        if not _JOB.fullmatch(job):
            raise KeyError(job)
        return self.root / "studies" / job

    def _add_from(self, job: str, folder: Path, names: Collection[str]) -> bool:
        """Link the images of an earlier job that did not come again; False where one is missing."""
        images = self._folder(job) / "in"
        if not all((images / name).is_file() for name in names):
            return False
        for name in names:
            try:
                os.link(images / name, folder / name)
            except OSError:  # a file system without links
                durable_files.copy(images / name, folder / name)
        durable_files.sync(folder)
        return True

    def _commit(
        self,
        received: Received,
        place: Callable[[Path], None],
        instances: Mapping[str, str] | None = None,
    ) -> None:
        """Create a job by one rename. `place` moves its images, also by one rename: after a kill
        before it, the images are where they were; after a later one, `recover` finishes."""
        made = self.root / "part" / received.job
        with self._lock, as_output_error(self.root, OPTION):
            made.mkdir(exist_ok=True)
            (made / "job.json").write_text(json.dumps(asdict(received)), "utf-8")
            if instances is not None:
                (made / "instances.json").write_text(json.dumps(instances), "utf-8")
            durable_files.sync_all(made)
            try:
                place(made / "in")
            except BaseException:
                durable_files.remove(made)
                raise
            durable_files.sync(made)
            self._publish(made)

    def _copy_to(self, item: Path, target: Path) -> None:
        part = self._new_part()
        part.mkdir()
        try:
            durable_files.copy(item, part / durable_files.plain_name(item))
            os.replace(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _publish(self, made: Path) -> None:
        target = self.root / "studies" / made.name
        if target.exists():
            durable_files.remove(made)
            return
        os.replace(made, target)
        durable_files.sync(target.parent)
