"""What a model set answers about one study, before anybody looks at the labels.

It stays true when labels.csv changes, so it is this that a run keeps and a later one takes up.
"""

from dataclasses import dataclass
from pathlib import Path

from vfx_edge.study import Point

CHAIN, EXPERT = "chain", "expert"
"""Who drew the outlines that were classified."""


@dataclass(frozen=True)
class Seen:
    """A vertebra that was found. Millimetres; probabilities and shares 0..1; None and "": not
    told. tier: malignant, osteoporotic, uncertain, not_assessable."""

    level: str
    lps_mm: Point | None = None
    """None where only the name is told."""
    probability: float | None = None
    whole: bool = True
    """False: only the edge of the scan shows it."""
    anterior_mm: float | None = None
    middle_mm: float | None = None
    posterior_mm: float | None = None
    height_loss: float | None = None
    suspected: bool | None = None
    p_osteoporotic: float | None = None
    p_malignant: float | None = None
    tier: str = ""
    reason: str = ""
    """Why there is no tier, or why it is not assessable."""


@dataclass(frozen=True)
class Known:
    """A vertebra whose place the experts' mask or centres tell, and what was found of it: the
    fields of `rows.VertebraRow` of the same names. finding: number of the one in its place."""

    level: str
    whole: bool
    finding: int | None = None
    distance_mm: float | None = None
    named_distance_mm: float | None = None
    identified: bool = False
    dice: float | None = None
    assd_mm: float | None = None
    hd_mm: float | None = None
    hd95_mm: float | None = None
    place_dice: float | None = None


@dataclass(frozen=True)
class Answer:
    """All of one study. tier: the verdict of `vfx-edge run` without options. failure: why nothing
    was found although the scan could be read."""

    seen: tuple[Seen, ...]
    known: tuple[Known, ...]
    tier: str
    mask_by: str = CHAIN
    slice_mm: float | None = None
    contrast: bool | None = None
    doubled: int = 0
    invented: int = 0
    seconds: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class Failed:
    """No answer, for this reason: a sentence that names no patient."""

    reason: str


Outcome = Answer | Failed


@dataclass(frozen=True)
class Task:
    """A study, as a process that analyses it is told of it. result: a `result.json` that takes
    the place of a run; its masks lie beside it. perturbation: name of a way to make the scan anew
    (`perturb.py`) before anything else; "": as it was scanned."""

    path: Path
    mask: Path | None = None
    centres: Path | None = None
    result: Path | None = None
    perturbation: str = ""

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What the answer rests on besides the model set."""
        return tuple(p for name in PATHS if (p := getattr(self, name)) is not None)


PATHS = ("path", "mask", "centres", "result")
"""The fields of a task that are files or folders."""
