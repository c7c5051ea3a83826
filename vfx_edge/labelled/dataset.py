"""What `labels.csv` and the folders beside it say, as frozen types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from vfx_edge.study import Level


class Label(StrEnum):
    """What the gold standard says of a vertebra."""

    OSTEOPOROTIC = "osteoporotic"
    MALIGNANT = "malignant"
    INTACT = "intact"
    INTACT_LESION = "intact_lesion"
    """A malignant lesion in a vertebra that kept its shape."""
    EXCLUDED = "excluded"

    @property
    def fractured(self) -> bool:
        return self in (Label.OSTEOPOROTIC, Label.MALIGNANT)


class Split(StrEnum):
    """What a patient's studies are for. `external`: a second test set, of another hospital."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Facts:
    """What is known of a row besides its label; None or "" where the file does not say."""

    genant: int | None = None
    """0..3."""
    gold_standard: str = ""
    sex: str = ""
    age: float | None = None
    """Years."""
    contrast: bool | None = None
    scanner: str = ""
    known_tumour: bool | None = None
    previous_fracture: bool | None = None


@dataclass(frozen=True)
class Row:
    """One line of labels.csv that can be used. number: its line in the file, the header is 1.

    readings: reader's name -> what that reader called it, reading by reader: `osteoporotic`,
    `malignant`, `uncertain` or "" for none. The columns are `reader_<name>` and, for a second
    reading, `reader_<name>_2`.
    """

    number: int
    study: str
    patient: str
    level: Level
    label: Label
    split: Split | None
    facts: Facts = Facts()
    readings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledStudy:
    """One CT and its rows. path: may lead nowhere where no CT was asked for. mask, centres: of
    experts, where there are any (VerSe's layout)."""

    name: str
    patient: str
    path: Path
    split: Split | None
    rows: tuple[Row, ...]
    mask: Path | None = None
    centres: Path | None = None
    repeat_of: str = ""
    """Name of the study that this one repeats: the same patient, scanned again."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with one line (None: with the whole), in a sentence that names no patient."""

    row: int | None
    sentence: str


@dataclass(frozen=True)
class Dataset:
    """The studies that can be used, in the file's order, and what could not be."""

    folder: Path
    studies: tuple[LabelledStudy, ...]
    problems: tuple[Problem, ...] = ()
