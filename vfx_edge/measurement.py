"""What was measured of a vertebra: nouns of `study`, which has them too."""

from dataclasses import dataclass

from vfx_edge.image.image import Point


@dataclass(frozen=True)
class Heights:
    """Heights of the vertebral body in mm, and where they were taken.

    Each landmark pair is (upper endplate, lower endplate) in LPS mm, for drawing.
    """

    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    landmarks_lps_mm: tuple[tuple[Point, Point], ...] = ()


@dataclass(frozen=True)
class Detection:
    """What the optional network "detector" says of a vertebra, whatever its heights."""

    p_fractured: float
    suspected: bool
    """Whether the probability reaches the manifest's threshold."""


@dataclass(frozen=True)
class Measurement:
    """Heights and what they mean, None where it could not be told; and a network's word beside
    them, where the model set has one for it."""

    heights: Heights | None
    height_loss: float | None
    """0..1, the largest loss against the vertebra's own and its neighbours' heights."""
    genant_grade: int | None
    suspected_by_heights: bool | None
    reason: str | None = None
    """Why a field is None: truncated, spacing_too_coarse, low_confidence, metal, …"""
    height_loss_range: tuple[float, float] | None = None
    """What `height_loss` may as well be, 0..1 (a 90 % interval); None without a loss."""
    genant_range: tuple[int, int] | None = None
    """The lowest and the highest grade in that interval."""
    detection: Detection | None = None
    """None where no network was asked whether there is a fracture."""

    @property
    def suspected_fracture(self) -> bool | None:
        """True if the heights or the network say so; else what the heights say: a network that
        sees no fracture does not stand in for heights that could not be read."""
        found = self.detection is not None and self.detection.suspected
        return True if found else self.suspected_by_heights

    @property
    def grade_words(self) -> str | None:
        """ "1 (0–2)": the grade, and those that it may as well be; None without a grade."""
        if self.genant_grade is None:
            return None
        low, high = self.genant_range or (0, 0)
        return f"{self.genant_grade}" + (f" ({low}–{high})" if low < high else "")
