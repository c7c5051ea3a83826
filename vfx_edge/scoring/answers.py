"""What a model set answers about one study, before anybody looks at the labels.

It stays true when labels.csv changes, so it is this that a run keeps and a later one takes up.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from vfx_edge.study import NOTHING_KNOWN, Clinical, Level, Tier

CHAIN, EXPERT = "chain", "expert"
"""Who drew the outlines that were classified."""
TO_ONE = 1e-3
"""How far the two probabilities may be beyond one together: they are rounded."""

# What msgspec checks wherever an answer is read back: from a process, a file, a result of others.
LevelName = Annotated[str, Meta(pattern=f"^({'|'.join(Level)})$")]
TierName = Annotated[str, Meta(pattern=f"^({'|'.join(Tier)})?$")]
Word = Annotated[str, Meta(pattern="^[a-z0-9_]*$", max_length=60)]
MOST_WORDS = 2000
Sentence = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*$", max_length=MOST_WORDS)]
Share = Annotated[float, Meta(ge=0, le=1)]
Slices = Annotated[tuple[Share, ...], Meta(max_length=64)]
Positive = Annotated[float, Meta(ge=0, le=1e7)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Millimetre = Annotated[float, Meta(ge=-1e6, le=1e6)]
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


@dataclass(frozen=True)
class Failed:
    """No answer, for this reason: a sentence that names no patient."""

    reason: str


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
