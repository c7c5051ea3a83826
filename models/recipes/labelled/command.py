"""From labels.csv to a model set: collect, split, train, score, write."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from export import manifests
from models.recipes.labelled import card, ours, sets, sliced
from models.recipes.labelled.collect import collect
from models.recipes.labelled.crops import StoredCrop
from models.recipes.labelled.loop import Tell
from models.recipes.labelled.plan import network_table
from models.recipes.labelled.report import Report, Wanted
from models.recipes.labelled.runs import (
    cross_validated,
    p_second,
    taught_by,
    train_on,
)
from models.recipes.labelled.scores import Floats, by_thresholds, scores
from models.recipes.nets import Net3D
from vfx_edge.evaluation.classification import Bools
from vfx_edge.files import replacing, write_text
from vfx_edge.labelled.dataset import Dataset, Split

THRESHOLDS = {1: (0.5, 0.5), 2: (0.5, 0.5), 3: (0.85, 0.95)}
"""(malignant, osteoporotic) by approach: one of the two always, or the authors' code's."""
DETECTED = 0.5


def make_set(dataset: Dataset, wanted: Wanted, tell: Tell) -> Report:
    """Train what is asked for and write the model set. VfxError leaves."""
    sets.check(wanted.out, wanted.plan.role, wanted.overwrite)
    if wanted.plan.start:
        sliced.network(wanted.plan)  # what does not fit is said before anything is cut
    for problem in dataset.problems:
        tell(f"left out: {problem.sentence}")
    found = collect(dataset, wanted.work / "crops", tell, wanted.model)
    for sentence in found.left_out:
        tell(f"left out: {sentence}")
    left_out = (*(problem.sentence for problem in dataset.problems), *found.left_out)
    report = trained_on(found.crops, left_out, wanted, tell)
    write(report)
    return report


def trained_on(
    crops: tuple[StoredCrop, ...], left_out: tuple[str, ...], wanted: Wanted, tell: Tell
) -> Report:
    """Train and score; nothing is written but into the work folder."""
    plan, schedule, runs = wanted.plan, wanted.schedule, wanted.work / "runs"
    taught = taught_by(plan, crops, schedule.seed)
    learn, stop = taught.of(Split.TRAIN), taught.of(Split.VALIDATION)
    tell(f"{len(learn)} crops to learn from, {len(stop)} that say when to stop")
    trained = train_on(taught, learn, stop, plan, schedule, runs, tell)
    thresholds: tuple[float, ...]
    thresholds = (DETECTED,) if plan.role == "detector" else THRESHOLDS[plan.approach]
    familiar = None
    if plan.recipe == "ours" and plan.role == "classifier":
        assert isinstance(trained.net, Net3D)
        familiar = ours.familiar_set(trained.net, plan, taught, learn, stop)
        thresholds = familiar.thresholds
    report = Report(wanted, taught, left_out, trained, thresholds, familiar)
    figures = {
        part.value: _scored(report, index)
        for part in (Split.VALIDATION, Split.TEST, Split.EXTERNAL)
        if (index := taught.asked(plan, taught.of(part)))
    }
    if wanted.folds:
        figures["cross_validation"] = _folds(report, tell)
    return replace(report, scores=figures)


def _scored(report: Report, index: list[int]) -> dict[str, Any]:
    """Figures of the network that ships on some crops."""
    if report.familiar is not None:
        return _figures(
            report, index, *ours.answers(report.familiar.net, report.plan, report.taught, index)
        )
    p = p_second(
        report.trained.net, report.taught, index, report.plan, report.wanted.schedule.device
    )
    return _figures(report, index, p)


def _figures(
    report: Report, index: list[int], p: Floats, strange: Bools | None = None
) -> dict[str, Any]:
    """A detector's threshold parts all, a classifier's may leave some; strangers get no answer."""
    first = report.thresholds[0]
    second = report.thresholds[1] if len(report.thresholds) > 1 else np.nextafter(1 - first, 1)
    taught = report.taught
    found = by_thresholds(p, taught.truth(index), taught.patients(index), first, second)
    if strange is not None:
        known = ~strange
        found = replace(found, positive=found.positive & known, negative=found.negative & known)
    return scores(found)


def _folds(report: Report, tell: Tell) -> dict[str, Any]:
    """Every fold's figures, and those of all their answers together."""
    wanted, taught = report.wanted, report.taught
    rows = cross_validated(
        taught, wanted.folds, wanted.plan, wanted.schedule, wanted.work / "runs", tell
    )
    folds = [
        {
            "epochs": row["epochs"],
            "best_epoch": row["best_epoch"],
            **_figures(report, row["index"], row["p"]),
        }
        for row in rows
    ]
    index = [n for row in rows for n in row["index"]]
    whole = np.concatenate([row["p"] for row in rows])
    return {"folds": folds, **_figures(report, index, whole)}


def write(report: Report) -> None:
    """The set's folder: ONNX, manifest, card; and in the work folder the figures as JSON and, of
    the study's recipe, the weights for `export parity --checkpoint`."""
    plan, familiar = report.plan, report.familiar
    table = network_table(plan, report.thresholds)
    if familiar is not None:
        table["parameters"] |= {
            "threshold_unknown": 0.5,
            "temperature": round(familiar.temperature, 4),
        }
    module = report.trained.net if familiar is None else familiar.net
    if isinstance(module, sliced.OfCrops):
        module = module.net  # what is done before and behind it, the manifest says
    network = manifests.new_network(module.cpu().eval(), plan.role, table)
    write_text(
        report.wanted.work / f"{plan.role}.json", json.dumps(card.figures(report), indent=1) + "\n"
    )
    if familiar is None:
        with replacing(report.wanted.work / f"{plan.role}.pt") as checkpoint:
            torch.save({"state_dict": module.state_dict()}, checkpoint)
    sets.add(report.wanted.out, plan.role, network, card.section(report))
