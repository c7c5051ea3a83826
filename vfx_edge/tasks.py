"""The table of tasks: what each reads, which module does it, what it writes.

A new task is a module with the three names of `TaskModule`, and a row in `TASKS`.
"""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol, cast

from vfx_edge.errors import UsageError
from vfx_edge.outputs.kinds import KINDS

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.manifest import ModelManifest
    from vfx_edge.study import Answer, OnStage, Scan


class UnknownTask(UsageError):
    """There is no task of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no task: use one of {', '.join(TASKS)}")


class TaskModule(Protocol):
    """What a task's module offers."""

    Options: type
    """A frozen dataclass with a default for each field."""

    def roles(self, manifest: "ModelManifest", options: Any) -> tuple[str, ...]:
        """The networks that are asked: only these are opened. RoleMissing."""

    def analyze(
        self, scan: "Scan", models: "OpenModels", options: Any, on_stage: "OnStage"
    ) -> "Answer":
        """The answer to one scan. VfxError leaves."""


@dataclass(frozen=True)
class Task:
    """A row. modality: key of `inputs.modality.MODALITIES`. module: of `TaskModule`'s kind, loaded
    when it is needed. answer: name of the type that it returns."""

    name: str
    what: str
    modality: str
    module: str
    answer: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """The kinds of output that can write its answer."""
        return tuple(kind.name for kind in KINDS.values() if kind.answer in (None, self.answer))

    def load(self) -> TaskModule:
        """The module."""
        return cast(TaskModule, resolve_name(self.module))


DEFAULT = "fractures"
_ROWS = (
    Task(
        name=DEFAULT,
        what="triage of vertebral fractures",
        modality="CT",
        module="vfx_edge.fracture_task",
        answer="Analysis",
    ),
)
TASKS: dict[str, Task] = {row.name: row for row in _ROWS}


def task_of(name: str) -> Task:
    """The row of this name. UnknownTask."""
    if name not in TASKS:
        raise UnknownTask(name)
    return TASKS[name]
