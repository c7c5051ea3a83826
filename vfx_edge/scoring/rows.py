"""One row for each known vertebra of a study and each model set asked, and one for each study.

Whatever is computed of an evaluation is computed of these rows: they are what `vertebrae.csv` and
`cases.csv` hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class VertebraRow:
    """A vertebra whose place or label is known, and what a model set says of it.

    "" and None: not known, or not told. Millimetres; probabilities and shares 0..1.
    """

    model: str
    """Name of the model set, as shown: an approach of the tables."""
    study: str
    patient: str
    split: str
    level: str
    """The true one."""
    label: str
    """Of `labelled.dataset.Label`, or ""."""
    row: int | None = None
    """Line in labels.csv."""

    genant: int | None = None
    gold_standard: str = ""
    sex: str = ""
    age: float | None = None
    contrast: bool | None = None
    scanner: str = ""
    slice_mm: float | None = None
    readings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    whole: bool | None = None
    """Wholly in view, by the expert's mask or centres; None where neither is there."""
    called: str = ""
    """The level that the finding in its place has; "": nothing was found there."""
    probability: float | None = None
    """Of that name."""
    distance_mm: float | None = None
    """From the true centre to that of the finding in its place, whatever it is called."""
    named_distance_mm: float | None = None
    """From the true centre to that of the finding of its level, wherever it lies: VerSe's d_mean
    is the mean of these. None where no finding has the level."""
    identified: bool | None = None
    """As VerSe counts it; None where the place is not known."""
    dice: float | None = None
    """Of the outline of the same name, 0 where there is none, as VerSe counts it; None where no
    outlines are known."""
    assd_mm: float | None = None
    hd_mm: float | None = None
    hd95_mm: float | None = None
    """Of the outline of the same name: mean of the surfaces' distances, Hausdorff distance, its
    95th percentile. None also where there is none: VerSe'20 gave up the distances because a missed
    vertebra has none (github.com/anjany/verse, notes on its evaluation)."""
    place_dice: float | None = None
    """Of the outline in its place, whatever it is called; None where nothing was found there."""

    anterior_mm: float | None = None
    middle_mm: float | None = None
    posterior_mm: float | None = None
    height_loss: float | None = None
    suspected: bool | None = None

    p_osteoporotic: float | None = None
    p_malignant: float | None = None
    tier: str = ""
    """What the set answers when it is asked why this vertebra broke: malignant, osteoporotic,
    uncertain or not_assessable; "" where it was not asked."""
    reason: str = ""
    """Why there is no tier: not_found, failed, or the chain's own reason."""
    p_malignant_slices: str = ""
    """Of a network that sees slices: that of each triplet from right to left, with spaces between
    them."""
    p_network: float | None = None
    p_tabular: float | None = None
    """p(malignant) by each reader of the set alone, where it has others beside its network."""

    features: Mapping[str, float] = field(default_factory=dict)
    """In a table of their own: `features.py`."""


@dataclass(frozen=True)
class StudyRow:
    """A study, and what a model set says of it. tier: the product's verdict (`run` without
    options). failure: why it could not be run, in a sentence that names no patient."""

    model: str
    study: str
    patient: str
    split: str
    truth: str
    """The most urgent label of its rows: malignant, osteoporotic, none or ""."""
    tier: str = ""
    failure: str = ""
    mask_by: str = ""
    """Who drew the outlines that were classified: "chain" or "expert"."""
    vertebrae: int = 0
    """Known ones wholly in view, T1 to L6; of them found, identified:"""
    found: int = 0
    identified: int = 0
    doubled: int = 0
    invented: int = 0
    seconds: float | None = None
