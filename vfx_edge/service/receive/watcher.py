"""A drop folder: what somebody puts there is taken when nothing in it changes any more.

Polled, not notified: network drives tell of nothing.
"""

import logging
import os
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import InputError, VfxError
from vfx_edge.service.receive.dropped import PARTIAL, ZIP, Seen, Signature, is_litter, seen_in
from vfx_edge.service.receive.kept import Kept
from vfx_edge.service.receive.taking import DropUnreadable, Taking
from vfx_edge.service.store.intake import Clock, Intake
from vfx_edge.service.store.queue import OperationalError
from vfx_edge.service.store.spool import Spool

log = logging.getLogger(__name__)

ZIP_PATIENCE = 20
"""So many quiet times is a broken archive waited for: it may still be copied, over a bad line."""
PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""How soon is tried again what can't be taken: twice as late each time."""


class WatchFolderUnusable(InputError):
    """The drop folder is no folder, or lies in the spool."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"{folder} can't be watched ({why}): name an existing folder of its own.")


@dataclass(frozen=True)
class _Trouble:
    """Why an item can't be taken as it is now, and when that is tried again."""

    seen: Seen
    why: str
    pause_s: float
    due_at_s: float


class Watcher:
    """Looks at `folder` and hands what is complete to the spool.

    `keep`: what was taken is left where it is; else it is deleted.
    """

    def __init__(
        self,
        folder: Path,
        spool: Spool,
        intake: Intake,
        quiet_s: float,
        *,
        keep: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        self._folder = folder
        self._spool = spool
        self._intake = intake
        self._quiet_s = quiet_s
        self._keep = keep
        self._clock = clock
        self._seen: dict[str, tuple[Seen, float]] = {}
        self._taken: dict[str, Signature] = {}
        self._troubles: dict[str, _Trouble] = {}
        self._names: set[str] = set()
        self._left = 0
        # What a killed process had begun to take is taken on before the intake, which waits the
        # whole quiet time, takes that part of a study for all of it.
        self._head_start_s = quiet_s / 2
        self._check()
        self._kept = Kept(spool.root, folder)

    def run(self, stop: threading.Event) -> None:
        """The thread: until `stop`."""
        said = ""
        while not stop.is_set():
            try:
                self.look()
                said = ""
            except (OSError, VfxError, OperationalError) as error:
                if (why := _why(error)) != said:
                    log.warning("the folder can't be looked at: %s", why)
                said = why
            stop.wait(min(1.0, self._quiet_s / 4))

    def look(self) -> None:
        """Take what has been quiet for long enough. OSError: the folder itself is gone;
        OutputError leaves: what was taken can't be remembered."""
        items = {item.name: item for item in sorted(self._folder.iterdir()) if _is_meant(item)}
        self._forget_all_but(set(items))
        for name, item in items.items():
            self._look_at(name, item)
        self._head_start_s = 0.0
        if self._left:
            log.info("files in the drop folder that are no images and stay there: %d", self._left)
            self._left = 0
        self._kept.save()

    def _look_at(self, name: str, item: Path) -> None:
        try:
            seen = seen_in(item)
        except OSError as error:
            return self._wait(item, Seen(()), _why(error))
        if not (seen.signature or seen.closed) or seen.signature == self._taken.get(name):
            return None
        now = self._clock()
        before = self._seen.get(name)
        if before is None or before[0] != seen:
            self._seen[name] = (seen, now - self._head_start_s)
            if (name, seen.signature) in self._kept:
                self._taken[name] = seen.signature
        elif self._is_due(name, seen, now) and self._is_whole(item, seen, now - before[1]):
            self._try(item, seen)
        return None

    def _is_due(self, name: str, seen: Seen, now: float) -> bool:
        trouble = self._troubles.get(name)
        return trouble is None or trouble.seen != seen or now >= trouble.due_at_s

    def _try(self, item: Path, seen: Seen) -> None:
        try:
            if seen.closed:
                raise DropUnreadable(seen.closed)
            self._take(item, seen.signature)
            self._troubles.pop(item.name, None)
        except (OSError, VfxError, OperationalError) as error:
            self._wait(item, seen, _without_names(_why(error), item, seen))

    def _take(self, item: Path, signature: Signature) -> None:
        taking = Taking(item, signature, self._spool, self._intake, keep=self._keep)
        try:
            taking.take()
        finally:
            if taking.undeletable is not None:
                log.warning("what was taken can't be deleted: %s", _why(taking.undeletable))
        self._left += taking.left
        left = tuple(entry for entry in signature if item / entry[0] not in taking.gone)
        if left:  # only what changes from now on is looked at again
            self._taken[item.name] = left
            self._kept.add(item.name, left)

    def _wait(self, item: Path, seen: Seen, why: str) -> None:
        """Try it again, later each time; the reason is told once."""
        before = self._troubles.get(item.name)
        pause_s = PAUSE_S
        if before is not None and before.seen == seen:
            pause_s = min(2 * before.pause_s, LONGEST_PAUSE_S)
        if before is None or (before.seen, before.why) != (seen, why):
            log.warning("something in the drop folder can't be taken yet: %s", why)
        self._troubles[item.name] = _Trouble(seen, why, pause_s, self._clock() + pause_s)

    def _forget_all_but(self, names: set[str]) -> None:
        """What is gone: were it to come again, it would be new."""
        if names != self._names:
            self._kept.keep_only(names)
            self._names = names
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        self._taken = {name: taken for name, taken in self._taken.items() if name in names}
        self._troubles = {name: why for name, why in self._troubles.items() if name in names}

    def _is_whole(self, item: Path, seen: Seen, quiet_s: float) -> bool:
        """An archive has its directory at its end: without it, it is waited for longer."""
        if not self._quiet_s <= quiet_s < ZIP_PATIENCE * self._quiet_s:
            return quiet_s > self._quiet_s
        files = [item / name for name, *_ in seen.signature]
        archives = [file for file in files if file.name.lower().endswith(ZIP)]
        return all(map(zipfile.is_zipfile, archives))

    def _check(self) -> None:
        if not self._folder.is_dir():
            raise WatchFolderUnusable(self._folder, "it is no folder")
        here, spool = self._folder.resolve(), self._spool.root.resolve()
        if here.is_relative_to(spool) or spool.is_relative_to(here):
            raise WatchFolderUnusable(self._folder, "it lies in the spool, or holds it")
        if not os.access(self._folder, os.W_OK if not self._keep else os.R_OK):
            raise WatchFolderUnusable(
                self._folder, "what is dropped can't be deleted there; --keep leaves it"
            )


def _is_meant(item: Path) -> bool:
    name = item.name.lower()
    return (
        not (name.startswith((".", "~")) or name.endswith(PARTIAL) or is_litter(name))
        and not item.is_symlink()
    )


def _why(error: Exception) -> str:
    """What happened; the system's own words without the file, whose name may be a patient's."""
    if isinstance(error, VfxError):
        return str(error)
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _without_names(words: str, item: Path, seen: Seen) -> str:
    """A sentence of ours without the names of what was dropped."""
    for name in sorted((name for name, *_ in seen.signature), key=len, reverse=True):
        words = words.replace(str(item / name), "a file of it")
    return words.replace(str(item), "it")
