"""What intact vertebrae show: of each sign the range that `python -m benchmarks signs` found."""

NORMS: dict[str, tuple[float | None, float | None]] = {
    "convexity": (None, 2.0),
    "cortical_gap": (None, 20.0),
    "paravertebral_tissue": (None, 4.0),
    "canal_tissue": (None, 0.4),
    "gas": (None, 0.05),
    "pedicle_left": (60.0, None),
    "pedicle_right": (60.0, None),
    "core_density": (-60.0, 60.0),
    "core_sclerotic": (None, 15.0),
    "core_lytic": (None, 15.0),
    "fracture_line": (-60.0, 60.0),
    "fracture_line_tilt": (None, None),
}
"""Name -> lowest and highest; None where the sign has no such limit."""
