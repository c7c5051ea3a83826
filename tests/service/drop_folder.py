"""A drop folder, and what is made of it: for tests, and as a process of its own.

    python -m tests.service.drop_folder FOLDER SECONDS

looks at FOLDER/drop for so long and prints how many jobs there are then. The seconds are those of
a clock that goes on by itself from look to look, however long a look takes.
"""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.service.stores import Store
from vfx_edge.service.receive.watcher import Watcher
from vfx_edge.service.store.queue import Queue
from vfx_edge.service.store.spool import Received, Spool

QUIET_S = 0.2
STEP_S = QUIET_S / 10


@dataclass
class Watched:
    """A drop folder and what was made of it."""

    folder: Path
    store: Store
    watcher: Watcher

    def look(self, seconds: float = 2.5 * QUIET_S) -> list[Received]:
        """Look for so long; the jobs there are then."""
        clock = self.store.clock
        end = clock.now_s + seconds
        while clock.now_s < end:
            self.watcher.poll()
            self.store.completion.complete_quiet()
            clock.now_s += STEP_S
        return self.spool.jobs()

    @property
    def spool(self) -> Spool:
        """Where it is put."""
        return self.store.spool

    @property
    def jobs(self) -> Queue:
        """What is to be analysed."""
        return self.store.jobs

    def files(self) -> list[str]:
        """What lies in the drop folder, without the folders themselves."""
        below = self.folder.rglob("*")
        return sorted(str(p.relative_to(self.folder)) for p in below if not p.is_dir())

    def images(self, job: str) -> list[Path]:
        """The files of a job."""
        path = self.spool.input_of(job)
        return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def watching(folder: Path, *, keep: bool = False) -> Watched:
    """Started, as a service that is started again finds what was there before."""
    drop = folder / "drop"
    drop.mkdir(exist_ok=True)
    store = Store(folder / "spool", QUIET_S, 100 * QUIET_S)
    watcher = Watcher(drop, store.spool, store.completion, QUIET_S, keep=keep, clock=store.clock)
    return Watched(drop, store, watcher)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    logging.getLogger("filelock").setLevel(logging.WARNING)
    print("jobs:", len(watching(Path(sys.argv[1])).look(float(sys.argv[2]))))
