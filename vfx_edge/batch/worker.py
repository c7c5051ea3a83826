"""A process that does studies with networks that stay open: `python -m vfx_edge.batch.worker`, by
`bench.protocol`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.batch.outcomes import Done, Task, done_of
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.crew.serving import Work, serve_all
from vfx_edge.inputs.files import NoScratch, scratch
from vfx_edge.parallel import keep_to
from vfx_edge.study import BackendRequest

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels


def _work(order: Order, parent: Parent) -> None:
    """Order: model, request, options, kinds, language, cores or None for all."""
    keep_to(order["cores"])
    from vfx_edge.backends import open_models
    from vfx_edge.fracture_task import Options, roles
    from vfx_edge.manifest import load_model_set

    manifest = load_model_set(order["model"])
    asked = roles(manifest, Options(**order["options"]))
    request = BackendRequest(**order["request"])
    with open_models(manifest, request, roles=asked) as models:
        work = Work(Task, lambda task: _done(task, models, order), Done, _names)
        serve_all(parent, work, lambda: bool(models.backend.failed))


def _done(task: Task, models: "OpenModels", order: Order) -> Done:
    from vfx_edge.fracture_task import Options
    from vfx_edge.job import Job, run_job

    options = Options(**order["options"], clinical=task.clinical)
    kinds = tuple(order["kinds"])
    with _whole(task) as path:
        job = Job(path, task.out, options=options, kinds=kinds, language=order["language"])
        return done_of(run_job(job, models).result)


@contextmanager
def _whole(task: Task) -> Iterator[Path]:
    """What is read: the study alone, where others lie beside it."""
    if not task.files:
        yield task.path
        return
    with scratch() as folder:
        for number, file in enumerate(task.files):
            _put(Path(file), folder / f"{number:06d}")
        yield folder


def _put(file: Path, place: Path) -> None:
    """A link, or a copy where there are none. NoScratch."""
    try:
        os.symlink(file, place)
    except (OSError, NotImplementedError):  # on Windows not everybody may
        try:
            shutil.copyfile(file, place)
        except OSError as error:
            raise NoScratch(error.strerror or type(error).__name__) from None


def _names(task: Task) -> list[Path]:
    return [task.path, *map(Path, task.files[:1])]


if __name__ == "__main__":
    serve(_work)
