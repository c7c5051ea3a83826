"""`summary.html`: one self-contained page of a batch. No script, nothing fetched, all escaped."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from vfx_edge.outputs.report import colours
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Tier


def verdict_words() -> dict[str, str]:
    """Tier -> what the verdict is called on every page, most urgent first."""
    t = Wording("en")
    return {tier.value: t(f"verdict.{tier}") for tier in Tier}


def page(figures: dict[str, Any]) -> str:
    """The page's HTML. figures: of `summary.figures`."""
    return (
        _environment()
        .get_template("summary.html.j2")
        .render(f=figures, verdicts=verdict_words(), duration=duration, percent=percent)
    )


def duration(seconds: float) -> str:
    """ "1.4 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def percent(count: int, of: int) -> str:
    """ "12.5 %"; "–" of nothing."""
    return f"{100 * count / of:.1f} %" if of else "–"


@cache
def _environment() -> Environment:
    style = files("vfx_edge.scoring").joinpath("templates", "evaluation.css")
    own = files("vfx_edge.batch").joinpath("templates", "summary.html.j2")
    texts = {"evaluation.css": style.read_text("utf-8"), "summary.html.j2": own.read_text("utf-8")}
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(colours=colours)
    return environment
