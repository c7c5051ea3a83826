"""The same figures in parts of the cases: by level, sex, age, contrast, scanner, thickness."""

from collections.abc import Callable, Mapping

import numpy as np

from vfx_edge.scoring.about import About
from vfx_edge.scoring.calls import by_tier, forced
from vfx_edge.scoring.cases import Cases
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.shares import Json, figures, share_uncertain
from vfx_edge.vocabulary import Level

SMALL = 10
"""Fewer cases of one class: such a group shows a direction at most."""
NOT_STATED = "not stated"
MOST_NAMES = 30
"""Groups of one kind, the largest first: a column of free text may hold anything."""


def level_group(row: VertebraRow) -> str:
    rank = Level(row.level).rank if row.level in [*Level] else -1
    if rank < 0:
        return NOT_STATED
    if rank < Level.T1.rank:
        return "C1–C7"
    if rank < Level.T11.rank:
        return "T1–T10"
    return "T11–L1" if rank <= Level.L1.rank else "L2–L6"


def age_group(row: VertebraRow) -> str:
    if row.age is None:
        return NOT_STATED
    if row.age < 50:
        return "below 50 years"
    if row.age >= 80:
        return "80 years and more"
    decade = int(row.age // 10) * 10
    return f"{decade}–{decade + 9} years"


def slice_group(row: VertebraRow) -> str:
    if row.slice_mm is None:
        return NOT_STATED
    if row.slice_mm <= 1.5:
        return "up to 1.5 mm"
    return "1.5 to 3 mm" if row.slice_mm <= 3 else "above 3 mm"


def _contrast(row: VertebraRow) -> str:
    return {None: NOT_STATED, True: "with contrast", False: "without contrast"}[row.contrast]


KINDS: Mapping[str, Callable[[VertebraRow], str]] = {
    "level_group": level_group,
    "level": lambda row: row.level or NOT_STATED,
    "sex": lambda row: row.sex or NOT_STATED,
    "age": age_group,
    "contrast": _contrast,
    "scanner": lambda row: row.scanner or NOT_STATED,
    "slice_thickness": slice_group,
    "gold_standard": lambda row: row.gold_standard or NOT_STATED,
}


def subgroups(cases: Cases, about: About) -> Json:
    """Kind -> its groups, in order; a kind that no case states has none."""
    return {kind: _groups(cases, name_of, about) for kind, name_of in KINDS.items()}


def _groups(cases: Cases, name_of: Callable[[VertebraRow], str], about: About) -> list[Json]:
    names = np.array([name_of(row) for row in cases.rows], dtype=object)
    found = {name: cases.where(names == name) for name in dict.fromkeys(names.tolist())}
    if set(found) <= {NOT_STATED}:
        return []
    largest = sorted(found, key=lambda name: -len(found[name]))[:MOST_NAMES]
    return [_group(name, found[name], about) for name in sorted(largest, key=_place)]


def _place(name: str) -> tuple[bool, float, str]:
    """Levels from head to feet, the rest by name, what is not stated last."""
    first = name.split("–")[0]
    rank = Level(first).rank if first in [*Level] else 0
    order = {"below 50 years": 0, "up to 1.5 mm": 0, "1.5 to 3 mm": 1, "above 3 mm": 2}
    return name == NOT_STATED, rank + order.get(name, 1), name


def _group(name: str, cases: Cases, about: About) -> Json:
    malignant = int(cases.truth.sum())
    return {
        "name": name,
        "n": len(cases),
        "malignant": malignant,
        "osteoporotic": len(cases) - malignant,
        "small": min(malignant, len(cases) - malignant) < SMALL,
        "share_uncertain": share_uncertain(cases, about),
        "forced": figures(forced(cases), about, thorough=False),
        "told_apart": figures(by_tier(cases), about, thorough=False),
    }
