"""A worker's side: each line is a task, and each answer one event, by `bench.protocol`."""

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from vfx_edge.bench.protocol import Parent
from vfx_edge.crew.outcomes import MOST_WORDS
from vfx_edge.errors import BackendError, VfxError, without_names
from vfx_edge.room import memory_error_as_sentence
from vfx_edge.service.reasons import code_location

READY, ANSWERED = "ready", "answered"
TaskT = TypeVar("TaskT")


def line_of(task: Any) -> bytes:
    """The task, a dataclass, as a line of JSON."""
    return json.dumps(asdict(task), default=str).encode("ascii") + b"\n"  # a path is its text


class Work(Generic[TaskT]):
    """What a worker does. task: type of its tasks, a dataclass. answer: makes a dataclass of a
    task; raises VfxError leaves. kind: the type of what it makes, with the bounds that msgspec
    holds it to. names: files of a task, whose names no sentence repeats."""

    def __init__(
        self,
        task: type[TaskT],
        answer: Callable[[TaskT], Any],
        kind: type[Any],
        names: Callable[[TaskT], Sequence[Path]],
    ) -> None:
        self._task, self._answer, self._kind, self._names = task, answer, kind, names

    def task_of(self, line: str) -> TaskT:
        """The task of a `line_of`."""
        return msgspec.convert(json.loads(line), self._task, dec_hook=_as_path)

    def event(self, line: str) -> dict[str, Any]:
        """What is reported of a task: outcome or failure, and whether this process may go on."""
        task = self.task_of(line)
        try:
            with memory_error_as_sentence():
                outcome = asdict(self._answer(task))
                msgspec.convert(outcome, self._kind)  # what can't be is this study's own bug
                return {"outcome": outcome, "failure": "", "go_on": True}
        except VfxError as error:
            # a lost GPU stays lost to this process
            lost = isinstance(error, BackendError)
            words = without_names(error, self._names(task))[:MOST_WORDS]
            return {"outcome": None, "failure": words, "go_on": not lost}
        except Exception as error:  # noqa: BLE001  one study must not stop the others
            where = code_location(error)
            sentence = f"the study ended in a bug ({where}): please report it with these words."
            return {"outcome": None, "failure": sentence, "go_on": True}


def serve_all(
    parent: Parent, work: Work[TaskT], is_worn: Callable[[], bool] = lambda: False
) -> NoReturn:
    """Tasks until standard input is closed. is_worn: whether a process that begins anew may fare
    better with the next task."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's: it ends this process itself
        signal.signal(number, signal.SIG_IGN)
    parent.report(READY)
    while True:
        event = work.event(parent.wait())
        parent.report(ANSWERED, **{**event, "go_on": event["go_on"] and not is_worn()})


def _as_path(kind: type[Any], value: Any) -> Any:
    assert kind is Path, "no task holds anything else that JSON has not"
    return Path(value)
