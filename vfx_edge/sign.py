"""A sign of a vertebra, measured: one more of the nouns of `study`, which has it too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sign:
    """A sign measured at a vertebra, and what intact ones show. name, unit: of vocabulary.SIGNS.
    normal_low, normal_high: None where the sign has no limit on that side."""

    name: str
    value: float | None
    unit: str
    normal_low: float | None
    normal_high: float | None
    reason: str | None = None
    """Why there is no value."""

    @property
    def is_abnormal(self) -> bool | None:
        """Whether the value lies outside what intact vertebrae show; None without a value."""
        if self.value is None:
            return None
        under = self.normal_low is not None and self.value < self.normal_low
        return under or (self.normal_high is not None and self.value > self.normal_high)
