"""Numbers that are Hounsfield units of a body, and numbers that can't be."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vfx_edge.image.tissue import not_hounsfield

Numbers = NDArray[np.float32]
SHARES = {"fat": 0.15, "soft": 0.25, "organs": 0.05, "bone": 0.08, "lung": 0.12, "air": 0.35}


def body(**other: float) -> Numbers:
    """Voxels of a body; other: shares that differ from the usual."""
    rng = np.random.default_rng(3)
    share = {**SHARES, **other}
    drawn = {
        "fat": rng.normal(-103, 18, 40_000),
        "soft": rng.normal(48, 22, 40_000),
        "organs": rng.normal(125, 25, 40_000),
        "bone": 100 + rng.exponential(150, 40_000),
        "lung": rng.normal(-850, 60, 40_000),
        "air": rng.normal(-1000, 8, 40_000),
    }
    parts = [drawn[name][: int(40_000 * part)] for name, part in share.items()]
    return np.concatenate(parts).clip(-1024, 3071).astype(np.float32)


@pytest.mark.parametrize(
    "hu",
    [body(), body(fat=0.02), body(fat=0.45), body(organs=0.2), body(air=0.0, lung=0.0, bone=0.25)],
    ids=["usual", "lean", "obese", "contrast", "crop about the spine"],
)
def test_bodies_of_all_kinds_pass(hu: Numbers) -> None:
    assert not_hounsfield(hu) is None
    assert not_hounsfield(hu + 30) is None
    assert not_hounsfield(hu - 30) is None


@pytest.mark.parametrize(
    ("hu", "why"),
    [
        (body() + 200, "200 HU too high"),
        (body(air=0.0, lung=0.0) + 200, "HU too high"),
        (np.maximum(body() - 200, -1024), "HU too low"),
        (body() + 1024, "denser than 900 HU"),
        (np.maximum(body() - 1024, -1024), "hardly any of it is tissue"),
        ((body() + 1024) * 2 - 1024, "denser than 900 HU"),
        (-body(), "denser than 900 HU"),
        (np.maximum(body(), -850), "air has -850 HU"),
    ],
)
def test_numbers_that_lie_elsewhere_are_told(hu: Numbers, why: str) -> None:
    assert why in (not_hounsfield(hu) or "")
