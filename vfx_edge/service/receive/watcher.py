"""A drop folder: an item is taken when nothing in it changes any more.

The folder is polled: network drives send no notifications.
"""

import logging
import os
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import InputError, VfxError
from vfx_edge.service.reasons import reason
from vfx_edge.service.receive.item_files import (
    PARTIAL,
    ZIP,
    Signature,
    Snapshot,
    is_system_file,
    snapshot_of,
)
from vfx_edge.service.receive.item_import import ItemImport, ItemUnreadable
from vfx_edge.service.receive.taken_items import TakenItems
from vfx_edge.service.store.completion import Clock, Completion
from vfx_edge.service.store.queue import OperationalError
from vfx_edge.service.store.spool import Spool

log = logging.getLogger(__name__)

ZIP_QUIET_TIMES = 20
"""Quiet times after which a broken archive is taken: it may still be being copied."""
PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
"""Before an item that can't be taken is tried again: twice as long each time."""


@dataclass(frozen=True)
class _Failure:
    """Why an item can't be taken as it is now, and when it is tried again."""

    snapshot: Snapshot
    why: str
    pause_s: float
    due_at_s: float


class Watcher:
    """Takes what is complete from `folder` into the spool. `keep`: what was taken stays there;
    else it is deleted."""

    def __init__(
        self,
        folder: Path,
        spool: Spool,
        completion: Completion,
        quiet_s: float,
        *,
        keep: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        self._folder = folder
        self._spool = spool
        self._completion = completion
        self._quiet_s = quiet_s
        self._keep = keep
        self._clock = clock
        self._seen: dict[str, tuple[Snapshot, float]] = {}
        self._taken: dict[str, Signature] = {}
        self._failures: dict[str, _Failure] = {}
        self._known_names: set[str] = set()
        self._others = 0
        # After a kill the rest of a half-taken study is taken before its quiet time completes it.
        self._head_start_s = quiet_s / 2
        self._check()
        self._taken_before = TakenItems(spool.root, folder)

    def run(self, stop: threading.Event) -> None:
        """Poll until `stop`."""
        logged = ""
        while not stop.is_set():
            try:
                self.poll()
                logged = ""
            except (OSError, VfxError, OperationalError) as error:
                if (why := reason(error)) != logged:
                    log.warning("the folder can't be read: %s", why)
                logged = why
            stop.wait(min(1.0, self._quiet_s / 4))

    def poll(self) -> None:
        """Take what has not changed for long enough. OSError: the folder can't be read;
        OutputError: what was taken can't be noted."""
        items = {item.name: item for item in sorted(self._folder.iterdir()) if _is_item(item)}
        self._forget_all_but(set(items))
        for name, item in items.items():
            self._poll_item(name, item)
        self._head_start_s = 0.0
        if self._others:
            log.info("files in the drop folder that are no images and stay there: %d", self._others)
            self._others = 0
        self._taken_before.save()

    def _poll_item(self, name: str, item: Path) -> None:
        try:
            snapshot = snapshot_of(item)
        except OSError as error:
            return self._postpone(item, Snapshot(()), reason(error))
        if not (snapshot.signature or snapshot.closed):
            return None
        if snapshot.signature == self._taken.get(name):
            return None
        now = self._clock()
        before = self._seen.get(name)
        if before is None or before[0] != snapshot:
            self._seen[name] = (snapshot, now - self._head_start_s)
            if (name, snapshot.signature) in self._taken_before:
                self._taken[name] = snapshot.signature
        elif self._is_due(name, snapshot, now) and self._is_whole(item, snapshot, now - before[1]):
            self._try(item, snapshot)
        return None

    def _is_due(self, name: str, snapshot: Snapshot, now: float) -> bool:
        failure = self._failures.get(name)
        return failure is None or failure.snapshot != snapshot or now >= failure.due_at_s

    def _try(self, item: Path, snapshot: Snapshot) -> None:
        try:
            if snapshot.closed:
                raise ItemUnreadable(snapshot.closed)
            self._take(item, snapshot.signature)
            self._failures.pop(item.name, None)
        except (OSError, VfxError, OperationalError) as error:
            self._postpone(item, snapshot, _without_names(reason(error), item, snapshot))

    def _take(self, item: Path, signature: Signature) -> None:
        made = ItemImport(item, signature, self._spool, self._completion, keep=self._keep)
        try:
            made.run()
        finally:
            if made.delete_error is not None:
                log.warning("what was taken can't be deleted: %s", reason(made.delete_error))
        self._others += made.others
        left = tuple(file for file in signature if item / file[0] not in made.deleted)
        if left:  # taken again only when it changes
            self._taken[item.name] = left
            self._taken_before.add(item.name, left)

    def _postpone(self, item: Path, snapshot: Snapshot, why: str) -> None:
        """Try it again, later each time; the reason is logged once."""
        before = self._failures.get(item.name)
        pause_s = PAUSE_S
        if before is not None and before.snapshot == snapshot:
            pause_s = min(2 * before.pause_s, MAX_PAUSE_S)
        if before is None or (before.snapshot, before.why) != (snapshot, why):
            log.warning("something in the drop folder can't be taken yet: %s", why)
        self._failures[item.name] = _Failure(snapshot, why, pause_s, self._clock() + pause_s)

    def _forget_all_but(self, names: set[str]) -> None:
        """Items that were removed: one that comes again is new."""
        if names != self._known_names:
            self._taken_before.keep_only(names)
            self._known_names = names
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        self._taken = {name: taken for name, taken in self._taken.items() if name in names}
        self._failures = {name: why for name, why in self._failures.items() if name in names}

    def _is_whole(self, item: Path, snapshot: Snapshot, quiet_s: float) -> bool:
        """Whether it was quiet for long enough; longer where the end of an archive is missing."""
        if not self._quiet_s <= quiet_s < ZIP_QUIET_TIMES * self._quiet_s:
            return quiet_s > self._quiet_s
        files = [item / name for name, *_ in snapshot.signature]
        archives = [file for file in files if file.name.lower().endswith(ZIP)]
        return all(map(zipfile.is_zipfile, archives))

    def _check(self) -> None:
        here, spool = self._folder.resolve(), self._spool.root.resolve()
        if not self._folder.is_dir():
            why = "it is no folder"
        elif here.is_relative_to(spool) or spool.is_relative_to(here):
            why = "it lies in the spool, or holds it"
        elif not os.access(self._folder, os.W_OK if not self._keep else os.R_OK):
            why = "what is dropped can't be deleted there; --keep leaves it"
        else:
            return
        where = f"{self._folder} can't be watched ({why})"
        raise InputError(f"{where}: name an existing folder of its own.")


def _is_item(item: Path) -> bool:
    name = item.name.lower()
    return (
        not (name.startswith((".", "~")) or name.endswith(PARTIAL) or is_system_file(name))
        and not item.is_symlink()
    )


def _without_names(words: str, item: Path, snapshot: Snapshot) -> str:
    """One of our own sentences without the names of dropped files."""
    for name in sorted((name for name, *_ in snapshot.signature), key=len, reverse=True):
        words = words.replace(str(item / name), "a file of it")
    return words.replace(str(item), "it")
