"""What to synthesise: immutable descriptions, checked on construction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from vfx_edge.phantom.levels import NUMBER_OF, column_levels

FractureKind = Literal["wedge", "biconcave", "crush"]
LesionKind = Literal["lytic", "sclerotic", "mixed"]
Contrast = Literal["none", "arterial", "venous"]
Arms = Literal["up", "down"]
SignKind = Literal["convexity", "gas", "mass", "canal", "gap", "pedicle", "core", "line"]
Side = Literal["left", "right"]


def _check(ok: bool, sentence: str) -> None:
    if not ok:
        raise ValueError(sentence)


def check_level(level: str) -> None:
    """ValueError when there is no such level."""
    _check(level in NUMBER_OF, f"unknown level {level!r}: use C1-C7, T1-T13 or L1-L6")


def _check_choice(value: str, choices: tuple[str, ...], what: str) -> None:
    _check(value in choices, f"unknown {what} {value!r}: use {', '.join(choices)}")


@dataclass(frozen=True)
class FractureSpec:
    """One broken vertebra; ``loss`` is the fraction of height lost where worst."""

    level: str
    kind: FractureKind = "wedge"
    loss: float = 0.3
    recent: bool = True

    def __post_init__(self) -> None:
        check_level(self.level)
        _check_choice(self.kind, get_args(FractureKind), "fracture kind")
        _check(0.0 < self.loss <= 0.85, f"loss {self.loss} is not within 0 to 0.85")
        _check(self.level not in ("C1", "C2"), "fractures are modelled from C3 down only")


@dataclass(frozen=True)
class LesionSpec:
    """One malignant lesion of a vertebral body; ``extent`` is its share, 0..1."""

    level: str
    kind: LesionKind = "lytic"
    extent: float = 0.5
    destroys_cortex: bool = True
    destroys_pedicle: bool = False
    soft_tissue_mass: bool = False
    convex_posterior_border: bool = False

    def __post_init__(self) -> None:
        check_level(self.level)
        _check_choice(self.kind, get_args(LesionKind), "lesion kind")
        _check(0.0 < self.extent <= 1.0, f"lesion extent {self.extent} is not within 0 to 1")
        _check(self.level not in ("C1", "C2"), "lesions are modelled from C3 down only")


@dataclass(frozen=True)
class SignSpec:
    """One sign by itself, of known size: what a measurement of it is held against.

    size: ``convexity`` mm that the back wall is pushed out in the middle; ``gas`` ml within the
    body; ``mass`` ml of soft tissue at its ``side``, ``canal`` ml in the canal; ``gap`` mm2 of
    cortex missing in the side wall; ``pedicle`` 1 all of it, less a smaller hole; ``core`` and
    ``line`` HU more (or less) in the marrow, and in a band 2 mm thin.
    """

    level: str
    kind: SignKind
    size: float
    side: Side = "left"

    def __post_init__(self) -> None:
        check_level(self.level)
        _check_choice(self.kind, get_args(SignKind), "sign")
        _check_choice(self.side, get_args(Side), "side")
        most = 2000.0 if self.kind in ("core", "line") else 400.0 if self.kind == "gap" else 60.0
        least = -most if self.kind in ("core", "line") else 0.0
        _check(least <= self.size <= most, f"{self.kind} {self.size} is not within its bounds")
        _check(self.level not in ("C1", "C2"), "signs are modelled from C3 down only")


MOST_SLICES = 5000


@dataclass(frozen=True)
class PhantomSpec:
    """One synthetic examination.

    ``levels`` are the first and last vertebra in view and set the scan range
    together with ``margin_mm`` above and below (negative cuts into them);
    ``slices`` overrides that with a fixed number centred on the range.
    ``matrix`` is rows (y), columns (x). ``noise_hu`` holds for a path of 300 mm
    through water; thicker sections are noisier, as in a real scanner. ``sharpness`` goes
    from -1 (smooth soft-tissue kernel) to 1 (edge-enhancing bone kernel). ``bone_density`` is
    1 for a young adult, about 0.4 for osteoporosis. ``randomness`` scales all
    anatomical variation; 0 is the canonical adult.
    """

    levels: tuple[str, str] = ("T1", "L5")
    slices: int | None = None
    spacing_mm: float = 1.5
    pixel_mm: float = 1.5
    matrix: tuple[int, int] = (256, 256)
    fractures: tuple[FractureSpec, ...] = ()
    lesions: tuple[LesionSpec, ...] = ()
    signs: tuple[SignSpec, ...] = ()
    thoracic_count: int = 12
    lumbar_count: int = 5
    scoliosis_deg: float = 0.0
    kyphosis_scale: float = 1.0
    lordosis_scale: float = 1.0
    stature: float = 1.0
    body_size: float = 1.0
    bone_density: float = 0.75
    degeneration: float = 0.2
    contrast: Contrast = "none"
    arms: Arms = "up"
    metal: tuple[str, ...] = ()
    noise_hu: float = 12.0
    slice_thickness_mm: float | None = None
    sharpness: float = 0.0
    margin_mm: tuple[float, float] = (12.0, 12.0)
    fov_shift_mm: tuple[float, float] = (0.0, 0.0)
    circular_fov: bool = False
    randomness: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_anatomy()
        self._check_scan()

    def _check_anatomy(self) -> None:
        _check(self.thoracic_count in (11, 12, 13), "thoracic_count must be 11, 12 or 13")
        _check(self.lumbar_count in (4, 5, 6), "lumbar_count must be 4, 5 or 6")
        present = column_levels(self.thoracic_count, self.lumbar_count)
        asked = (*self.levels, *self.metal)
        damaged = (*(f.level for f in self.fractures), *(s.level for s in self.lesions))
        damaged += tuple(sign.level for sign in self.signs)
        for level in (*asked, *damaged):
            check_level(level)
            _check(level in present, f"level {level} does not exist in this column")
        _check(
            present.index(self.levels[0]) <= present.index(self.levels[1]),
            f"levels {self.levels[0]}-{self.levels[1]} must run from head to foot",
        )
        broken = [f.level for f in self.fractures]
        _check(len(set(broken)) == len(broken), "one level cannot be fractured twice")
        _check(abs(self.scoliosis_deg) <= 60.0, "scoliosis must be within 60 degrees")

    def _check_scan(self) -> None:
        for size in (self.spacing_mm, self.pixel_mm):
            _check(0.1 <= size <= 50, "voxel sizes must be within 0.1 to 50 mm")
        _check(self.seed >= 0, "seed must not be negative")
        _check((self.slices or 1) <= MOST_SLICES, f"slices must be at most {MOST_SLICES}")
        _check(min(self.matrix) >= 8, "matrix must be at least 8x8")
        _check(self.slices is None or self.slices >= 1, "slices must be at least 1")
        _check(self.noise_hu >= 0, "noise must not be negative")
        _check(-1 <= self.sharpness <= 1, "sharpness must be within -1 to 1")
        _check_choice(self.contrast, get_args(Contrast), "contrast")
        _check_choice(self.arms, get_args(Arms), "arms position")

    def to_json_able(self) -> dict[str, Any]:
        """Plain dictionary of numbers, strings and lists."""
        plain = asdict(self)
        if not self.signs:
            del plain["signs"]
        return plain
