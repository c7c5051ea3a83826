"""Figures of evaluation.json in words, for its page."""

from collections.abc import Iterator, Mapping
from typing import Any

from vfx_edge.scoring.contradictions import KEPT, LOST
from vfx_edge.scoring.shares import Json

NO_CASES = (
    "No vertebra is labelled malignant or osteoporotic, so that the cause of a fracture can't be "
    "scored."
)
NO_TIERS = "It has probabilities and no tiers: nothing is uncertain, nothing told apart."
MOST_DISPUTED = 30
"""Answers against the label that the page shows."""
DASH, NARROW = "–", "\N{NO-BREAK SPACE}"
SHARES = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
TITLES: Mapping[str, str] = {
    "accuracy": "accuracy", "sensitivity": "sensitivity", "specificity": "specificity",
    "ppv": "PPV", "npv": "NPV", "balanced_accuracy": "balanced accuracy", "auc": "AUC",
}  # fmt: skip
SETS: Mapping[str, str] = {
    "": "All cases", "test": "Test set", "external": "External test set",
}  # fmt: skip
KINDS: Mapping[str, str] = {
    "level_group": "Part of the spine", "level": "Level", "sex": "Sex", "age": "Age",
    "contrast": "Contrast", "scanner": "Scanner", "slice_thickness": "Slice thickness",
    "gold_standard": "Gold standard",
}  # fmt: skip


def percent(found: Json) -> str:
    """As in "91 %"; a share that is no whole percent of few cases is still rounded."""
    return DASH if found["value"] is None else f"{100 * found['value']:.0f}{NARROW}%"


def decimal(value: float | None, places: int = 2) -> str:
    """With a minus sign, which a rounded zero has none of."""
    if value is None:
        return DASH
    return f"{round(value, places) or 0.0:.{places}f}".replace("-", "−")


def cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"


def interval(found: Json, name: str = "accuracy") -> str:
    """As in "82–96" in percent, "0.83–0.97" for what is no share, "" where there is none."""
    if found["low"] is None or found["high"] is None:
        return ""
    if name in SHARES:
        return f"{100 * found['low']:.0f}–{100 * found['high']:.0f}"
    low, high = decimal(found["low"]), decimal(found["high"])
    return f"{low} to {high}" if "−" in low + high else f"{low}–{high}"


def of(found: Json) -> str:
    """As in "60 of 66", or "66 cases" where the figure is no share of them."""
    if found["of"] is None:
        return ""
    return cases(found["of"]) if found["count"] is None else f"{found['count']} of {found['of']}"


def told(found: Json) -> str:
    """As in "60 of 66, 91 % (82–96 %)"."""
    ends = interval(found)
    share = f"{percent(found)} ({ends}{NARROW}%)" if ends else percent(found)
    return f"{of(found)}, {share}"


def p_value(value: float | None) -> str:
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def headline(model: Json, name: str) -> list[str]:
    """What the figures say of one model set, in short."""
    said, seen = model["classification"], model["detection"]
    named = f"Vertebrae in view, named right: {told(seen['id_rate_interval'])}."
    before = [named] if seen["vertebrae"] else []
    if not said["n"]:
        return before
    if said["unanswered"].get("no_tier") == said["n"]:
        alone = said["approaches"][name]["accuracy"]
        return [f"Malignant from p 0.5 on, right: {told(alone)}.", NO_TIERS, *before]
    apart = said["approaches"][f"{name}, told apart"]["accuracy"]
    return [
        f"Told apart, and right: {told(apart)}." if apart["of"] else "No fracture was told apart.",
        *_beside(said, bool(apart["of"]), said["approaches"][name]["accuracy"]),
        *before,
    ]


def _beside(said: Json, told_apart: bool, forced: Json) -> Iterator[str]:
    if said["share_uncertain"]["of"]:
        yield f"Uncertain, which leads to an MRI: {told(said['share_uncertain'])}."
    missed = said["malignant_called_osteoporotic"]
    if told_apart and missed["of"]:
        yield f"Malignant, but called osteoporotic: {told(missed)}."
    if said["share_unanswered"]["count"]:
        yield f"Without an answer: {told(said['share_unanswered'])}."
    if forced["of"]:
        yield f"Forced to answer without a third tier, right: {told(forced)}."


def contradiction(one: Json) -> str:
    """What is said against a label: of the scoring's `contradictions`."""
    if one["says"] in (LOST, KEPT):
        share = f"{100 * one['height_loss']:.0f}{NARROW}%"
        return f"{share} of its height lost" if one["says"] == LOST else f"only {share} lost"
    p = one["p_malignant"]
    return f"{one['says']}" + ("" if p is None else f", p(malignant) {decimal(p)}")


def missing(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Where a figure is null, and why; subgroups apart, which say so in their own table."""
    if isinstance(found, list):
        for one in found:
            yield from missing(one, path)
    if not isinstance(found, dict):
        return
    named = (*path, *(str(found[key]) for key in ("reader", "one", "other") if found.get(key)))
    if isinstance(why := found.get("why"), str):
        yield ", ".join(named), why
    for key, value in found.items():
        if key not in ("subgroups", "why"):
            yield from missing(value, (*named, _title(key)))


def _title(key: str) -> str:
    return TITLES.get(key, key.replace("_", " "))
