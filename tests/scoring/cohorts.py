"""Rows of evaluations that never ran: the study's counts, and a random cohort."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vfx_edge.scoring.rows import StudyRow, VertebraRow

ONE, TWO = "approach 1", "approach 2"
# (malignant, osteoporotic) of Foreman et al. 2024: cases; forced right by approach 1; by the tiers
# of approach 3 right, wrong, uncertain with p ≥ 0.5, uncertain below. Those make approach 2.
COUNTS = {
    "test": {"cases": (49, 37), ONE: (38, 32), "right": (34, 26), "wrong": (2, 4),
             "high": (6, 0), "low": (7, 7)},
    "external": {"cases": (35, 30), ONE: (26, 20), "right": (25, 14), "wrong": (4, 7),
                 "high": (3, 2), "low": (3, 7)},
}  # fmt: skip
# Right calls of the readers with 2, 4 and 7 years: balanced accuracy 0.69, 0.71, 0.86 and
# 0.70, 0.71, 0.71.
READERS = {
    "2 years": {"test": (33, 26), "external": (23, 22)},
    "4 years": {"test": (35, 26), "external": (24, 22)},
    "7 years": {"test": (42, 32), "external": (25, 21)},
}
LABELS = ("malignant", "osteoporotic")
LEVELS = ("T7", "T11", "T12", "L1", "L3")


def study_rows() -> tuple[list[VertebraRow], list[StudyRow]]:
    """151 patients, one fracture each, whose counts are the study's; approach 2 first."""
    vertebrae = [row for model in (TWO, ONE) for split in COUNTS for row in _rows(model, split)]
    studies = [
        StudyRow(row.model, row.study, row.patient, row.split, row.label, row.tier, "", "expert")
        for row in vertebrae
    ]
    return vertebrae, studies


def _rows(model: str, split: str) -> Iterator[VertebraRow]:
    counts = COUNTS[split]
    for side, label in enumerate(LABELS):
        answers = _two(counts, side) if model == TWO else _one(counts, side)
        for number, (p, tier) in enumerate(answers):
            name = f"{split}-{label}-{number:02}"
            yield VertebraRow(
                model, name, f"p-{name}", split, LEVELS[number % 5], label, row=number + 2,
                sex="fm"[number % 2], age=50.0 + number, contrast=number % 3 == 0,
                scanner=f"scanner {number % 3}", slice_mm=1.0, p_malignant=p,
                p_osteoporotic=1 - p, tier=tier, readings=_readings(split, side, number),
            )  # fmt: skip


def _two(counts: dict[str, tuple[int, int]], side: int) -> Iterator[tuple[float, str]]:
    right, wrong = (0.93, 0.02) if side == 0 else (0.02, 0.93)
    parts = {"right": right, "wrong": wrong, "high": 0.7, "low": 0.2}
    for part, p in parts.items():
        tier = "uncertain" if part in ("high", "low") else LABELS[int(p < 0.5)]
        yield from ((p + 0.001 * i / 10, tier) for i in range(counts[part][side]))


def _one(counts: dict[str, tuple[int, int]], side: int) -> Iterator[tuple[float, str]]:
    for number in range(counts["cases"][side]):
        right = number < counts[ONE][side]
        yield (0.8 if right == (side == 0) else 0.3), "uncertain"


def _readings(split: str, side: int, number: int) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, right in READERS.items():
        call = LABELS[side if number < right[split][side] else 1 - side]
        again = (LABELS[1 - LABELS.index(call)] if number % 10 == 9 else call,)
        found[name] = (call, *(again if split == "test" and number < 10 else ()))
    return found


def random_rows(
    cases: int, seed: int = 0, models: tuple[str, ...] = ("ours", "theirs"), per_patient: int = 2
) -> tuple[list[VertebraRow], list[StudyRow]]:
    """A cohort with places, outlines, heights, failures and a reader with gaps."""
    rng = np.random.default_rng(seed)
    vertebrae, studies = [], []
    for number in range(cases):
        call = ("malignant", "uncertain", "osteoporotic", "")[int(rng.integers(4))]
        base = VertebraRow(
            "", f"s{number // per_patient}", f"p{number // per_patient}", "test",
            ("T6", "T12", "L1", "L4")[number % 4],
            ("malignant", "osteoporotic", "intact", "intact_lesion")[int(rng.integers(4))],
            row=number + 2, genant=int(rng.integers(4)), sex=("f", "m", "")[int(rng.integers(3))],
            age=float(rng.integers(40, 95)), slice_mm=float(rng.uniform(0.6, 4)), whole=True,
            readings={"anna": (call,)} if call else {},
        )  # fmt: skip
        for model in models:
            vertebrae.append(_random_row(replace(base, model=model), rng))
    for model in models:
        for number in range(-(-cases // per_patient)):
            failure = "its slices can't be put in order; send it again." if number == 3 else ""
            studies.append(
                StudyRow(model, f"s{number}", f"p{number}", "test", "malignant", "uncertain",
                         failure, invented=number % 5 == 0)
            )  # fmt: skip
    return vertebrae, studies


def _random_row(base: VertebraRow, rng: np.random.Generator) -> VertebraRow:
    p = float(rng.beta(3, 1.5) if base.label == "malignant" else rng.beta(1.5, 3))
    tier = "malignant" if p >= 0.85 else "osteoporotic" if p <= 0.3 else "uncertain"
    if rng.random() < 0.1:
        return replace(base, identified=False, dice=0.0, reason="not_found")
    return replace(
        base, called=base.level, distance_mm=2.0, named_distance_mm=2.0, identified=True,
        dice=float(rng.uniform(0.8, 0.95)), place_dice=0.9, assd_mm=0.7, hd_mm=5.0, hd95_mm=2.0,
        height_loss=float(rng.uniform(0, 0.5)), suspected=bool(rng.random() < 0.6),
        p_malignant=p, p_osteoporotic=1 - p, tier=tier,
    )  # fmt: skip
