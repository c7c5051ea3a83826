"""Random anatomical variation with one strength knob."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Jitter:
    """Draws variations scaled by ``strength``; strength 0 changes nothing."""

    rng: np.random.Generator
    strength: float

    def shift(self, spread: float) -> float:
        """Zero-mean offset with deviation ``spread``, cut at 2.5 deviations."""
        # Always draw, so that strength does not change the order of the stream.
        return spread * self.strength * float(np.clip(self.rng.standard_normal(), -2.5, 2.5))

    def scale(self, spread: float) -> float:
        """Positive factor about 1."""
        return float(np.exp(self.shift(spread)))

    def chance(self, probability: float) -> bool:
        """True with ``probability`` (never at strength 0)."""
        return float(self.rng.random()) < probability * min(self.strength, 1.0)

    def between(self, low: float, high: float) -> float:
        """Uniform draw, whatever the strength."""
        return float(self.rng.uniform(low, high))


def stream(seed: int, name: str) -> np.random.Generator:
    """Independent generator per structure, so editing one leaves the others alone."""
    return np.random.default_rng([seed, *name.encode()])
