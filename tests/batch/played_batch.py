"""Studies of a few bytes, and a worker that does what they say: `python -m
tests.batch.played_batch`."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import HANG_S
from vfx_edge.batch.engine import Processes
from vfx_edge.batch.outcomes import Done, Task
from vfx_edge.batch.run import Wanted
from vfx_edge.batch.studies import Found, studies_of
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.crew.serving import Work, serve_all
from vfx_edge.errors import InputError

MODULE = "tests.batch.played_batch"
GOOD = Done("osteoporotic", ("L1",), ("T12", "L1"), 0, 1, 0, 1, 0, 40, 2.0, "openvino", "a CPU",
            "fp32", 1.5, 0)  # fmt: skip


def folder_of(place: Path, studies: Mapping[str, str]) -> Found:
    """File's name -> what the worker shall do."""
    place.mkdir(exist_ok=True)
    for name, words in studies.items():
        (place / f"{name}.nii.gz").write_text(words, encoding="utf-8")
    return studies_of(place)


def wanted(out: Path, **more: object) -> Wanted:
    """With the played worker."""
    return Wanted(**{"out": out, "engine": Processes(MODULE), **more})  # type: ignore[arg-type]


def asked(place: Path) -> dict[str, int]:
    """How often each study was begun."""
    return {p.name.partition(".")[0]: p.stat().st_size for p in sorted(place.glob("*.asked"))}


def _done(task: Task) -> Done:
    with Path(f"{task.path}.asked").open("ab") as stream:
        stream.write(b"x")
    words = task.path.read_text(encoding="utf-8")
    if words == "is refused":
        raise InputError(f"{task.path.name} holds no CT: send another study.")
    first = Path(f"{task.path}.asked").stat().st_size == 1
    if words == "hangs" or (words == "hangs once" and first):
        time.sleep(HANG_S)
    if words == "kills its job once" and first:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(HANG_S)
    if words == "dies once" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    task.out.mkdir(parents=True, exist_ok=True)
    (task.out / "told.txt").write_text(repr(task.clinical))
    (task.out / "result.json").write_text(words)
    return GOOD


@contextmanager
def opened(_order: Order) -> Iterator[tuple[Work[Task], Callable[[], bool]]]:
    """As `vfx_edge.batch.worker.opened`."""
    yield Work(Task, _done, Done, lambda task: [task.path]), lambda: False


def _work(order: Order, parent: Parent) -> None:
    with opened(order) as (work, is_worn):
        serve_all(parent, work, is_worn)


if __name__ == "__main__":
    serve(_work)
