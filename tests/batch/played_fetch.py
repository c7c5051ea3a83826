"""A worker that fetches as the real one does, and then only counts: `python -m
tests.batch.played_fetch`."""

from dataclasses import replace
from pathlib import Path

from tests.batch.played_batch import GOOD
from tests.waiting import eventually
from vfx_edge.batch.outcomes import Done, Task
from vfx_edge.batch.worker import whole
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.crew.serving import Work, serve_all
from vfx_edge.inputs.study_uid import study_uid

MODULE = "tests.batch.played_fetch"


def held(out: Path, study: str) -> Path:
    """While this file is there, the study is not begun."""
    return out / f"held-{study}"


def _done(task: Task) -> Done:
    hold = held(task.out.parents[1], task.out.name)
    assert eventually(lambda: not hold.exists())
    with whole(task) as place:
        files = [place] if place.is_file() else sorted(place.iterdir())
        uids = {study_uid(file) for file in files}
    task.out.mkdir(parents=True, exist_ok=True)
    (task.out / "result.json").write_text(" ".join(sorted(filter(None, uids))), encoding="ascii")
    return replace(GOOD, slices=len(files))


def _work(_order: Order, parent: Parent) -> None:
    serve_all(parent, Work(Task, _done, Done, lambda task: [task.path]))


if __name__ == "__main__":
    serve(_work)
