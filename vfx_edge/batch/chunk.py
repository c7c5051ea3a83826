"""The studies of one job of a cluster: networks are opened once, and each outcome is a record in
the batch's folder, where whoever sent the job looks for it."""

import signal
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfx_edge.batch.engine import Processes
from vfx_edge.batch.outcomes import Task, records_of
from vfx_edge.crew.outcomes import Failed
from vfx_edge.errors import VfxError
from vfx_edge.parallel import keep_to, share_of_cores


@dataclass(frozen=True)
class Chunk:
    """module: the program of the job's worker. order: as it reads it, and `out`, the batch's
    folder. share: which part of the cores, of how many; None: all that the scheduler grants."""

    module: str
    order: dict[str, Any]
    tasks: tuple[Task, ...]
    share: tuple[int, int] | None = None


def do(chunk: Chunk) -> VfxError | None:
    """The reason where the networks can't be opened. A study whose worker died leaves no record;
    one that has a record of just these inputs is not done again."""
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, _stop)  # a scheduler waits half a minute before it kills
    if chunk.share is not None:
        keep_to(share_of_cores(*chunk.share))
    records = records_of(Path(chunk.order["out"]))
    left = [task for task in chunk.tasks if records.read(task.out.name, task.key) is None]
    try:
        with closing(Processes(chunk.module).answers(left, chunk.order, 1)) as coming:
            for number, outcome in coming:
                if not (isinstance(outcome, Failed) and outcome.died):
                    records.write(left[number].out.name, left[number].key, outcome)
    except VfxError as error:
        return error
    return None


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
