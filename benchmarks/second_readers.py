"""What a fusion gains where the network is blind, and what it costs where it is not: phantoms.

The network's answers are those of the shipped classifier to crops of phantoms that it was not
trained on. Where it is blind, half of the fractures that look osteoporotic are malignant by truth:
marrow that CT does not show. What is known of the patient is drawn: no image holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import results, thresholds
from benchmarks.results import Kept
from benchmarks.thresholds import Answers, answered, drawn_crops
from models.recipes.labelled.crops import StoredCrop
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from models.recipes.tabular.fit import left_out
from models.recipes.tabular.fusion import fuse
from models.recipes.tabular.table import Answered
from vfx_edge.backends import open_models
from vfx_edge.evaluation.roc import Difference, auc_delong
from vfx_edge.manifest import load_model_set

NAME = "second-readers"
PAGE = results.ROOT / "docs" / "second-readers.md"
HIDDEN = 0.5
"""Share of the phantoms that look osteoporotic and are malignant, where the network is blind."""
TUMOUR = {True: 0.8, False: 0.1}
"""How often a tumour is known of a patient with a malignant fracture, and of another."""
ANY = 0.3
"""The same of everybody, where it tells nothing."""
SILENT = 0.1
"""Patients of whom nobody knows it."""

DRAWS = 100
"""Worlds that are drawn beside the first: one alone may be lucky."""


@dataclass(frozen=True)
class Setting:
    """A world that the readers are asked in."""

    name: str
    hidden: float
    told: bool


SETTINGS = (
    Setting("blind", HIDDEN, True),
    Setting("sighted", 0.0, False),
)


def command(
    phantoms: Annotated[int, typer.Option(help="Of each look, three vertebrae each.")] = 60,
    crops: Annotated[
        Path | None,
        typer.Option(
            help="Where their crops are kept.", show_default="build/benchmarks/thresholds"
        ),
    ] = None,
) -> None:
    """Network, clinical data and their fusion where the network is blind and where it is not.
    Writes docs/second-readers.md."""
    kept = Kept(NAME, {"phantoms": phantoms, "hidden": HIDDEN, "tumour": TUMOUR[True],
                       "tumour_otherwise": TUMOUR[False], "silent": SILENT,
                       "draws": DRAWS})  # fmt: skip
    folder = crops or results.UNFINISHED / thresholds.NAME
    drawn = [one for label in thresholds.CLASSES for one in drawn_crops(folder, label, phantoms)]
    answers = asked(drawn)
    kept.finish({one.name: figures(world(answers, one)) | drawn_again(answers, one)
                 for one in SETTINGS})  # fmt: skip
    render()


def asked(crops: Sequence[StoredCrop]) -> Answers:
    """The shipped classifier's answers."""
    with open_models(load_model_set("default"), "auto", roles=("classifier",)) as models:
        return answered(models.network("classifier"), crops)


def world(answers: Answers, setting: Setting, seed: int = 1) -> Answered:
    """The cases as they are in this setting: their truth, and the tabular answers to patients that
    were left out. Whole phantoms are drawn: a patient has one cause."""
    rng = np.random.default_rng(seed)
    people = np.unique(answers.phantoms)
    looks = np.array([answers.malignant[answers.phantoms == one].any() for one in people])
    sick = looks | (rng.random(len(people)) < setting.hidden)
    chance = np.where(sick, TUMOUR[True], TUMOUR[False]) if setting.told else ANY
    known = (rng.random(len(people)) < chance).astype(float)
    known[rng.random(len(people)) < SILENT] = np.nan
    at = np.searchsorted(people, answers.phantoms)
    names, truth, values = tuple(map(str, answers.phantoms)), sick[at], known[at, None]
    network = answers.p[:, 1] / answers.p.sum(1)
    return Answered(names, truth, network, left_out(values, truth, names))


def figures(cases: Answered) -> dict[str, Any]:
    """Areas under the ROC curves of each alone and of both, and the test of the gain."""
    fused = fuse(cases)
    held = fused.held & np.isfinite(cases.tabular)
    patients = np.array(cases.patients)[held]
    each = {"network": cases.network, "tabular": cases.tabular, "fusion": fused.ranks}
    areas = {}
    for name, p in each.items():
        found = auc_delong(p[held], cases.malignant[held], patients)
        assert found is not None, "more phantoms are needed"
        areas[name] = [found.value, found.low, found.high]
    gain = fused.against_network
    assert gain is not None, "more phantoms are needed"
    return {
        "n": int(held.sum()),
        "malignant": int(cases.malignant[held].sum()),
        "patients": len(set(patients.tolist())),
        "auc": areas,
        **_gain(gain),
    }


def drawn_again(answers: Answers, setting: Setting) -> dict[str, Any]:
    """How often the fusion is better, and worse, with p < 0.05, over other draws of who is sick and
    of whom a tumour is known."""
    gains = [fuse(world(answers, setting, seed)).against_network for seed in range(2, 2 + DRAWS)]
    told = [one for one in gains if one is not None and one.p_value is not None]
    clear = [one.difference.value for one in told if (one.p_value or 0) < 0.05]
    return {
        "draws": len(gains),
        "mean_gain": float(np.mean([one.difference.value for one in told])),
        "better": sum(gain > 0 for gain in clear) / len(gains),
        "worse": sum(gain < 0 for gain in clear) / len(gains),
    }


def _gain(gain: Difference) -> dict[str, Any]:
    one = gain.difference
    return {"gain": [one.value, one.low, one.high], "p_value": gain.p_value}


def render() -> None:
    """Write the table of docs/second-readers.md from what was measured."""
    found = results.read(NAME)
    assert found is not None
    PAGE.write_text(page(PAGE.read_text("utf-8"), results.flat(found)), encoding="utf-8")


def page(text: str, found: dict[str, Any]) -> str:
    """`text` with the table made anew."""
    head = ("network", "fractures, malignant, patients", "AUC of the network", "of the tabular one",
            "of the fusion", "gain", "p (DeLong)",
            "better, worse with p < 0.05 in other draws")  # fmt: skip
    rows = [_row(one.name, found[one.name]) for one in SETTINGS]
    return replaced(text, NAME, table(head, rows) + "\n")


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    areas = (_interval(one["auc"][reader]) for reader in ("network", "tabular", "fusion"))
    counts = f"{one['n']}, {one['malignant']}, {one['patients']}"
    p = "none" if one["p_value"] is None else f"{one['p_value']:.2g}"
    others = f"{one['better']:.0%}, {one['worse']:.0%} of {one['draws']}"
    return (name, counts, *areas, _interval(one["gain"]), p, others)


def _interval(ends: Sequence[float | None]) -> str:
    value, low, high = ends
    assert value is not None
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f}–{high:.3f})"
