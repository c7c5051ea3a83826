"""Studies over worker processes: what dies there costs its study, and never the run.

A thread a worker; whoever iterates gets the outcomes as they come, and what he writes is his own.
"""

import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec

from vfx_edge.backends.cache import cache_root
from vfx_edge.bench.processes import ProcessFailed, Worker, worker
from vfx_edge.crew.outcomes import Failed
from vfx_edge.crew.serving import line_of
from vfx_edge.errors import VfxError
from vfx_edge.parallel import cores, share_of_cores
from vfx_edge.room import studies_at_once

STUDY_LIMIT_S = 1800.0
_POLL_S = 0.5
AnswerT = TypeVar("AnswerT")
_Item = tuple[int, AnswerT | Failed] | BaseException


def default_workers() -> int:
    """How many fit into the cores and the memory that this process may use."""
    return studies_at_once(cores())


@dataclass(frozen=True)
class Crew(Generic[AnswerT]):
    """Who does the work. order: what each process opens; module: its program. answer: the type of
    its answers, with the bounds that msgspec holds them to. openings: how often in a row a process
    may die before it has opened its networks."""

    order: Mapping[str, Any]
    answer: type[AnswerT]
    module: str
    workers: int = 1
    limit_s: float = STUDY_LIMIT_S
    openings: int = 1

    def of_worker(self, number: int) -> dict[str, Any]:
        """The order of one worker: several share the cores among them."""
        return {**self.order, "cores": share_of_cores(number, self.workers)}


def answers(
    tasks: Sequence[Any], crew: Crew[AnswerT]
) -> Generator[tuple[int, AnswerT | Failed], None, None]:
    """(number of the task, outcome), as they come. tasks: dataclasses, as the crew's program reads
    them. ModelError and BackendError where the networks
    can't be opened; every process is ended with the iteration, however that ends."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(tasks)):
        waiting.put(number)
    done: queue.SimpleQueue[_Item[AnswerT]] = queue.SimpleQueue()
    lanes = [
        _Lane(replace(crew, order=crew.of_worker(n)), tasks, waiting, done)
        for n in range(min(crew.workers, len(tasks)))
    ]
    for lane in lanes:
        lane.start()
    try:
        for _ in tasks:
            item = _next(done)
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        for lane in lanes:
            lane.stop()
        for lane in lanes:
            lane.join()


def _next(done: "queue.SimpleQueue[_Item[AnswerT]]") -> _Item[AnswerT]:
    """Waits in pieces: on Windows Ctrl-C does not wake a wait without an end."""
    while True:
        with suppress(queue.Empty):
            return done.get(timeout=_POLL_S)


class _Lane(threading.Thread, Generic[AnswerT]):
    """One worker process after the other: a new one where the last has died."""

    def __init__(
        self,
        crew: Crew[AnswerT],
        tasks: Sequence[Any],
        waiting: "queue.SimpleQueue[int]",
        done: "queue.SimpleQueue[_Item[AnswerT]]",
    ) -> None:
        super().__init__(name="vfx-edge-crew", daemon=True)
        self._crew, self._tasks = crew, tasks
        self._waiting, self._done = waiting, done
        self._stopped = threading.Event()
        self._running: Worker | None = None
        self._unopened = 0

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._stopped.set()
        if (running := self._running) is not None:
            running.kill("stopped")

    def run(self) -> None:
        try:
            while not self._stopped.is_set() and not self._waiting.empty():
                with worker(self._crew.module, self._crew.order, cache_root()) as running:
                    self._running = running
                    if self._stopped.is_set():
                        break
                    if self._opened(running):
                        self._serve(running)
                        running.kill("done")
        except BaseException as error:  # noqa: BLE001  raised by whoever waits for outcomes
            self._done.put(error)

    def _opened(self, running: Worker) -> bool:
        """Whether its networks are open; False where it died and another one may try."""
        try:
            running.answer()
        except ProcessFailed:
            self._unopened += 1
            if self._unopened >= self._crew.openings:
                raise
            return False
        self._unopened = 0
        return True

    def _serve(self, running: Worker) -> None:
        """Tasks until there are none, or the process has died."""
        while not self._stopped.is_set():
            try:
                number = self._waiting.get_nowait()
            except queue.Empty:
                return
            outcome, alive = self._ask(running, self._tasks[number])
            if self._stopped.is_set():  # it was killed for that: no word on the study
                return
            self._done.put((number, outcome))
            if not alive:
                return

    def _ask(self, running: Worker, task: Any) -> tuple[AnswerT | Failed, bool]:
        why = f"stopped after {self._crew.limit_s:.0f} s"
        timer = threading.Timer(self._crew.limit_s, running.kill, [why])
        timer.daemon = True
        timer.start()
        try:
            running.send(line_of(task))
            event = running.answer()
        except ProcessFailed as error:
            return Failed(_died(error), died=why not in str(error)), False
        except VfxError as error:
            return Failed(error.nameless), False
        finally:
            timer.cancel()
        if event["outcome"] is None:
            return Failed(str(event["failure"])), bool(event["go_on"])
        return msgspec.convert(event["outcome"], self._crew.answer), bool(event["go_on"])


def _died(error: ProcessFailed) -> str:
    """Without the program's name, and without its last words, which may quote a file."""
    return died_words(str(error).partition("(")[2].rpartition(")")[0].partition(": ")[0])


def died_words(how: str) -> str:
    """The reason of a study whose process died; how: in a few words, without a file's."""
    return (
        f"the study's process ended without an answer ({how}): run the study by itself with "
        "`vfx-edge run`, then give --retry-failed."
    )
