"""What a model set answers about one study, before anybody looks at the labels.

It stays true when labels.csv changes, so it is this that a run keeps and a later one takes up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from vfx_edge.crew.outcomes import Failed as Failed
from vfx_edge.crew.outcomes import Sentence
from vfx_edge.study import NOTHING_KNOWN, Clinical, Level, Tier

CHAIN, EXPERT = "chain", "expert"
"""Who drew the outlines that were classified."""
TO_ONE = 1e-3
"""How far the two probabilities may be beyond one together: they are rounded."""

# What msgspec checks wherever an answer is read back: from a process, a file, a result of others.
LevelName = Annotated[str, Meta(pattern=f"^({'|'.join(Level)})$")]
TierName = Annotated[str, Meta(pattern=f"^({'|'.join(Tier)})?$")]
Word = Annotated[str, Meta(pattern="^[a-z0-9_]*$", max_length=60)]
Share = Annotated[float, Meta(ge=0, le=1)]
Slices = Annotated[tuple[Share, ...], Meta(max_length=64)]
Positive = Annotated[float, Meta(ge=0, le=1e7)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Millimetre = Annotated[float, Meta(ge=-1e6, le=1e6)]
FeatureName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.]*$", max_length=80)]
MOST_FEATURES = 2000
Features = Annotated[Mapping[FeatureName, float], Meta(max_length=MOST_FEATURES)]
"""Numbers of a vertebra by name; what is not defined is not among them."""
LpsMm = tuple[Millimetre, Millimetre, Millimetre]


@dataclass(frozen=True)
class Seen:
    """A vertebra that was found. Millimetres; probabilities and shares 0..1; None and "": not
    told. tier: malignant, osteoporotic, uncertain, not_assessable."""

    level: LevelName
    lps_mm: LpsMm | None = None
    """None where only the name is told."""
    probability: Share | None = None
    whole: bool = True
    """False: only the edge of the scan shows it."""
    anterior_mm: Positive | None = None
    middle_mm: Positive | None = None
    posterior_mm: Positive | None = None
    height_loss: Share | None = None
    suspected: bool | None = None
    p_osteoporotic: Share | None = None
    p_malignant: Share | None = None
    tier: TierName = ""
    reason: Word = ""
    """Why there is no tier, or why it is not assessable."""
    features: Features = field(default_factory=dict)
    """Where they were asked for, or the result has them."""
    p_malignant_slices: Slices = ()
    """Of each triplet of slices, from right to left, where a network sees slices."""
    p_network: Share | None = None
    p_tabular: Share | None = None
    """p(malignant) by each reader of the set, where it has others beside the network."""

    def __post_init__(self) -> None:
        if (self.p_osteoporotic or 0) + (self.p_malignant or 0) > 1 + TO_ONE:
            raise ValueError("its probabilities are more than 1 together")


@dataclass(frozen=True)
class Known:
    """A vertebra whose place the experts' mask or centres tell, and what was found of it: the
    fields of `rows.VertebraRow` of the same names. finding: number of the one in its place."""

    level: LevelName
    whole: bool
    finding: Count | None = None
    distance_mm: Positive | None = None
    named_distance_mm: Positive | None = None
    identified: bool = False
    dice: Share | None = None
    assd_mm: Positive | None = None
    hd_mm: Positive | None = None
    hd95_mm: Positive | None = None
    place_dice: Share | None = None


@dataclass(frozen=True)
class Answer:
    """All of one study. tier: the verdict of `vfx-edge run` without options. failure: why nothing
    was found although the scan could be read. ValueError where it contradicts itself."""

    seen: tuple[Seen, ...]
    known: tuple[Known, ...]
    tier: TierName
    mask_by: Word = CHAIN
    slice_mm: Positive | None = None
    contrast: bool | None = None
    doubled: Count = 0
    invented: Count = 0
    seconds: Positive | None = None
    failure: Sentence = ""

    def __post_init__(self) -> None:
        if any(one.finding is not None and one.finding >= len(self.seen) for one in self.known):
            raise ValueError("a known vertebra names a finding that is not there")


Outcome = Answer | Failed


@dataclass(frozen=True)
class Task:
    """A study, as a process that analyses it is told of it. result: a `result.json` that takes
    the place of a run; its masks lie beside it. perturbation: name of a way to make the scan anew
    (`perturb.py`) before anything else; "": as it was scanned. clinical: of the patient."""

    path: Path
    mask: Path | None = None
    centres: Path | None = None
    result: Path | None = None
    perturbation: str = ""
    clinical: Clinical = NOTHING_KNOWN

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What the answer rests on besides the model set."""
        return tuple(p for name in PATHS if (p := getattr(self, name)) is not None)


PATHS = ("path", "mask", "centres", "result")
"""The fields of a task that are files or folders."""
