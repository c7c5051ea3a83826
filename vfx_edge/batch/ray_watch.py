"""Ends what a Ray cluster of our own leaves where the process that began it was killed: `python -m
vfx_edge.batch.ray_watch FOLDER`. Ray's own helpers need more than a minute to see that."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

MARK = "VFX_EDGE_CLUSTER"
"""In the environment of all that a cluster starts: its name."""
GRACE_S = 5.0


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """The cluster that is called as this folder of its files ends with this process, however that
    ends, and where it is killed, the folder goes, too."""
    words = [sys.executable, "-P", "-m", __name__, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as watch:
        try:
            yield
        finally:
            watch.kill()


def end(name: str) -> None:
    """Every process of the cluster."""
    for _ in range(3):  # what is killed may have begun another
        ours = [one for one in psutil.process_iter() if _is_of(one, name)]
        if not ours:
            return
        for process in ours:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(ours, timeout=GRACE_S)


def _is_of(process: psutil.Process, name: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        found: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        return False
    return found.get(MARK) == name


if __name__ == "__main__":
    sys.stdin.read()  # until whoever started this has ended
    end(Path(sys.argv[1]).name)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
