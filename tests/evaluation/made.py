"""Data for the figures: scores with ties, and truths of one class or both."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

EXACT = 1e-9


@st.composite
def scored(draw: Any, least: int = 2, both: bool = True, scores: int = 1) -> tuple[Any, ...]:
    """truth (n,), and so many p (n,) in 0..1 of few different values, so that there are ties."""
    n = draw(st.integers(least, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = rng.random(n) < draw(st.sampled_from((0.1, 0.5, 0.9)))
    if both:
        truth[0], truth[-1] = True, False
    values = draw(st.sampled_from((2, 5, 1000)))
    lift = draw(st.sampled_from((0.0, 0.3)))
    p = [
        np.clip(np.round((rng.random(n) + lift * truth) * values) / values, 0, 1)
        for _ in range(scores)
    ]
    return truth, *p


@st.composite
def answered(draw: Any, readers: int = 2, categories: int = 3) -> NDArray[np.int_]:
    """(n, readers) categories."""
    n = draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    so = rng.integers(categories, size=(n, 1))
    same = rng.random((n, readers)) < draw(st.sampled_from((0.0, 0.6, 1.0)))
    return np.where(same, so, rng.integers(categories, size=(n, readers)))
