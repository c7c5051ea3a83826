"""What stands beside the classifier: facts of the patient, and what each reader answered."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

CLINICAL = "clinical_"
"""Begins the names of these features."""
SIGN = "sign_"
"""Begins the names of measured signs."""
MOST_YEARS = 120.0


@dataclass(frozen=True)
class Clinical:
    """Of the patient; None where nobody knows it, which is no "no". ValueError where it can't be.

    age: years. sex: "f" or "m". known_tumour: a malignant disease is known. previous_fracture: a
    vertebra broke before without an accident.
    """

    age: float | None = None
    sex: str | None = None
    known_tumour: bool | None = None
    previous_fracture: bool | None = None

    def __post_init__(self) -> None:
        if self.age is not None and not 0 <= self.age <= MOST_YEARS:
            raise ValueError(f"age is no number of years from 0 to {MOST_YEARS:.0f}")
        if self.sex not in (None, "f", "m"):
            raise ValueError("sex is neither f nor m")

    @property
    def known(self) -> tuple[str, ...]:
        """The facts that are known: their names alone may stand in results."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) is not None)

    def completed(self, other: "Clinical") -> "Clinical":
        """With the other's facts where this one says nothing."""
        names = [one.name for one in fields(self)]
        mine = {name: getattr(self, name) for name in names}
        rest = {name: getattr(other, name) for name in names if mine[name] is None}
        return Clinical(**{**mine, **rest})

    @property
    def features(self) -> Mapping[str, float]:
        """Name -> value, NaN where it is not known. A woman is 1, a man 0; so are yes and no."""
        sex = None if self.sex is None else float(self.sex == "f")
        facts = {
            "age": self.age,
            "sex": sex,
            "known_tumour": self.known_tumour,
            "previous_fracture": self.previous_fracture,
        }
        return {
            f"{CLINICAL}{name}": math.nan if value is None else float(value)
            for name, value in facts.items()
        }


NOTHING_KNOWN = Clinical()
CLINICAL_FEATURES = tuple(NOTHING_KNOWN.features)


@dataclass(frozen=True)
class ReaderAnswer:
    """What one of a set's readers says of a fracture. name: network, tabular or fusion. Of the
    network and the tabular one before they were put together.

    missing: features that nobody knew here, for which the usual value of the training stood.
    """

    name: str
    p_osteoporotic: float
    p_malignant: float
    missing: tuple[str, ...] = ()
