"""A process that analyses studies: `python -m vfx_edge.scoring.worker`, by `bench.protocol`.

Its order says which networks to open; then each line is a task, and each answer one event.
"""

import json
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.errors import BackendError, VfxError, without_names
from vfx_edge.parallel import keep_to
from vfx_edge.room import memory_error_as_sentence
from vfx_edge.scoring.answers import MOST_WORDS, PATHS, Answer, Task
from vfx_edge.service.reasons import code_location
from vfx_edge.study import BackendRequest, Clinical

READY, ANSWERED = "ready", "answered"


def line_of(task: Task) -> bytes:
    """The task as a line of JSON."""
    facts = {name: str(v) if isinstance(v, Path) else v for name, v in vars(task).items()}
    facts["clinical"] = asdict(task.clinical)
    return json.dumps(facts).encode("ascii") + b"\n"


def _task_of(line: str) -> Task:
    facts: dict[str, Any] = json.loads(line)
    facts |= {name: Path(facts[name]) for name in PATHS if facts[name]}
    return Task(**{**facts, "clinical": Clinical(**facts["clinical"])})


def answer_all(
    parent: Parent,
    answer: Callable[[Task], Answer],
    is_worn: Callable[[], bool] = lambda: False,
) -> NoReturn:
    """Tasks until standard input is closed. answer: raises VfxError leaves. is_worn: whether a
    process that begins anew may fare better with the next task."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's: it ends this process itself
        signal.signal(number, signal.SIG_IGN)
    parent.report(READY)
    while True:
        event = _event(parent.wait(), answer)
        parent.report(ANSWERED, **{**event, "go_on": event["go_on"] and not is_worn()})


def _event(line: str, answer: Callable[[Task], Answer]) -> dict[str, Any]:
    task = _task_of(line)
    try:
        with memory_error_as_sentence():
            outcome = asdict(answer(task))
            msgspec.convert(outcome, Answer)  # what can't be is this study's own bug
            return {"outcome": outcome, "failure": "", "go_on": True}
    except VfxError as error:
        # a lost GPU stays lost to this process
        lost = isinstance(error, BackendError)
        return {"outcome": None, "failure": _nameless(error, task), "go_on": not lost}
    except Exception as error:  # noqa: BLE001  one study must not stop the others
        where = code_location(error)
        sentence = f"the study ended in a bug ({where}): please report it with these words."
        return {"outcome": None, "failure": sentence, "go_on": True}


def _nameless(error: VfxError, task: Task) -> str:
    """A result's name is the study's own."""
    files = [path for path in (task.path, task.mask, task.centres) if path is not None]
    return without_names(error, files)[:MOST_WORDS]


def _work(order: Order, parent: Parent) -> None:
    """Order: model None where results are read, request, masks, cores or None for all."""
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
            parent, lambda task: analysed(task, models, masks), lambda: bool(models.backend.failed)
        )


if __name__ == "__main__":
    serve(_work)
