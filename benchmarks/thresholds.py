"""Whether thresholds chosen for a sensitivity keep it on fresh phantoms: for docs/evaluation.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks import results
from benchmarks.results import Kept
from models.recipes.labelled.crops import RIM, StoredCrop
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.backends import open_models
from vfx_edge.backends.protocol import Network
from vfx_edge.evaluation.operating_point import Wanted, choose
from vfx_edge.evaluation.roc import auc
from vfx_edge.evaluation.temperature import fit_temperature
from vfx_edge.image.grids import FloatArray
from vfx_edge.labelled.dataset import Label
from vfx_edge.manifest import ClassifierParameters, NetworkSpec, load_model_set
from vfx_edge.manifest.calibration import tempered
from vfx_edge.spine.classify import combined_views
from vfx_edge.spine.crops import looks

NAME = "thresholds"
PAGE = results.ROOT / "docs" / "evaluation.md"
WANTED = 0.95
WITHIN = 0.03
CHOSEN = 200
"""Vertebrae of each class that thresholds are chosen on; the rest is fresh."""
SPLITS = 400
"""Draws of what is chosen on and what is fresh."""
FRESH = 1_000_000
"""Seeds of phantoms that no recipe draws."""
_AT_ONCE = 8
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CLASSES = (Label.OSTEOPOROTIC, Label.MALIGNANT)


@dataclass(frozen=True, eq=False)
class Answers:
    """Of one set to n crops, without those that it held for unlike all it was taught. p: (n, 2),
    osteoporotic and malignant; phantoms: (n,) whose vertebra it is."""

    p: Floats
    malignant: Bools
    phantoms: NDArray[np.intp]
    strange: int


def command(
    model: Annotated[
        list[str] | None,
        typer.Option(help="NAME=SET, or a set alone. Repeatable.", show_default="default"),
    ] = None,
    malignant: Annotated[int, typer.Option(help="Phantoms with malignant fractures.")] = 200,
    osteoporotic: Annotated[int, typer.Option(help="With osteoporotic ones.")] = 80,
    crops: Annotated[
        Path | None,
        typer.Option(
            help="Where their crops are kept.", show_default="build/benchmarks/thresholds"
        ),
    ] = None,
) -> None:
    """Thresholds chosen for 95 % sensitivity, on fresh phantoms. Writes docs/evaluation.md.
    Resumable."""
    sets = dict(_named(text) for text in model or ["default"])
    kept = Kept(NAME, {"malignant": malignant, "osteoporotic": osteoporotic, "wanted": WANTED,
                       "chosen": CHOSEN, "splits": SPLITS})  # fmt: skip
    folder = crops or results.UNFINISHED / NAME
    how_many = dict(zip(CLASSES, (osteoporotic, malignant), strict=True))
    drawn = [one for label in CLASSES for one in drawn_crops(folder, label, how_many[label])]
    kept.finish({"sets": {name: kept.point(name, _of_set, where, drawn)
                          for name, where in sets.items()}})  # fmt: skip
    render()


def render() -> None:
    """Write the table of docs/evaluation.md from what was measured."""
    found = results.read(NAME)
    assert found is not None
    PAGE.write_text(page(PAGE.read_text("utf-8"), results.flat(found)), encoding="utf-8")


def page(text: str, figures: dict[str, Any]) -> str:
    """`text` with the table made anew."""
    head = ("set", "malignant ones: chosen on, fresh", "sensitivity on the fresh",
            "standard deviation", "within 95 ± 3 %", "specificity", "rank AUC",
            "not answered")  # fmt: skip
    rows = [_row(name, one) for name, one in figures["sets"].items()]
    return replaced(text, NAME, table(head, rows) + "\n")


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{one['chosen']}, {one['fresh']}",
        f"{100 * one['sensitivity']:.1f} %",
        f"{100 * one['deviation']:.1f} points",
        f"{100 * one['within']:.0f} % of the draws",
        f"{100 * one['specificity']:.1f} %",
        f"{one['auc']:.3f}",
        f"{one['strange']} of {one['crops']}",
    )


def _named(text: str) -> tuple[str, str]:
    name, _, place = text.rpartition("=")
    return name or Path(place).name, place


def drawn_crops(folder: Path, label: Label, phantoms: int) -> list[StoredCrop]:
    """Of phantoms that no network was trained on: those that the recipe keeps for scores and
    thresholds, then others."""
    from models.recipes.classifier.examples import CALIBRATION, TEST
    from models.recipes.labelled.phantoms import cohort

    found: list[StoredCrop] = []
    for seed in islice(chain(TEST, CALIBRATION, count(FRESH)), phantoms):
        if not (folder / f"{label.value}_{seed:05d}.npz").exists():
            results.log(f"phantom {label.value} {seed}")
        found += cohort(folder, label, range(seed, seed + 1))
    return found


def _of_set(place: str, crops: Sequence[StoredCrop]) -> dict[str, Any]:
    manifest = load_model_set(place)
    with open_models(manifest, "auto", roles=("classifier",)) as models:
        answers = answered(models.network("classifier"), crops)
    return {**kept_on_fresh(answers), "crops": len(crops), "set": manifest.name,
            "version": manifest.version, "digest": manifest.digest}  # fmt: skip


def answered(net: Network, crops: Sequence[StoredCrop]) -> Answers:
    """As the chain asks it, mirror image and all."""
    views = []
    limits = net.spec.parameters_of(ClassifierParameters)
    for start in range(0, len(crops), _AT_ONCE):
        shown = [_input(one, net.spec) for one in crops[start : start + _AT_ONCE]]
        views.append(looks(shown, net))
    answer = np.concatenate(views, axis=1)
    *both, unknown, _ = combined_views(answer, net.spec.classes, net.spec.calibration)
    known = unknown < limits.threshold_unknown
    people = np.unique([one.facts.patient for one in crops], return_inverse=True)[1]
    malignant = np.array([one.facts.label is Label.MALIGNANT for one in crops])
    p = np.stack(both, -1).astype(np.float64)
    return Answers(p[known], malignant[known], people[known], int((~known).sum()))


def _input(one: StoredCrop, spec: NetworkSpec) -> FloatArray:
    """What `spine.crops.crop` shows of it, in whole HU."""
    middle = (slice(RIM, -RIM),) * 3
    numbers = spec.input.normalise(one.hu[middle].astype(np.float32))
    if spec.input.mask == "vertebra":
        hidden = spec.input.normalise(np.array(spec.input.padding_hu))
        numbers = np.where(one.shown[middle], numbers, hidden)
    return np.asarray(numbers, np.float32)


def kept_on_fresh(answers: Answers, splits: int = SPLITS, chosen: int = CHOSEN) -> dict[str, Any]:
    """Over draws of whole phantoms, of each class `chosen` vertebrae or a few more to choose on:
    mean and spread of the sensitivity of the others, and how often it is what was wanted."""
    rng = np.random.default_rng(1)
    found = np.array([_draw(answers, rng, chosen) for _ in range(splits)])
    sensitivity = found[:, 0]
    return {
        "chosen": round(float(found[:, 2].mean())),
        "fresh": round(float(found[:, 3].mean())),
        "sensitivity": float(sensitivity.mean()),
        "deviation": float(sensitivity.std(ddof=1)),
        "within": float((np.abs(sensitivity - WANTED) <= WITHIN + 1e-12).mean()),
        "specificity": float(found[:, 1].mean()),
        "auc": auc(answers.p[:, 1], answers.malignant),
        "strange": answers.strange,
    }


def _draw(answers: Answers, rng: np.random.Generator, chosen: int) -> tuple[float, ...]:
    """Sensitivity and specificity on the fresh, and malignant cases chosen on and fresh."""
    own = np.zeros(len(answers.malignant), bool)
    for of in (answers.malignant, ~answers.malignant):
        for phantom in rng.permutation(np.unique(answers.phantoms[of])):
            if (own & of).sum() >= chosen:
                break
            own |= of & (answers.phantoms == phantom)
    truth = answers.malignant
    temperature = fit_temperature(answers.p[own], truth[own]) or 1.0
    p = tempered(answers.p, temperature)[:, 1]
    high = round(choose(p[own], truth[own], Wanted(sensitivity=WANTED)).threshold_malignant, 9)
    called = p >= high
    fresh, others = truth & ~own, ~truth & ~own
    assert others.any(), "more osteoporotic phantoms are needed than are chosen on"
    specificity = float((~called[others]).mean())
    counts = float((truth & own).sum()), float(fresh.sum())
    return float(called[fresh].mean()), specificity, *counts
