"""Measured times, their summary, and whether two sets of them really differ."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 4
"""Runs a side below which no verdict is given."""
LEAST_DIFFERENCE = 0.03
"""Two processes of the same program differ by so much for no reason that could be named."""
NOISY = 0.15
"""Spread of the middle half over the median, from which figures are called noisy."""
RESAMPLES = 4000
FEWEST_FOR = {95: 20, 99: 100}
"""Percentile -> runs below which it is not told: of fewer, none is expected to lie beyond it, and
what is called the 95th percentile would only be the slowest run."""


@dataclass(frozen=True)
class Samples:
    """One figure, measured several times. Seconds each, in the order in which they were taken."""

    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.seconds:
            raise ValueError("no run was measured")
        if not all(math.isfinite(value) and value >= 0 for value in self.seconds):
            raise ValueError("a run took no time that can be")

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def median(self) -> float:
        return self._quantile(50)

    @property
    def p95(self) -> float | None:
        """None where the runs are too few for it."""
        return self._high(95)

    @property
    def p99(self) -> float | None:
        """None where the runs are too few for it."""
        return self._high(99)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % of the median, by the noise inside these runs; None where they are too few."""
        if len(self) < FEWEST:
            return None
        low, high = np.percentile(_medians(self, np.random.default_rng(0)), (2.5, 97.5))
        return float(low), float(high)

    @property
    def min(self) -> float:
        return min(self.seconds)

    @property
    def max(self) -> float:
        return max(self.seconds)

    @property
    def spread(self) -> float:
        """How far apart the quartiles lie, over the median."""
        return (self._quantile(75) - self._quantile(25)) / self.median if self.median else 0.0

    @property
    def noisy(self) -> bool:
        """Whether the runs differ so much among themselves that their median means little."""
        return len(self) >= FEWEST and self.spread > NOISY

    def _high(self, percent: int) -> float | None:
        return self._quantile(percent) if len(self) >= FEWEST_FOR[percent] else None

    def _quantile(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent))  # linear between neighbours

    def to_json_able(self) -> dict[str, Any]:
        """The raw runs and their summary; seconds, `spread` a share."""
        kept = Samples(tuple(round(value, 6) for value in self.seconds))
        names = ("median", "p95", "p99", "min", "max", "spread")
        summary = {name: getattr(kept, name) for name in names}
        rounded = {k: None if v is None else round(v, 6) for k, v in summary.items()}
        return {"seconds": list(kept.seconds), **rounded}

    @classmethod
    def from_json_able(cls, value: Mapping[str, Any]) -> "Samples":
        """From the raw runs alone: a summary is never trusted, but made anew."""
        return cls(tuple(float(second) for second in value["seconds"]))


def _medians(samples: Samples, draw: np.random.Generator) -> NDArray[np.float64]:
    """Of RESAMPLES draws of as many runs, each run drawn as often as it happens."""
    drawn = draw.choice(np.asarray(samples.seconds), (RESAMPLES, len(samples)))
    medians: NDArray[np.float64] = np.median(drawn, axis=1)
    return medians


@dataclass(frozen=True)
class Ratio:
    """How many times as long one thing takes as another, with a 95 % interval."""

    median: float
    low: float
    high: float
    runs: int
    """Of the side that was measured less often."""


def ratio(a: Samples, b: Samples) -> Ratio:
    """median(a) / median(b): below 1 where a is the faster one.

    The interval is a percentile bootstrap of both medians with a fixed seed: the same runs, the
    same interval. It knows the noise inside the two sets, not what changed between them.
    """
    draw = np.random.default_rng(0)
    drawn = [_medians(side, draw) for side in (a, b)]
    low, high = np.percentile(drawn[0] / drawn[1], (2.5, 97.5))
    return Ratio(a.median / b.median, float(low), float(high), min(len(a), len(b)))


def verdict(found: Ratio, least: float = LEAST_DIFFERENCE) -> str:
    """ "faster", "slower" or "no difference seen": the first of `ratio`'s two against the second.

    The whole interval has to lie beyond 1 ± least. "too few runs": fewer than FEWEST on a side.
    """
    if found.runs < FEWEST:
        return "too few runs"
    if found.high < 1 - least:
        return "faster"
    if found.low > 1 + least:
        return "slower"
    return "no difference seen"
