"""calibration.html: the curve that was chosen from, drawn, and what was chosen."""

from collections.abc import Iterable
from typing import Literal

from markupsafe import Markup

from vfx_edge.scoring.plot import Frame, axes, dot, line, svg, text
from vfx_edge.tuning.card import HEADINGS, HELD_OUT, chosen_lines, curve_rows
from vfx_edge.tuning.choice import Choice, Expected

_TICKS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
_CSS = """
:root { color-scheme: light dark; --one: light-dark(#b3261e, #ff8a80);
  --two: light-dark(#00639b, #7cc4ff); --rule: light-dark(#c8ccd0, #3c444c); }
body { margin: 0 auto; max-width: 70em; padding: 16px 20px 40px;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
p { overflow-wrap: anywhere; max-width: 50em; }
h2 { font-size: 1.2rem; margin-top: 32px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9375rem; }
th, td { padding: 4px 18px 4px 0; text-align: right; white-space: nowrap; }
td { border-top: 1px solid var(--rule); }
tr:last-child td { font-weight: 700; border-top-width: 2px; }
svg { display: block; width: 100%; max-width: 720px; height: auto; }
svg text { fill: currentColor; font: 12px system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.frame, .grid { fill: none; stroke: var(--rule); } .grid { stroke-width: .6; }
polyline.one, polyline.two { fill: none; stroke: var(--one); stroke-width: 2.5; }
polyline.two { stroke: var(--two); stroke-dasharray: 7 4; }
circle.one { fill: var(--one); } circle.two { fill: var(--two); }
svg text.one { fill: var(--one); } svg text.two { fill: var(--two); }
"""
_PAGE = Markup(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<title>{title}</title><style>{css}</style></head><body><h1>{title}</h1>"
    "<p>{based}</p><h2>Chosen</h2><ul>{chosen}</ul><h2>The curve it was chosen from</h2>{plot}"
    '<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    "<p>{note}</p></body></html>\n"
)


def calibration_page(title: str, based: str, choice: Choice) -> str:
    """One self-contained HTML file. title: the set's name and version; based: on what it rests."""
    rows = (_cells(row, "td") for row in curve_rows(choice))
    return str(
        _PAGE.format(
            title=title,
            css=Markup(_CSS),
            based=based,
            chosen=_joined(Markup("<li>{}</li>").format(one) for one in chosen_lines(choice)),
            plot=curve_plot(choice),
            head=_cells(HEADINGS, "th"),
            rows=_joined(Markup("<tr>{}</tr>").format(cells) for cells in rows),
            note=HELD_OUT,
        )
    )


def curve_plot(choice: Choice) -> Markup:
    """Sensitivity and specificity that may be expected against the share uncertain, and where the
    chosen cuts lie; empty where nothing may be expected."""
    points = [spot for step in choice.curve if (spot := _spot(step.expected))]
    if not points:
        return Markup("")
    chosen = _spot(choice.expected)
    low = min(min(a, b) for _, a, b in (*points, *([chosen] if chosen else [])))
    frame = Frame(640, 400, x=(0.0, 0.6), y=(0.5 if low >= 0.5 else 0.0, 1.0))
    ticks = [tick / 10 for tick in range(round(10 * frame.y[0]), 11)]
    parts = [axes(frame, "uncertain (%)", "of those told apart (%)", _TICKS, ticks, share=True)]
    for at, css, name in ((1, "one", "sensitivity"), (2, "two", "specificity")):
        parts.append(line([frame.at(point[0], point[at]) for point in points], css))
        # the key stands in the empty corner: both curves rise
        parts.append(
            text(frame.at(0.46, frame.y[0] + (0.14 - 0.04 * at) * _height(frame)), name, css)
        )
        if chosen:
            title = f"chosen: {name} {100 * chosen[at]:.0f} %"
            parts.append(dot(frame.at(chosen[0], chosen[at]), 6, css, title))
    return svg(frame, "Sensitivity and specificity by the share uncertain; dots: chosen", parts)


def _height(frame: Frame) -> float:
    return frame.y[1] - frame.y[0]


def _spot(expected: Expected | None) -> tuple[float, float, float] | None:
    """Share uncertain, sensitivity, specificity, where all are known."""
    if expected is None:
        return None
    a, b, c = expected.uncertain, expected.sensitivity, expected.specificity
    return None if a is None or b is None or c is None else (a.value, b.value, c.value)


def _cells(words: Iterable[str], tag: Literal["th", "td"]) -> Markup:
    cell = Markup("<th>{}</th>") if tag == "th" else Markup("<td>{}</td>")
    return _joined(cell.format(word) for word in words)


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
