"""Progress for people: on standard error, on a terminal only, gone when the work is done."""

import logging
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vfx_edge.cli.show import tell

if TYPE_CHECKING:
    from rich.progress import Progress

STAGES = {
    "read": "Reading the scan",
    "locate": "Looking for the spine",
    "label": "Naming the vertebrae",
    "segment": "Outlining each vertebra",
    "measure": "Measuring heights",
    "classify": "Classifying fractures",
    "write": "Writing the results",
}
ON_REQUEST = {"explain": "Hiding parts of each crop"}
"""Stages that most runs have not."""


def _words(stage: str) -> str:
    return STAGES.get(stage) or ON_REQUEST.get(stage, stage)


class _Notes(logging.Handler):
    """What the backends say while people wait for them, such as an engine being built: each line
    once, above the bar. Where there is none, warnings alone, as lines; `quiet`: nothing."""

    def __init__(self, bar: "Progress | None", quiet: bool) -> None:
        super().__init__(logging.INFO if bar is not None else logging.WARNING)
        self._say = bar.console.print if bar is not None else tell
        self._told: set[str] = set()
        self._quiet = quiet

    def __enter__(self) -> Self:
        self._log = logging.getLogger("vfx_edge.backends")
        self._log.setLevel(logging.INFO)
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if not self._quiet and line not in self._told:
            self._told.add(line)
            self._say(line)


class StageProgress:
    """One bar over the stages of a run; with `lines`, each finished stage leaves its seconds.

    A standard error that is no terminal gets the backends' warnings alone; with `quiet` nothing
    is printed at all.
    """

    def __init__(self, quiet: bool = False, lines: bool = False) -> None:
        self._lines = lines
        self._bar = _bar() if sys.stderr.isatty() and not quiet else None
        self._notes = _Notes(self._bar, quiet)
        self._stage: str | None = None
        self._since = 0.0

    def __enter__(self) -> Self:
        self._notes.__enter__()
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("Starting", total=len(STAGES))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._notes.__exit__()
        if self._bar is not None:
            if kind is None:
                self._finish_stage()
            self._bar.stop()

    def start(self, stage: str) -> None:
        """`stage` begins, and the one before it is done."""
        if self._bar is None or stage == self._stage:
            return
        self._finish_stage()
        self._stage, self._since = stage, time.perf_counter()
        done = list(STAGES).index(stage) if stage in STAGES else None
        self._bar.update(self._task, description=_words(stage), completed=done)

    def _finish_stage(self) -> None:
        if self._bar is None or self._stage is None:
            return
        if self._lines:
            seconds = time.perf_counter() - self._since
            self._bar.console.print(f"{_words(self._stage):<26}{seconds:6.2f} s")


class ShareProgress:
    """One bar for work that knows which share of it is done; nothing where nobody looks."""

    def __init__(self, quiet: bool = False) -> None:
        self._bar = _bar() if sys.stderr.isatty() and not quiet else None
        self._notes = _Notes(self._bar, quiet)

    def __enter__(self) -> Self:
        self._notes.__enter__()
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("Starting", total=1.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._notes.__exit__()
        if self._bar is not None:
            self._bar.stop()

    def step(self, what: str, share: float) -> None:
        """`what` is done now; share: of all the work, 0..1; the bar never runs backwards."""
        if self._bar is not None:
            done = max(share, self._bar.tasks[self._task].completed)
            self._bar.update(self._task, description=what, completed=done)

    def note(self, text: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.console.print(text)


class TimeLeft:
    """How long the rest of many equal pieces may take, from those done since the first call."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def words(self, done: int, every: int) -> str:
        """ ", about 4 min left"; empty before a piece is done, and after the last."""
        now = time.monotonic()
        began, before = self._first = self._first or (now, done)
        if done <= before or done >= every:
            return ""
        seconds = (now - began) / (done - before) * (every - done)
        if seconds < 90:
            return f", about {max(round(seconds), 1)} s left"
        return f", about {round(seconds / 60)} min left"


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<26}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
    )
