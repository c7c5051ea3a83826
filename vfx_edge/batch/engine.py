"""Who does the studies: a table, so that another engine is a class and a row."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from vfx_edge.batch.outcomes import Done, Task
from vfx_edge.crew.outcomes import Failed
from vfx_edge.crew.pool import Crew, answers

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


ENGINES: Mapping[str, type[Engine]] = {"processes": Processes}
