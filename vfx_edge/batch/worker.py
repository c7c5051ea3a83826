"""A process that does studies with networks that stay open: `python -m vfx_edge.batch.worker`, by
`bench.protocol`."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vfx_edge.batch.outcomes import Done, Task, done_of
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.crew.serving import Work, serve_all
from vfx_edge.inputs.dicomweb import Client
from vfx_edge.inputs.dicomweb_server import Server
from vfx_edge.inputs.files import NoScratch, listed, room_in, scratch
from vfx_edge.inputs.study_uid import study_uid
from vfx_edge.parallel import keep_to
from vfx_edge.study import BackendRequest

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels


@contextmanager
def opened(order: Order) -> Iterator[tuple[Work[Task], Callable[[], bool]]]:
    """The work on studies with networks that are open within the block, and whether this process is
    worn: a new one may fare better. ModelError, BackendError. order: model, request, options,
    kinds, language, cores or None for all."""
    keep_to(order["cores"])
    from vfx_edge.backends import open_models
    from vfx_edge.fracture_task import Options, roles
    from vfx_edge.manifest import load_model_set

    manifest = load_model_set(order["model"])
    asked = roles(manifest, Options(**order["options"]))
    request = BackendRequest(**order["request"])
    with open_models(manifest, request, roles=asked) as models:
        work = Work(Task, lambda task: _done(task, models, order), Done, _names)
        yield work, lambda: bool(models.backend.failed)


def _work(order: Order, parent: Parent) -> None:
    with opened(order) as (work, is_worn):
        serve_all(parent, work, is_worn)


def _done(task: Task, models: "OpenModels", order: Order) -> Done:
    from vfx_edge.fracture_task import Options
    from vfx_edge.job import Job, run_job

    options = Options(**order["options"], clinical=task.clinical)
    kinds = tuple(order["kinds"])
    with whole(task) as path:
        job = Job(path, task.out, options=options, kinds=kinds, language=order["language"])
        return done_of(run_job(job, models).result)


@contextmanager
def whole(task: Task) -> Iterator[Path]:
    """What is read: the study alone, where others lie beside it."""
    if not (task.files or task.study):
        yield task.path
        return
    with scratch() as folder:
        if task.server is not None:
            _fetch(task.server, task.study, folder)
            yield folder
        elif task.study:
            with listed(task.path) as archive:
                _link([s.path for s in archive.files if study_uid(s.path) == task.study], folder)
                yield folder
        else:
            _link(list(map(Path, task.files)), folder)
            yield folder


def _link(files: Sequence[Path], folder: Path) -> None:
    """Under numbers: their names may be the same. NoScratch."""
    for number, file in enumerate(files):
        _put(file, folder / f"{number:06d}")


def _fetch(server: Server, study: str, folder: Path) -> None:
    """ServerFailed, NoScratch."""
    with Client(server) as client:
        client.fetch(study, folder, room_in(folder))


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
