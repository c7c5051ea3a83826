"""[network.calibration]: what a department set of a classifier on its own labelled cases."""

from datetime import date
from typing import Annotated, Any, TypeVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from vfx_edge.manifest.roles import Share, Table

Text = Annotated[str, Meta(pattern=r"\S")]
LINE = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
Line = Annotated[str, Meta(pattern=LINE, max_length=200)]
"""Printed as it stands, in results and on terminals."""
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Factor = Annotated[float, Meta(ge=1e-3, le=1e3)]
F = TypeVar("F", bound=np.floating[Any])
_LEAST = 1e-12
"""A probability of 0 has no logarithm."""


class CalibrationSpec(Table, frozen=True, kw_only=True):
    """How a classifier's answers were made to fit the cases of one place.

    The manifest's thresholds hold for probabilities that `tempered` has changed. coverage: of new
    cases like these, the share whose true class is among those that may be; the limits say from
    which probability on a class may be (class-conditional conformal prediction, Vovk 2012).
    """

    name: Line
    made: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    cases: Count
    """Fractures it rests on, of both classes."""
    malignant: Count
    """Those of them that are malignant."""
    wanted: Line
    """What the thresholds were chosen for: "sensitivity 0.95"."""
    temperature: Factor = 1.0
    coverage: Share | None = None
    conformal_osteoporotic: Share | None = None
    conformal_malignant: Share | None = None

    def __post_init__(self) -> None:
        try:
            date.fromisoformat(self.made)
        except ValueError:
            raise ValueError(f"'made' is no date of the calendar ({self.made})") from None
        if self.malignant > self.cases:
            raise ValueError("'malignant' is more than 'cases'")
        limits = (self.conformal_osteoporotic, self.conformal_malignant)
        if self.coverage is None and limits != (None, None):
            raise ValueError("'coverage' is missing, which the conformal limits were chosen for")

    def tempered(self, p: NDArray[F]) -> NDArray[F]:
        """Probabilities (…, 2), osteoporotic and malignant, by the temperature."""
        return tempered(p, self.temperature)

    def possible(self, p_osteoporotic: float, p_malignant: float) -> tuple[str, ...] | None:
        """The classes that may be, by tempered probabilities; None where no limits were chosen.
        A class without a limit of its own always may be."""
        if self.coverage is None:
            return None
        said = (
            ("osteoporotic", p_osteoporotic, self.conformal_osteoporotic),
            ("malignant", p_malignant, self.conformal_malignant),
        )
        return tuple(name for name, p, limit in said if limit is None or p >= limit)


def tempered(p: NDArray[F], temperature: float) -> NDArray[F]:
    """Probabilities (…, n) of n classes, made less or more sure: p^(1/T), divided by its sum over
    the last axis (temperature scaling, Guo et al. 2017)."""
    if temperature == 1:
        return p
    logs = np.log(np.maximum(p.astype(np.float64), _LEAST)) / temperature
    powers = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), p.dtype)
