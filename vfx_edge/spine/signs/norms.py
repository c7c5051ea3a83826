"""What intact vertebrae show: limits near the ends that hold 95 % of them, by
`python -m benchmarks signs` (docs/signs.md)."""

from vfx_edge.study import Level

Norm = tuple[float | None, float | None]
"""Lowest and highest; None where the sign has no such limit."""

NORMS: dict[str, Norm] = {
    "convexity": (None, 2.0),
    "cortical_gap": (None, 38.0),
    "paravertebral_tissue": (None, 0.8),
    "canal_tissue": (None, 0.6),
    "gas": (None, 0.1),
    "pedicle_left": (72.0, None),
    "pedicle_right": (72.0, None),
    "core_density": (-60.0, 60.0),
    "core_sclerotic": (None, 25.0),
    "core_lytic": (None, 9.0),
    "fracture_line": (-60.0, 60.0),
    "fracture_line_tilt": (None, None),
}
LUMBAR: dict[str, Norm] = {"paravertebral_tissue": (None, 2.2)}
LOW_THORACIC: dict[str, Norm] = {"paravertebral_tissue": (None, 1.95)}
"""In the place of the above, from L1 down and from T10 down: the psoas and organs lie there."""
FROM_T10 = ("T10", "T11", "T12", "T13")


def norm_of(name: str, level: Level) -> Norm:
    """The sign's norm at this level."""
    if level.value.startswith("L"):
        return LUMBAR.get(name, NORMS[name])
    return LOW_THORACIC.get(name, NORMS[name]) if level.value in FROM_T10 else NORMS[name]
