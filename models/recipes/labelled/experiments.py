"""What the study's choices are worth on phantoms: one change at a time, on the same patients.

`python -m models.recipes compare --work DIR` trains each variant on the same phantoms, shows each
as many crops, and scores all on phantoms that none has seen. Fractures of phantoms are drawn after
the signs that the study lists: what is found here need not hold for patients.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.recipes.labelled import phantoms
from models.recipes.labelled.card import SHOWN, estimate_cell, table
from models.recipes.labelled.crops import StoredCrop
from models.recipes.labelled.loop import Schedule, Tell
from models.recipes.labelled.plan import Plan
from models.recipes.labelled.runs import p_second, taught_by, train_on
from models.recipes.labelled.scores import by_thresholds, scores
from vfx_edge.evaluation.roc import delong_test
from vfx_edge.files import write_text
from vfx_edge.labelled.dataset import Label, Split

KEPT = Path(__file__).with_name("compared.json")
CARD = Path(__file__).parents[2] / "default" / "card.md"
VARIANTS: Mapping[str, Plan] = {
    "approach 2, masked, window of the study": Plan(approach=2),
    "approach 1": Plan(approach=1),
    "not masked": Plan(approach=2, masked=False),
    "bone window": Plan(approach=2, window="bone"),
}
"""The first is what the others are compared with; each is named after what it changes."""
BEGIN, END = "<!-- compared:begin -->", "<!-- compared:end -->"


@dataclass(frozen=True)
class Cohort:
    """Phantoms by label and part; three vertebrae each. The numbers are those of their seeds."""

    taught: int = 40
    held: int = 10
    lesions: int = 16
    tested: int = 20

    def crops(self, folder: Path) -> list[StoredCrop]:
        """All of them, made where they are missing. Intact lesions are for teaching alone: the
        study's tests hold fractures."""
        first = self.taught + self.held
        found = []
        for label in (Label.OSTEOPOROTIC, Label.MALIGNANT):
            for split, seeds in (
                (Split.TRAIN, range(self.taught)),
                (Split.VALIDATION, range(self.taught, first)),
                (Split.TEST, range(1000, 1000 + self.tested)),
            ):
                found += _of(split, phantoms.cohort(folder, label, seeds))
        more = phantoms.cohort(folder, Label.INTACT_LESION, range(self.lesions))
        return [*found, *_of(Split.TRAIN, more)]


def _of(split: Split, crops: Sequence[StoredCrop]) -> list[StoredCrop]:
    return [replace(c, facts=replace(c.facts, split=split.value)) for c in crops]


@dataclass(frozen=True, eq=False)
class Answers:
    """Of one variant to the test crops: (n,) p(malignant), and what it was trained with."""

    p: np.ndarray
    row: dict[str, Any]


def compare(
    work: Path, cohort: Cohort, shown: int, seeds: Sequence[int], schedule: Schedule, tell: Tell
) -> dict[str, Any]:
    """Every variant's figures. shown: crops that each is shown, about; so that all have the same
    budget, whatever the number of crops that an approach takes. The mean answer over seeds is
    scored, and each seed's AUC is told."""
    crops = cohort.crops(work / "crops")
    rows: list[dict[str, Any]] = []
    answers: dict[str, np.ndarray] = {}
    for name, plan in VARIANTS.items():
        found = [
            _one(crops, plan, replace(schedule, seed=seed), shown, work, name, tell)
            for seed in seeds
        ]
        taught = taught_by(plan, crops, 1)
        index = taught.of(Split.TEST)
        truth, patients = taught.truth(index), taught.patients(index)
        answers[name] = np.mean([one.p for one in found], axis=0)
        base = answers[next(iter(VARIANTS))]
        figures = scores(by_thresholds(answers[name], truth, patients, 0.5, np.nextafter(0.5, 1)))
        test = delong_test(answers[name], base, truth, patients)
        p_value = None if test is None or answers[name] is base else test.p_value
        rows.append({"variant": name, **figures, "p_value": p_value,
                     "runs": [one.row for one in found]})  # fmt: skip
    about = {"taught": cohort.taught, "held": cohort.held, "lesions": cohort.lesions,
             "tested": cohort.tested, "shown": shown, "seeds": list(seeds),
             "batch": schedule.batch, "rate": schedule.rate}  # fmt: skip
    return {"about": about, "variants": rows}


def _one(
    crops: Sequence[StoredCrop], plan: Plan, schedule: Schedule, shown: int, work: Path, name: str,
    tell: Tell,
) -> Answers:  # fmt: skip
    taught = taught_by(plan, crops, 1)
    learn, stop = taught.of(Split.TRAIN), taught.of(Split.VALIDATION)
    epochs = max(1, round(shown / len(learn)))
    trained = train_on(
        taught, learn, stop, plan, replace(schedule, epochs=epochs, patience=epochs), work / "runs",
        lambda line: tell(f"{name}, seed {schedule.seed}: {line}"),
    )  # fmt: skip
    progress = trained.progress
    index = taught.of(Split.TEST)
    p = p_second(trained.net, taught, index, plan, schedule.device)
    p_held = p_second(trained.net, taught, stop, plan, schedule.device)
    row = {
        "seed": schedule.seed,
        "crops": len(learn),
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "minutes": round(progress.seconds / 60, 1),
        "validation_loss": round(progress.best_loss, 4),
        "validation_auc": round(float(_auc(p_held, taught.truth(stop))), 3),
        "auc": round(float(_auc(p, taught.truth(index))), 3),
    }
    return Answers(p, row)


def _auc(p: np.ndarray, truth: np.ndarray) -> float:
    from vfx_edge.evaluation.roc import auc

    found = auc(p, truth)
    return float("nan") if found is None else found


def keep(found: Mapping[str, Any], path: Path = KEPT) -> None:
    """The figures beside this file, to be committed."""
    write_text(path, json.dumps(found, indent=1) + "\n")


def write_table(card: Path, found: Mapping[str, Any]) -> None:
    """Put the table between its marks in a card."""
    text = card.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    write_text(card, f"{head}{BEGIN}\n{as_table(found)}\n{END}{rest.split(END)[1]}")


def as_table(found: Mapping[str, Any]) -> str:
    """The figures as a paragraph and a table in Markdown."""
    about, rows = found["about"], found["variants"]
    names = ("auc", "balanced_accuracy", "sensitivity", "specificity")
    cells = [
        (row["variant"], row["runs"][0]["crops"], *(estimate_cell(row[name]) for name in names),
         _p_value(row["p_value"]))
        for row in rows
    ]  # fmt: skip
    head = ("variant", "crops taught", *(SHOWN[name] for name in names), "p (AUC)")
    return f"{_paragraph(about, rows)}\n\n{table(head, cells)}"


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 1e-3 else f"{value:.3f}"


def _paragraph(about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    first = rows[0]
    seeds = len(about["seeds"])
    return (
        f"`python -m models.recipes compare` wrote this: each variant was shown about "
        f"{about['shown']} crops (batches of {about['batch']}, Adam {about['rate']:g}, "
        f"{seeds} seed{'s' * (seeds > 1)}), and its best epoch scored on {first['crops']} "
        f"fractures of {first['patients']} phantoms that none has seen. Intervals over phantoms; "
        "p of DeLong's test against the first row. So short a training tells which choice learns "
        "faster from few phantoms, not which is better for patients."
    )
