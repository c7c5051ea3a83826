"""One reader's way through the cases: each without the program's answer, then with it.

Sequential reading: the second pass of a case follows its first answer at once, which is kept and
can't be changed any more.
"""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from vfx_edge.errors import UsageError, VfxError
from vfx_edge.reading.case import Case, in_random_order
from vfx_edge.reading.log import Log
from vfx_edge.reading.stack import COUNT, EACH_WAY, PLANES, WINDOWS_HU, Stack, stack_of
from vfx_edge.scoring.readings import (
    ANSWERS,
    CONFIDENCES,
    NOT_SHOWN,
    SHOWN,
    WITH_CONFIDENCE,
    Reading,
)

Json = dict[str, Any]
SEEDS = 2**31


class OtherProgram(UsageError):
    """The readings so far were made beside the answers of another program."""

    def __init__(self, reader: str, before: str, now: str) -> None:
        super().__init__(
            f"reader {reader!r} has read beside the answers of {before!r} so far, not of {now!r}: "
            "go on with those, or give another --out"
        )


class NothingToRead(UsageError):
    """No case has a known cause."""

    def __init__(self) -> None:
        super().__init__(
            "there is nothing to read: no study could be scored that has a vertebra labelled "
            "malignant or osteoporotic"
        )


class OutOfTurn(Exception):
    """An answer to what is not being asked: the page is an old one."""


class Clock:
    """Seconds while something runs; None as soon as some of them are not known."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.reset(known=True)

    def reset(self, known: bool) -> None:
        self._known, self._sum_s = known, 0.0
        self._since: float | None = None

    def go(self) -> None:
        if self._since is None:
            self._since = self._now()

    def stop(self) -> None:
        if self._since is not None:
            self._sum_s += self._now() - self._since
            self._since = None

    @property
    def began(self) -> bool:
        return self._since is not None or self._sum_s > 0

    @property
    def seconds(self) -> float | None:
        return self._sum_s if self._known else None


class Session:
    """Safe for the threads of a server. now: seconds of a clock that never goes back."""

    def __init__(
        self,
        cases: Sequence[Case],
        log: Log,
        reader: str,
        program: str,
        seed: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """seed: of the order; that of the readings so far counts before it. OtherProgram,
        NothingToRead."""
        before = log.before.lines
        if not cases:
            raise NothingToRead
        if other := next((one.program for one in before if one.program != program), None):
            raise OtherProgram(reader, other, program)
        given = secrets.randbelow(SEEDS) if seed is None else seed
        self.seed = before[0].seed if before else given
        self.reader, self.program = reader, program
        self.cases = in_random_order(cases, self.seed)
        self.finished = threading.Event()
        self._log, self._lock, self._clock = log, threading.RLock(), Clock(now)
        self._answers = {one.key: one for one in log.before.answers}
        self._begun = {one.key for one in before if one.answer == SHOWN}
        self._hidden = {one.key for one in before if one.answer == NOT_SHOWN}
        self._loader = ThreadPoolExecutor(1, "pictures")
        self._stacks: dict[int, Future[Stack]] = {}
        self._at, self._aided = 0, False
        self._go_on()

    @property
    def left(self) -> int:
        """Cases that are not read to the end."""
        with self._lock:
            return len(self.cases) - self._at

    def state(self) -> Json:
        """What the page shows now, and all that it may know. Waits for the pictures."""
        with self._lock:
            while not self.finished.is_set() and not self._can_be_shown():
                self._skip()
            if self.finished.is_set():
                return {"done": True, "of": len(self.cases)}
            told: Json = {
                "done": False,
                "number": self._at + 1,
                "of": len(self.cases),
                "pass": "aided" if self._aided else "unaided",
                "planes": [*PLANES],
                "windows": [*WINDOWS_HU],
                "count": COUNT,
                "middle": EACH_WAY,
            }
            return {**told, **self._aid()} if self._aided else told

    def png(self, number: int, plane: str, at: int, window: str) -> bytes:
        """A picture of the case that is being read. OutOfTurn, KeyError, IndexError."""
        with self._lock:
            if number != self._at + 1 or self.finished.is_set():
                raise OutOfTurn
            coming = self._stack(self._at)
        return coming.result().png(plane, at, window)

    def shown(self, number: int, aided: bool) -> None:
        """The pictures are to be seen: from here on the time counts. OutOfTurn, OutputError."""
        with self._lock:
            self._check(number, aided)
            if not self._clock.began and self._current(SHOWN).key not in self._begun:
                self._log.add(self._current(SHOWN))
                self._begun.add(self._current(SHOWN).key)
            self._clock.go()

    def pause(self, number: int, aided: bool) -> None:
        """The pictures are hidden. OutOfTurn."""
        with self._lock:
            self._check(number, aided)
            self._clock.stop()

    def answer(self, number: int, aided: bool, answer: str, confidence: int | None) -> None:
        """Kept for good when this returns. OutOfTurn, ValueError, OutputError."""
        if answer not in ANSWERS:
            raise ValueError("no such answer")
        if (answer in WITH_CONFIDENCE) != (confidence in CONFIDENCES):
            raise ValueError("a confidence of 1 to 5 belongs to the two causes, and to no other")
        with self._lock:
            self._check(number, aided)
            self._clock.stop()
            said = self._current(answer, confidence, self._clock.seconds)
            self._log.add(said)
            self._answers[said.key] = said
            self._go_on()

    def close(self) -> None:
        """No more pictures."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _check(self, number: int, aided: bool) -> None:
        if self.finished.is_set() or (number, aided) != (self._at + 1, self._aided):
            raise OutOfTurn

    def _current(
        self, answer: str, confidence: int | None = None, seconds: float | None = None
    ) -> Reading:
        return self._reading(self._at, self._aided, answer, confidence, seconds)

    def _reading(
        self,
        at: int,
        aided: bool,
        answer: str,
        confidence: int | None = None,
        seconds: float | None = None,
    ) -> Reading:
        case = self.cases[at]
        when = datetime.now(UTC).isoformat(timespec="seconds")
        return Reading(
            case.study.name, case.row.level, self.reader, aided, answer, confidence, seconds, when,
            at + 1, self.seed, self.program,
        )  # fmt: skip

    def _go_on(self) -> None:
        """To the first pass without an answer."""
        for at in range(self._at, len(self.cases)):
            first, second = (self._reading(at, aided, "").key for aided in (False, True))
            if first in self._hidden or second in self._answers:
                self._stacks.pop(at, None)
                continue
            self._at, self._aided = at, first in self._answers
            # what was seen before a kill was seen for nobody knows how long
            self._clock.reset(known=self._current("").key not in self._begun)
            return
        self._at = len(self.cases)
        self.finished.set()

    def _can_be_shown(self) -> bool:
        """Waits for the pictures, and has those of the next case made meanwhile."""
        coming = self._stack(self._at)
        if self._at + 1 < len(self.cases):
            self._stack(self._at + 1)
        with suppress(VfxError, MemoryError):
            coming.result()
            return True
        return False

    def _skip(self) -> None:
        reading = self._reading(self._at, False, NOT_SHOWN)
        self._log.add(reading)
        self._hidden.add(reading.key)
        self._go_on()

    def _stack(self, at: int) -> "Future[Stack]":
        if at not in self._stacks:
            self._stacks[at] = self._loader.submit(stack_of, self.cases[at])
        return self._stacks[at]

    def _aid(self) -> Json:
        """The program's answer, and the reader's own first one."""
        row, first = self.cases[self._at].row, self._answers[self._reading(self._at, False, "").key]
        return {
            "program": {
                "tier": row.tier,
                "reason": row.reason,
                "p_malignant": row.p_malignant,
                "p_osteoporotic": row.p_osteoporotic,
                "height_loss": row.height_loss,
                "level": row.called,
            },
            "first": {"answer": first.answer, "confidence": first.confidence},
        }
