"""A process that analyses studies: `python -m vfx_edge.scoring.worker`, by `bench.protocol`.

Its order says which networks to open; then each line is a task, and each answer one event.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.crew.serving import Work, serve_all
from vfx_edge.parallel import keep_to
from vfx_edge.scoring.answers import Answer, Task
from vfx_edge.study import BackendRequest


def answer_all(
    parent: Parent,
    answer: Callable[[Task], Answer],
    is_worn: Callable[[], bool] = lambda: False,
) -> NoReturn:
    """Tasks until standard input is closed. answer: raises VfxError leaves. is_worn: whether a
    process that begins anew may fare better with the next task."""
    serve_all(parent, Work(Task, answer, Answer, _names), is_worn)


def _names(task: Task) -> list[Path]:
    """A result's name is the study's own."""
    return [path for path in (task.path, task.mask, task.centres) if path is not None]


def _work(order: Order, parent: Parent) -> None:
    """Order: model None where results are read, request, masks, radiomics, cores or None for
    all."""
    keep_to(order["cores"])
    from vfx_edge.scoring.analyse import GIVEN
    from vfx_edge.scoring.analyse import answer as analysed

    masks = order["masks"]
    if order["model"] is None:
        answer_all(parent, lambda task: analysed(task, None, masks))
    from vfx_edge.backends import open_models
    from vfx_edge.fracture_task import Options, roles
    from vfx_edge.manifest import load_model_set

    manifest = load_model_set(order["model"])
    asked = Options(segmentation="of each study" if masks == GIVEN else None)
    request = BackendRequest(**order["request"])
    with open_models(manifest, request, roles=roles(manifest, asked)) as models:
        answer_all(
            parent,
            lambda task: analysed(task, models, masks, order["radiomics"]),
            lambda: bool(models.backend.failed),
        )


if __name__ == "__main__":
    serve(_work)
