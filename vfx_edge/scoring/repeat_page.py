"""`repeat.json` -> `repeat.html`: one self-contained page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.scoring.page import template
from vfx_edge.scoring.plot import Frame, axes, dot, line, svg
from vfx_edge.scoring.repeat_figures import HEIGHTS
from vfx_edge.scoring.repeated import RepeatRow

Json = Mapping[str, Any]
MEASURE_NAMES = {
    "anterior_mm": ("anterior height", "mm"),
    "middle_mm": ("middle height", "mm"),
    "posterior_mm": ("posterior height", "mm"),
    "height_loss": ("loss of height", "%"),
}
FLIP_WORDS = {"verdict": "study verdict", "vertebra": "vertebra", "cause": "cause"}
LEAST_MM, STEP_MM = 1.0, 10.0
_DASH = "–"


def repeat_page(figures: Json, rows: Sequence[RepeatRow] = ()) -> str:
    """rows: what the figures were counted of, for the plots; without them there are none."""
    return template("repeat.html.j2").render(
        run_line=_run_line(figures["run"]),
        models=[_model(name, of, rows) for name, of in figures["models"].items()],
        failures=figures["failures"],
        share=share_words,
        number=number_words,
        range=limits_words,
        plain=lambda value: _DASH if value is None else f"{value:.3f}",
    )


def share_words(share: Json) -> str:
    """ "3/40, 7.5 % (2.6–19.9)"."""
    if share["value"] is None:
        return _DASH
    words = f"{share['count']}/{share['of']}, {share['value']:.1%}".replace("%", " %")
    if share["low"] is None:
        return words
    return f"{words} ({100 * share['low']:.1f}{_DASH}{100 * share['high']:.1f})"


def number_words(one: Json, unit: str) -> str:
    """ "0.31 mm (0.28 to 0.35)"; a loss of height in percent points."""
    if one["value"] is None:
        return _DASH
    factor, digits = (100, 1) if unit == "%" else (1, 2 if unit else 3)
    words = f"{_rounded(factor * one['value'], digits)} {unit}".strip()
    if one["low"] is None:
        return words
    low, high = (_rounded(factor * one[end], digits) for end in ("low", "high"))
    return f"{words} ({low} to {high})"


def _rounded(value: float, digits: int) -> str:
    """Without a minus before zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def limits_words(measure: Json) -> str:
    """ "-0.61 to 0.72 mm"."""
    if measure["lower"]["value"] is None:
        return _DASH
    factor, digits = (100, 1) if measure["unit"] == "%" else (1, 2)
    low, high = (_rounded(factor * measure[end]["value"], digits) for end in ("lower", "upper"))
    return f"{low} to {high} {measure['unit']}"


def _run_line(run: Json) -> str:
    said = [f"vfx-edge {run['version']}" if "version" in run else "", run.get("started_at", "")]
    return " · ".join(filter(None, said))


def _model(name: str, of: Json, rows: Sequence[RepeatRow]) -> dict[str, Any]:
    comparisons = [{"name": how.replace("_", " "), **one} for how, one in of.items()]
    for one in comparisons:
        one["measures"] = [
            {"name": MEASURE_NAMES[key][0], "unit": MEASURE_NAMES[key][1], **measure}
            for key, measure in one["measures"].items()
        ]
    own = {how: [r for r in rows if (r.model, r.comparison) == (name, how)] for how in of}
    plots = [_plot(how.replace("_", " "), some) for how, some in own.items()]
    return {
        "name": name,
        "comparisons": comparisons,
        "plots": [plot for plot in plots if plot is not None],
        "flipped": [line for one in comparisons for line in flipped(one)],
    }


def flipped(one: Json) -> list[str]:
    """ "shift, study verdict: malignant → uncertain, 2 of 40"."""
    lines = [
        f"{one['name']}, {words}: {pair['first']} → {pair['second']}, "
        f"{pair['count']} of {one['flips'][key]['n']}"
        for key, words in FLIP_WORDS.items()
        for pair in one["flips"][key]["pairs"]
        if pair["first"] != pair["second"]
    ]
    return [line.replace("_", " ") for line in lines]


def _plot(name: str, rows: Sequence[RepeatRow]) -> dict[str, Any] | None:
    """Bland and Altman's, of all three heights; None where fewer than two are known."""
    pairs = [(getattr(row, key), getattr(row, f"again_{key}")) for row in rows for key in HEIGHTS]
    known = np.array([pair for pair in pairs if None not in pair], float).reshape(-1, 2)
    if len(known) < 2:
        return None
    means, gaps = known.mean(1), known[:, 1] - known[:, 0]
    bias, reach = float(gaps.mean()), 1.96 * float(gaps.std(ddof=1))
    frame = _frame(means, abs(bias) + reach)
    x_ticks = np.arange(frame.x[0], frame.x[1] + 1, STEP_MM).tolist()
    ends = (("limit", bias - reach), ("bias", bias), ("limit", bias + reach))
    parts = [
        axes(frame, "mean of both (mm)", "second less first (mm)", x_ticks, [*frame.y, 0.0]),
        *(dot(frame.at(x, y), 2.2, "point") for x, y in zip(means, gaps, strict=True)),
        *(line([frame.at(frame.x[0], y), frame.at(frame.x[1], y)], css) for css, y in ends),
    ]
    words = f"Differences of heights against their means, {name}"
    beyond = int((np.abs(gaps) > frame.y[1]).sum())
    return {"name": name, "n": len(known), "beyond": beyond, "svg": svg(frame, words, parts)}


def _frame(means_mm: NDArray[np.float64], reach_mm: float) -> Frame:
    """Twice as far up and down as the limits lie."""
    most = max(LEAST_MM, float(np.ceil(2 * reach_mm)))
    low = STEP_MM * float(np.floor(means_mm.min() / STEP_MM))
    high = STEP_MM * float(np.ceil(means_mm.max() / STEP_MM))
    return Frame(400, 300, (low, max(high, low + STEP_MM)), (-most, most))
