"""Who does the studies: what an engine is, and the one that is there without any library."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from vfx_edge.batch.outcomes import Done, Task
from vfx_edge.crew.outcomes import Failed
from vfx_edge.crew.pool import Crew, answers
from vfx_edge.crew.serving import Work
from vfx_edge.errors import UsageError

MODULE = "vfx_edge.batch.worker"
OPENINGS = 5
"""How often in a row a worker may be killed while it opens its networks: a batch takes days, and
machines kill."""


class Engine(Protocol):
    """Does tasks anywhere. What it began ends with the iteration, however that ends."""

    def answers(
        self, tasks: Sequence[Task], order: Mapping[str, Any], workers: int
    ) -> Generator[tuple[int, Done | Failed], None, None]:
        """(number of the task, outcome), as they come; of each task exactly one. order: as
        `worker` reads it. ModelError and BackendError where the networks can't be opened."""


class EngineNotInstalled(UsageError):
    """Its library is not there."""

    def __init__(self, engine: str, package: str) -> None:
        super().__init__(
            f"--engine {engine} needs {package}, which is not installed: "
            f"`pip install 'vfx-edge[{engine}]'` brings it, here and on the cluster."
        )


class Processes:
    """Worker processes on this machine. module: their program."""

    def __init__(self, module: str = MODULE) -> None:
        self._module = module

    def answers(
        self, tasks: Sequence[Task], order: Mapping[str, Any], workers: int
    ) -> Generator[tuple[int, Done | Failed], None, None]:
        """As `Engine`."""
        crew: Crew[Done] = Crew(order, Done, self._module, workers, openings=OPENINGS)
        return answers(tasks, crew)


def check_installed(engine: str, package: str) -> None:
    """EngineNotInstalled."""
    if find_spec(package) is None:
        raise EngineNotInstalled(engine, package)


def opening_of(
    module: str,
) -> Callable[[dict[str, Any]], AbstractContextManager[tuple[Work[Any], Callable[[], bool]]]]:
    """`opened` of a worker's program, for a process that is not started by `crew`."""
    opened: Callable[[dict[str, Any]], AbstractContextManager[tuple[Work[Any], Callable[[], bool]]]]
    opened = import_module(module).opened
    return opened
