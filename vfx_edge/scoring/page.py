"""`evaluation.html`: one self-contained page of evaluation.json, that also prints on white A4.

What was asked and the headline first, then each set of cases, then the parts that hold for all,
then what could not be computed and why. No script, nothing fetched, all text escaped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from vfx_edge.outputs.report import colours
from vfx_edge.scoring import page_words as words
from vfx_edge.scoring import plots
from vfx_edge.scoring.cases import ANSWERED
from vfx_edge.scoring.shares import FIGURES, Json
from vfx_edge.study import Tier

_MOST_NAMED = 8
"""Figures that one sentence of what could not be computed names."""


@dataclass(frozen=True)
class Part:
    """A set of cases: its name, and the figures over it."""

    key: str
    title: str
    figures: Json

    @property
    def models(self) -> Mapping[str, Json]:
        return dict(self.figures["models"])

    @property
    def cases(self) -> int:
        return max((model["classification"]["n"] for model in self.models.values()), default=0)


@dataclass(frozen=True)
class Gap:
    """Figures that are null for the same reason."""

    where: str
    what: str
    why: str


def page(evaluation: Mapping[str, Any]) -> str:
    """The page's HTML. evaluation: content of an evaluation.json."""
    parts = _parts(evaluation)
    return (
        _environment()
        .get_template("evaluation.html.j2")
        .render(
            e=evaluation,
            parts=parts,
            figures=FIGURES,
            titles=words.TITLES,
            gaps=[gap for part in parts for gap in _gaps(part)],
            sets=_sets(evaluation["run"]),
            verdicts=_verdicts(evaluation["models"]),
            forests={name: _forest(model) for name, model in evaluation["models"].items()},
            disputed=_disputed(evaluation["models"]),
            levels={name: _levels(model) for name, model in evaluation["models"].items()},
        )
    )


def _parts(evaluation: Mapping[str, Any]) -> list[Part]:
    """The sets side by side, or all cases where there is but one."""
    if evaluation["splits"]:
        return [Part(key, words.SETS[key], of) for key, of in evaluation["splits"].items()]
    named = evaluation["about"]["splits"]
    key = named[0] if len(named) == 1 else ""
    return [Part("", words.SETS.get(key, words.SETS[""]), dict(evaluation))]


def _sets(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name of each model set in the tables -> what it is, without the folder it lies in."""
    return [(one.get("name", ""), _set_words(one)) for one in run.get("model_sets", ())]


def _set_words(one: Mapping[str, Any]) -> str:
    limits = one.get("thresholds") or {}
    parts = [
        f"{one['set']} {one.get('version', '')}".strip() if one.get("set") else "",
        ", ".join(f"{name.replace('_', ' ')} from {value:g} on" for name, value in limits.items()),
        f"calibration {one['calibration']}" if one.get("calibration") else "",
        f"digest {one['digest'][:16]}" if one.get("digest") else "",
        "results that were there" if one.get("results") else "",
    ]
    return "; ".join(part for part in parts if part)


def _verdicts(models: Mapping[str, Json]) -> list[str]:
    """The verdicts that any study has, most urgent first; what is no verdict last."""
    found = {one for m in models.values() for of in m["verdicts"].values() for one in of}
    return [*(tier for tier in Tier if tier in found), *sorted(found - {*Tier})]


def _forest(model: Json) -> Markup:
    """Subgroups by what the model says when it is forced to answer: the tiers leave few cases."""
    groups = model["classification"]["subgroups"]
    kinds = [(words.KINDS[kind], of) for kind, of in groups.items() if len(of) > 1]
    return plots.forest(kinds, "forced") if kinds else Markup("")


def _levels(model: Json) -> list[str]:
    return [level for level in model["outlines"]["count"] if level != "all"]


def _disputed(models: Mapping[str, Json]) -> list[Json]:
    """Answers against the label, with all models that give one: causes before heights, which sets
    of one chain share, the most models' first."""
    found: dict[tuple[Any, ...], Json] = {}
    for name, model in models.items():
        for one in model["contradictions"]:
            key = (one["row"], one["study"], one["level"], one["says"])
            found.setdefault(key, {**one, "models": []})["models"].append(name)
    return sorted(
        found.values(), key=lambda one: (one["says"] not in ANSWERED, -len(one["models"]))
    )


def _gaps(part: Part) -> Iterator[Gap]:
    """What could not be computed of a set: one line a reason and model."""
    for name, model in part.models.items():
        yield from _by_reason(f"{part.title}, {name}", _reported(model))
    yield from _by_reason(part.title, part.figures["comparisons"])


def _by_reason(where: str, figures: Any) -> Iterator[Gap]:
    found: dict[str, list[str]] = {}
    for what, why in words.missing(figures):
        found.setdefault(why, []).append(what)
    for why, lacking in found.items():
        yield Gap(where, _listed(lacking), why)


def _reported(model: Json) -> Json:
    """The figures that are shown, without a level above that only a program needs."""
    said = model["classification"]
    before = {key: model[key] for key in ("detection", "outlines", "suspicion")}
    if not said["n"]:
        return before
    curves = ("share_uncertain", "calibration", "roc", "decision_curve", "agreement")
    return {
        **said["approaches"],
        **{f"per {unit}": of for unit, of in said.get("slices", {}).items()},
        **{f"reader {name}": of for name, of in said["readers"].items()},
        **{key: said[key] for key in curves},
        **before,
    }


def _listed(what: list[str]) -> str:
    named = list(dict.fromkeys(what))
    rest = len(named) - _MOST_NAMED
    return "; ".join(named[:_MOST_NAMED]) + (f"; and {rest} more" if rest > 0 else "")


def template(name: str) -> Template:
    """The one in that file of templates/."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    folder = files("vfx_edge.scoring").joinpath("templates")
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(colours=colours, w=words, plots=plots)
    return environment
