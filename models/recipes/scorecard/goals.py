"""What was wanted, what was reached, and whether that is enough: one line for each figure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vfx_edge.evaluation.calibration import Bin, expected_error

Card = dict[str, Any]
Row = dict[str, Any]

MET, MISSED = "met", "**MISSED**"
SEEN = "not shown: trained on it"
UNKNOWN = "not measured"
# What the classifier's thresholds are chosen for (classifier/calibration.py, which needs PyTorch).
SENSITIVITY, UNCERTAIN = 0.95, 0.20


@dataclass(frozen=True)
class Goal:
    """One figure. state: MET, MISSED, SEEN (reached, but on data of the training) or UNKNOWN."""

    figure: str
    wanted: str
    reached: str
    state: str


def share(part: float, whole: float) -> float | None:
    """part / whole, None where there is nothing to share."""
    return part / whole if whole else None


def percent(part: int, whole: int) -> str:
    """ "98.1 % (52 of 53)"."""
    value = share(part, whole)
    return "–" if value is None else f"{100 * value:.1f} % ({part} of {whole})"


def goals(card: Card) -> list[Goal]:
    """Every figure that was asked for, in the order of the card's parts; a part that was not
    scored is one line that says so."""
    parts: dict[str, tuple[str, Callable[[Any], Iterator[Goal]]]] = {
        "real": ("real CT", _real),
        "names": ("names under cuts", _names),
        "masks": ("outlines on real CT", _masks),
        "phantoms": ("phantoms", _phantoms),
        "classifier": ("classifier", _classifier),
        "set": ("the set's files", _set),
    }
    return [
        goal
        for part, (name, of) in parts.items()
        for goal in (of(card[part]) if part in card else [Goal(name, "", "–", UNKNOWN)])
    ]


def _goal(
    figure: str, wanted: str, reached: str, ok: bool | None, trained_on: bool = False
) -> Goal:
    if ok is None:
        return Goal(figure, wanted, reached, UNKNOWN)
    if not ok:
        return Goal(figure, wanted, reached, MISSED)
    return Goal(figure, wanted, reached, SEEN if trained_on else MET)


def _at_least(figure: str, low: float, part: int, whole: int, trained_on: bool = False) -> Goal:
    value = share(part, whole)
    ok = None if value is None else value >= low
    return _goal(figure, f"≥ {100 * low:.0f} %", percent(part, whole), ok, trained_on)


def _at_most(figure: str, high: float, part: int, whole: int, trained_on: bool = False) -> Goal:
    value = share(part, whole)
    ok = None if value is None else value <= high
    return _goal(figure, f"≤ {100 * high:.0f} %", percent(part, whole), ok, trained_on)


def _both(row: Row, key: str) -> int:
    """Trunk and neck together."""
    return int(row["trunk"][key] + row["neck"][key])


def _real(part: Any) -> Iterator[Goal]:
    rows, whole, seen = part["rows"], part["total"], part["total"]["trained_on"]
    yield _at_least(
        "real CT: vertebrae wholly in view, C2 to L5, found within 10 mm",
        0.97, _both(whole, "near"), _both(whole, "whole"), seen,
    )  # fmt: skip
    anchored = [r for r in rows if r["anchored"]]
    yield _at_least(
        "real CT: of these, level right where C2, T1, T12 or the sacrum is in view",
        0.95, sum(_both(r, "right") for r in anchored), sum(_both(r, "near") for r in anchored),
        seen,
    )  # fmt: skip
    yield _at_least(
        "real CT: studies of which every level is right, of these",
        0.90, sum(_both(r, "right") == _both(r, "near") for r in anchored), len(anchored), seen,
    )  # fmt: skip
    doubled, invented = whole["trunk"]["doubled"], whole["trunk"]["invented"]
    yield _goal(
        "real CT: vertebrae doubled or invented", "none",
        f"{doubled} doubled, {invented} invented", doubled + invented == 0, seen,
    )  # fmt: skip
    yield _at_most(
        "real CT: intact vertebrae suspected",
        0.03, whole["intact_suspected"], whole["intact_judged"], seen,
    )  # fmt: skip
    asked = [r for r in rows if not r["coarse"]]
    yield _at_most(
        "real CT: T1 to L5 wholly in view and not judged (slices over 6 mm aside)", 0.05,
        sum(sum(r["not_judged"].values()) for r in asked),
        sum(r["trunk"]["near_20"] for r in asked),
        seen,
    )  # fmt: skip


def _names(part: Any) -> Iterator[Goal]:
    rows, cuts = part["rows"], part["total"]["cuts"]
    seen = any(row["trained_on"] for row in rows)
    yield _at_least(
        "random cuts of real CT: level right, or named as an alternative",
        0.90, cuts["named"], cuts["vertebrae"], seen,
    )  # fmt: skip
    # what a look counts for was fitted on these CTs: no proof for others
    error = expected_error([Bin(**one) for one in part["total"]["bins"]])
    yield _goal(
        "random cuts: expected calibration error of the stated certainty", "≤ 0.05",
        "–" if error is None else f"{error:.3f}", None if error is None else error <= 0.05, True,
    )  # fmt: skip
    wrong = sum(row["scan"]["wrong_though_sure"] for row in rows)
    yield _goal(
        "whole scans: wrong level, stated with 0.9 or more", "none", str(wrong), wrong == 0, seen
    )
    yield _at_least(
        "random cuts: vertebrae that two cuts share and both call the same",
        0.97, sum(r["agreement"]["same"] for r in rows),
        sum(r["agreement"]["shared"] for r in rows), seen,
    )  # fmt: skip


def _masks(part: Any) -> Iterator[Goal]:
    known = [part[key] for key in ("verse005", "verse008") if key in part]
    if dice := [r["dice"] for of in known for r in of["rows"]]:
        mean = sum(dice) / len(dice)
        yield _goal(
            "`verse005`, `verse008`: mean Dice", "≥ 0.90", f"{mean:.3f}, worst {min(dice):.3f}",
            mean >= 0.90, any(of["trained_on"] for of in known),
        )  # fmt: skip
    wanted = {"abdomen": ("Dice of every vertebra", 0.85), "crop": ("segmenter alone, Dice", 0.88)}
    for key, (what, low) in wanted.items():
        rows = part[key]["rows"]
        worst = min(rows, key=lambda r: r["dice"])
        mean = sum(r["dice"] for r in rows) / len(rows)
        reached = f"{worst['dice']:.3f} ({worst['level']})"
        if len(rows) > 1:
            reached = f"worst {reached}, mean {mean:.3f}"
        yield _goal(
            f"`{part[key]['name']}`: {what}", f"≥ {low:.2f}", reached, worst["dice"] >= low,
            part[key]["trained_on"],
        )  # fmt: skip


def _phantoms(part: Any) -> Iterator[Goal]:
    rows = {r["key"]: r for r in part["rows"]}
    for key, high in (("plain", 1.0), ("3mm", 2.0)):
        row = rows[key]
        error = share(row["height_mm"], row["heights"])
        yield _goal(
            f"phantoms, {row['title']}: mean absolute error of a height", f"≤ {high:.1f} mm",
            "–" if error is None else f"{error:.2f} mm", None if error is None else error <= high,
        )  # fmt: skip
    broken = [rows["fractures"], rows["fractures_3mm"]]
    yield _at_least(
        "phantoms: fractures of grade 2 and 3 suspected",
        0.95, sum(r["broken_suspected"] for r in broken), sum(r["broken"] for r in broken),
    )  # fmt: skip
    every = [r for r in part["rows"] if r["key"] != "composites"]
    yield _at_most(
        "phantoms: intact vertebrae suspected",
        0.02, sum(r["intact_suspected"] for r in every), sum(r["intact_judged"] for r in every),
    )  # fmt: skip
    for row in part["rows"]:
        if row["judged"]:
            counts = row["counts"]
            yield _at_least(
                f"phantoms, {row['title']}: found", 0.85, counts["near"], counts["whole"]
            )


def _classifier(part: Any) -> Iterator[Goal]:
    kept, untold = part["malignant_not_called_osteoporotic"], part["uncertain"]
    yield _goal(
        "classifier, synthetic fractures: malignant ones not called osteoporotic",
        f"≥ {100 * SENSITIVITY:.0f} %", f"{100 * kept:.1f} %", kept >= SENSITIVITY,
    )  # fmt: skip
    yield _goal(
        "classifier, synthetic fractures: uncertain",
        f"≤ {100 * UNCERTAIN:.0f} %", f"{100 * untold:.1f} %", untold <= UNCERTAIN,
    )  # fmt: skip


def _set(part: Any) -> Iterator[Goal]:
    size = part["megabytes"]
    yield _goal("size of the set", "< 40 MB", f"{size:.1f} MB", size < 40)
