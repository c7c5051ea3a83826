"""The names that several parts share, each list once: vertebrae, stages, reasons, roles …"""

from enum import StrEnum
from functools import total_ordering
from typing import Literal, get_args


@total_ordering
class Level(StrEnum):
    """A vertebra's name; ordered from head to feet. `verse` is its VerSe label."""

    C1 = "C1"
    C2 = "C2"
    C3 = "C3"
    C4 = "C4"
    C5 = "C5"
    C6 = "C6"
    C7 = "C7"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"
    T5 = "T5"
    T6 = "T6"
    T7 = "T7"
    T8 = "T8"
    T9 = "T9"
    T10 = "T10"
    T11 = "T11"
    T12 = "T12"
    T13 = "T13"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    L6 = "L6"

    @property
    def rank(self) -> int:
        """0 at C1, growing towards the feet."""
        return _RANK[self]

    @property
    def verse(self) -> int:
        """VerSe label: C1..C7 = 1..7, T1..T12 = 8..19, L1..L5 = 20..24, L6 = 25, T13 = 28."""
        return _VERSE[self]

    @classmethod
    def from_verse(cls, label: int) -> "Level":
        """The level of a VerSe label; KeyError when it names none."""
        return _FROM_VERSE[label]

    def __lt__(self, other: object) -> bool:
        return self.rank < other.rank if isinstance(other, Level) else NotImplemented

    # str brings its own of these, so total_ordering leaves them alone: "T10" would precede "T2".
    def __le__(self, other: object) -> bool:
        return self.rank <= other.rank if isinstance(other, Level) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.rank > other.rank if isinstance(other, Level) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.rank >= other.rank if isinstance(other, Level) else NotImplemented


_RANK = {level: i for i, level in enumerate(Level)}
_VERSE = {
    level: {"T13": 28, "L6": 25}.get(level.value, rank + 1 if rank < 19 else rank)
    for level, rank in _RANK.items()
}
_FROM_VERSE = {label: level for level, label in _VERSE.items()}

SACRUM, COCCYX = 26, 27
"""VerSe labels of what is no vertebra."""


def level_named(text: str) -> Level:
    """ "l1" -> L1; ValueError with a sentence where there is no such vertebra."""
    try:
        return Level(text.strip().upper())
    except ValueError:
        raise ValueError(
            f"there is no vertebra {text.strip()!r}: use C1 to C7, T1 to T13 or L1 to L6"
        ) from None


def level_range(text: str) -> tuple[Level, ...]:
    """ "T1-L5" -> every level from the first to the last; a single level stands for itself.
    ValueError with a sentence."""
    first, dash, last = text.partition("-")
    upper, lower = level_named(first), level_named(last if dash else first)
    if lower < upper:
        raise ValueError(f"{text!r} runs upwards: name the level nearer the head first")
    return tuple(level for level in Level if upper <= level <= lower)


THORACOLUMBAR = tuple(level for level in Level if Level.T1 <= level <= Level.L6)

TRANSITIONAL = (Level.T13, Level.L6)
PLAIN = tuple(level for level in Level if level not in TRANSITIONAL)
"""The usual spine: C1 to C7, T1 to T12, L1 to L5."""
T1_TO_L5 = tuple(level for level in PLAIN if level >= Level.T1)

Role = Literal[
    "locator", "finder", "labeller", "segmenter", "detector", "classifier", "tabular", "fusion"
]
ROLES: tuple[Role, ...] = get_args(Role)
"""What the chain's networks do, in its order."""
ROW_ROLES: tuple[Role, ...] = ("tabular", "fusion")
"""They see a row of numbers, no image."""
OPTIONAL_ROLES: tuple[Role, ...] = ("detector", *ROW_ROLES)
SELDOM_ASKED: tuple[Role, ...] = ("classifier", *ROW_ROLES)
"""Where nothing is suspected they have nothing to do."""
NEEDED_ROLES = tuple(role for role in ROLES if role not in OPTIONAL_ROLES)
"""Without one of these a model set is incomplete."""

IntendedUse = Literal["demonstration", "research", "clinical"]
INTENDED_USES: tuple[IntendedUse, ...] = get_args(IntendedUse)
"""Of a model set, from the most to the least restricted."""

Precision = Literal["fp32", "tf32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

Stored = Literal["fp32", "fp16", "int8"]
"""What a network's file computes in by itself, whatever it is asked for: int8 where it holds
quantised operations, fp16 where it was saved so."""

BACKENDS = {
    "tensorrt-rtx": "vfx_edge.backends.tensorrt_rtx_backend:TensorRtRtxBackend",
    "tensorrt": "vfx_edge.backends.onnxruntime_gpu:TensorRtBackend",
    "cuda": "vfx_edge.backends.onnxruntime_gpu:CudaBackend",
    "openvino": "vfx_edge.backends.openvino_backend:OpenVinoBackend",
    "cpu": "vfx_edge.backends.onnxruntime_backend:CpuBackend",
}
"""Name -> class of `vfx_edge.backends.Backend`'s kind, in the order in which `auto` tries them."""
SERVED = {"kserve": "vfx_edge.backends.kserve_backend:KServeBackend"}
"""Those that run elsewhere. `auto` never takes one: nothing leaves this machine unasked."""
ON_CPU = ("openvino", "cpu")
"""Those that use no card."""

STAGES = ("read", "locate", "label", "segment", "measure", "classify", "write")
"""What of a run is timed, in its order."""
STAGES_ON_REQUEST = ("explain",)
"""Timed where it was asked for."""
LANGUAGES = ("en", "de")
"""Of the report and the DICOM results."""


class Reason(StrEnum):
    """Why something could not be told of a vertebra."""

    TRUNCATED = "truncated"
    METAL = "metal"
    LOW_CONFIDENCE = "low_confidence"
    IMPLAUSIBLE_SPACING = "implausible_spacing"
    IMPLAUSIBLE_VALUES = "implausible_values"
    IMPLAUSIBLE_SLICES = "implausible_slices"
    IMPLAUSIBLE_SPINE = "implausible_spine"
    SPACING_TOO_COARSE = "spacing_too_coarse"
    NO_NORM_FOR_LEVEL = "no_norm_for_level"
    NOT_OUTLINED = "not_outlined"
    NOT_FOUND = "not_found"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    LEVEL_OUTSIDE_MODEL_RANGE = "level_outside_model_range"
    NOT_REQUESTED = "not_requested"
    NO_FRACTURE_SUSPECTED = "no_fracture_suspected"
    INTACT = "intact"
    NO_NEIGHBOURS = "no_neighbours"


SIGNS: dict[str, str] = {
    "convexity": "mm",
    "cortical_gap": "mm2",
    "paravertebral_tissue": "ml",
    "canal_tissue": "ml",
    "gas": "ml",
    "pedicle_left": "%",
    "pedicle_right": "%",
    "core_density": "HU",
    "core_sclerotic": "%",
    "core_lytic": "%",
    "fracture_line": "HU",
    "fracture_line_tilt": "deg",
}
"""Signs of a vertebra that are measured, in the order of every list -> unit."""

IMPLAUSIBLE = tuple(reason for reason in Reason if reason.startswith("implausible"))
"""The scan itself can't be right: no network is asked what it thinks of a vertebra."""
