"""Every knob of the generator."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ComposeOptions:
    """Rates are chances per case unless said otherwise; pairs are ranges drawn from uniformly.

    Lengths in mm, densities in HU.
    """

    spacing_mm: float = 1.5
    # First and last level in view, and how often.
    views: tuple[tuple[str, str, float], ...] = (
        ("C1", "T4", 0.14),
        ("C3", "T8", 0.08),
        ("C7", "L2", 0.16),
        ("T1", "T10", 0.10),
        ("T4", "L3", 0.12),
        ("T9", "L5", 0.16),
        ("T12", "L5", 0.12),
        ("T1", "L5", 0.08),
        ("C1", "L5", 0.04),
    )
    beyond_ends_rate: float = 0.6  # the scan goes on into the skull, or down the sacrum
    wide_field_rate: float = 0.55  # else the field is cut narrowly about the spine
    wide_matrix: tuple[int, int] = (256, 256)
    narrow_mm: tuple[float, float] = (105.0, 210.0)
    largest_voxels: int = 22_000_000  # a tall scan gets a narrower field
    # Shapes
    same_donor: float = 0.8  # chance, per level, that the next one comes from the same patient
    size_jitter: float = 0.03
    warp_mm: tuple[float, float] = (0.2, 1.1)
    warp_grain_mm: float = 17.0
    joint_gap_mm: tuple[float, float] = (0.7, 1.7)
    bridge_rate: float = 0.04  # per disc: bone in front joins two bodies
    osteophyte_rate: float = 0.5
    osteophyte_mm: tuple[float, float] = (0.5, 4.0)
    # The column
    scoliosis_rate: float = 0.18
    scoliosis_deg: tuple[float, float] = (10.0, 48.0)
    # Damage
    fracture_rate: float = 0.3
    lesion_rate: float = 0.2
    transition_rate: float = 0.15
    screw_rate: float = 0.06
    wire_rate: float = 0.06
    # Tissue
    cancellous_hu: tuple[float, float] = (35.0, 260.0)
    # Scanner
    thick_slice_mm: tuple[float, ...] = (0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
    noise_hu: tuple[float, float] = (6.0, 60.0)
    streak_rate: float = 0.12
    circle_rate: float = 0.15
    random_contrast_rate: float = 0.2
