"""A small plotter: SVG whose colours are the page's classes, so that it is dark on the screen and
white in print. Every text is escaped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Range = tuple[float, float]
Spot = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """A drawing of width by height units, within it the axes' rectangle, and what it spans."""

    width: float
    height: float
    x: Range = (0.0, 1.0)
    y: Range = (0.0, 1.0)
    left: float = 52
    right: float = 12
    top: float = 10
    bottom: float = 44

    def at(self, x: float, y: float) -> Spot:
        """Where a value lies, in units from the top left corner; held within the axes."""
        across = _share(x, self.x) * (self.width - self.left - self.right)
        up = _share(y, self.y) * (self.height - self.top - self.bottom)
        return self.left + across, self.height - self.bottom - up


def _share(value: float, span: Range) -> float:
    return min(max((value - span[0]) / (span[1] - span[0]), 0.0), 1.0)


def line(points: Iterable[Spot], css: str) -> Markup:
    """Through points in units."""
    spots = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(css, spots)


def box(x: float, y: float, width: float, height: float, css: str) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        css, x, y, max(width, 0), max(height, 0)
    )


def dot(spot: Spot, radius: float, css: str, title: str = "") -> Markup:
    """A disc that says its title when a pointer rests on it."""
    inner = Markup("<title>{}</title>").format(title) if title else Markup("")
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}">{}</circle>').format(
        css, *spot, radius, inner
    )


def text(spot: Spot, words: object, css: str = "", turned: bool = False) -> Markup:
    """Words at a place; css has their anchor: `end`, `middle`, else start."""
    turn = f' transform="rotate(-90 {spot[0]:.1f} {spot[1]:.1f})"' if turned else ""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}"{}>{}</text>').format(
        css, *spot, Markup(turn), words
    )


def axes(
    frame: Frame,
    x_words: str,
    y_words: str,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    share: bool = False,
) -> Markup:
    """Rectangle, faint grid, ticks with their numbers, names of both axes. share: in percent."""
    left, floor = frame.at(frame.x[0], frame.y[0])
    right, ceiling = frame.at(frame.x[1], frame.y[1])
    parts = [box(left, ceiling, right - left, floor - ceiling, "frame")]
    for tick in x_ticks:
        across, _ = frame.at(tick, frame.y[0])
        parts += [line([(across, floor), (across, ceiling)], "grid"),
                  text((across, floor + 16), _tick(tick, share), "tick middle")]  # fmt: skip
    for tick in y_ticks:
        _, up = frame.at(frame.x[0], tick)
        parts += [line([(left, up), (right, up)], "grid"),
                  text((left - 6, up + 4), _tick(tick, share), "tick end")]  # fmt: skip
    parts += [
        text(((left + right) / 2, frame.height - 6), x_words, "axis middle"),
        text((14, (floor + ceiling) / 2), y_words, "axis middle", turned=True),
    ]
    return Markup("").join(parts)


def _tick(value: float, share: bool) -> str:
    return f"{100 * value:.0f}" if share else f"{value:.2f}".rstrip("0").rstrip(".")


def svg(frame: Frame, title: str, parts: Iterable[Markup], css: str = "plot") -> Markup:
    """The whole drawing; title says in words what it shows."""
    return Markup(
        '<svg class="{}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>'
    ).format(css, frame.width, frame.height, escape(title), Markup("").join(parts))
