"""The pictures of the evaluation's page, of what evaluation.json says."""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from vfx_edge.scoring.page_words import cases
from vfx_edge.scoring.plot import Frame, Spot, axes, box, dot, line, svg, text
from vfx_edge.scoring.shares import Json

FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SQUARE = Frame(400, 390, top=22)
TIERS = ("malignant", "uncertain", "osteoporotic", "not_assessable")
FOREST_ROW, FOREST_HEAD = 22, 34


def roc(found: Json) -> Markup:
    """The curve, the model's two operating points, and the readers by number."""
    if not found["curve"]:
        return Markup("")
    frame = SQUARE
    curve = [frame.at(p["false_positive_rate"], p["true_positive_rate"]) for p in found["curve"]]
    parts = [
        axes(frame, "1 − specificity (%)", "sensitivity (%)", FIFTHS, FIFTHS, share=True),
        line([frame.at(0, 0), frame.at(1, 1)], "chance"),
        line(curve, "curve"),
        *_spots(frame, found["points"]),
    ]
    return svg(frame, f"ROC curve of {cases(found['n'])}", parts)


def _spots(frame: Frame, points: Sequence[Json]) -> list[Markup]:
    parts, number = [], 0
    for point in points:
        spot = frame.at(point["false_positive_rate"], point["true_positive_rate"])
        if point["kind"] == "reader":
            number += 1
            name = f"reader {point['name']}, {cases(point['n'])}"
            parts += [dot(spot, 8, "reader", name),
                      text((spot[0], spot[1] + 4), number, "number middle")]  # fmt: skip
        else:
            parts.append(dot(spot, 6, point["kind"], f"{point['name']}, {cases(point['n'])}"))
    return parts


def reliability(found: Json) -> Markup:
    """What was said against what was so; a disc's area grows with its cases."""
    if not found["bins"]:
        return Markup("")
    frame, most = SQUARE, max(one["count"] for one in found["bins"])
    parts = [
        axes(frame, "p(malignant) as stated, mean of a bin (%)", "malignant in fact (%)", FIFTHS,
             FIFTHS, share=True),
        line([frame.at(0, 0), frame.at(1, 1)], "chance"),
        line([frame.at(one["said"], one["right"]) for one in found["bins"]], "curve thin"),
    ]  # fmt: skip
    for one in found["bins"]:
        spot, radius = frame.at(one["said"], one["right"]), 4 + 9 * (one["count"] / most) ** 0.5
        beside = radius + 12 if one["right"] > 0.9 else -radius - 3
        words = f"{cases(one['count'])}: said {one['said']:.2f}, so {one['right']:.2f}"
        parts += [dot(spot, radius, "bin", words),
                  text((spot[0], spot[1] + beside), one["count"], "tick middle")]  # fmt: skip
    return svg(frame, f"Reliability diagram of {cases(found['n'])}", parts)


def decision(found: Json) -> Markup:
    """Net benefit of the model against calling all, or none, malignant; the readers' thin."""
    points = found["points"]
    if not points:
        return Markup("")
    top = max(0.05, *(one["treat_all"] for one in points), *(one["model"] for one in points))
    frame = Frame(400, 390, top=22, y=(-0.1, _round_up(top)))
    every = [
        ("treat-all", [(one["threshold"], one["treat_all"]) for one in points]),
        ("treat-none", [(0.0, 0.0), (1.0, 0.0)]),
        *(("by-reader", [(p["threshold"], b) for p, b in zip(points, of["net_benefit"],
                                                             strict=True)])
          for of in found["readers"].values()),
        ("curve", [(one["threshold"], one["model"]) for one in points]),
    ]  # fmt: skip
    ticks = [round(0.1 * step, 1) for step in range(-1, int(frame.y[1] * 10 + 0.5) + 1)]
    parts = [
        axes(frame, "threshold probability (%)", "net benefit per 100 cases", FIFTHS, ticks, True),
        *(
            line([frame.at(*spot) for spot in piece], css)
            for css, values in every
            for piece in _above(values, frame.y[0])
        ),
    ]
    return svg(frame, f"Decision curve of {cases(found['n'])}", parts)


def _above(values: Sequence[Spot], floor: float) -> list[list[Spot]]:
    """The pieces of a curve that lie in the picture, each down to its edge."""
    pieces: list[list[Spot]] = []
    for one, other in pairwise(values):
        if max(one[1], other[1]) <= floor:
            continue
        if pieces and pieces[-1][-1] == one:
            pieces[-1].append(other)
        else:
            pieces.append([one, other])
    return pieces


def _round_up(value: float) -> float:
    return min(1.0, (int(value * 10 - 1e-9) + 1) / 10)


def tier_bars(tiers: Json) -> Markup:
    """For each truth one bar of what the tiers say, with the counts in it."""
    rows = [
        (truth, [tiers[tier][truth] for tier in TIERS])
        for truth in ("malignant", "osteoporotic", "intact_lesion", "intact")
    ]
    rows = [(truth, counts) for truth, counts in rows if sum(counts)]
    if not rows:
        return Markup("")
    frame = Frame(620, 12 + 46 * len(rows), left=150, right=16, top=6, bottom=6)
    parts: list[Markup] = []
    for number, (truth, counts) in enumerate(rows):
        parts += _stack(frame, 8 + 46 * number, truth, counts)
    return svg(frame, "What the tiers say, by truth", parts, "plot wide")


def _stack(frame: Frame, top: float, truth: str, counts: Sequence[int]) -> list[Markup]:
    whole, parts = sum(counts), [
        text((frame.left - 10, top + 14), TRUTHS[truth], "name end"),
        text((frame.left - 10, top + 29), f"{sum(counts)}", "tick end"),
    ]  # fmt: skip
    at = frame.left
    for tier, count in zip(TIERS, counts, strict=True):
        width = count / whole * (frame.width - frame.left - frame.right)
        if count:
            parts.append(box(at, top, width - 1.5, 32, f"fill s-{tier}"))
        if width > 22:
            parts.append(text((at + width / 2, top + 21), count, "inside middle"))
        at += width
    return parts


TRUTHS = {
    "malignant": "malignant", "osteoporotic": "osteoporotic", "intact": "intact",
    "intact_lesion": "intact, lesion",
}  # fmt: skip


def forest(groups: Sequence[tuple[str, Sequence[Json]]], approach: str) -> Markup:
    """Sensitivity and specificity with their intervals, group by group. groups: kind in words and
    its subgroups; approach: `forced` or `told_apart`."""
    height = FOREST_HEAD + FOREST_ROW * sum(1 + len(of) for _, of in groups) + 30
    frame = Frame(960, height, top=FOREST_HEAD, bottom=30)
    panels = (("sensitivity", 300.0, 590.0), ("specificity", 650.0, 940.0))
    parts = [part for panel in panels for part in _panel(frame, *panel)]
    at = FOREST_HEAD + 14.0
    for kind, of in groups:
        parts.append(text((8, at), kind, "name strong"))
        at += FOREST_ROW
        for group in of:
            parts += _forest_row(group, at, panels, approach)
            at += FOREST_ROW
    return svg(frame, "Sensitivity and specificity in subgroups", parts, "plot forest")


def _panel(frame: Frame, name: str, left: float, right: float) -> list[Markup]:
    floor = frame.height - 26
    parts = [text(((left + right) / 2, 18), f"{name} (%)", "axis middle")]
    for tick in FIFTHS:
        x = left + tick * (right - left)
        parts += [line([(x, FOREST_HEAD - 8), (x, floor)], "grid"),
                  text((x, floor + 16), f"{100 * tick:.0f}", "tick middle")]  # fmt: skip
    return parts


def _forest_row(
    group: Json, at: float, panels: Sequence[tuple[str, float, float]], approach: str
) -> list[Markup]:
    css = " faint" if group["small"] else ""
    counts = f"{group['malignant']} / {group['osteoporotic']}"
    parts = [text((22, at), group["name"][:28], f"name{css}"),
             text((280, at), counts, f"tick end{css}")]  # fmt: skip
    for name, left, right in panels:
        found = group[approach][name]
        if found["value"] is None:
            parts.append(text(((left + right) / 2, at), "no case", "tick middle faint"))
            continue
        spots = {k: left + found[k] * (right - left) for k in ("value", "low", "high")
                 if found[k] is not None}  # fmt: skip
        if len(spots) == 3:
            parts.append(line([(spots["low"], at - 4), (spots["high"], at - 4)], f"whisker{css}"))
        words = f"{group['name']}: {found['count']} of {found['of']}"
        parts.append(dot((spots["value"], at - 4), 5, f"mark{css}", words))
    return parts
