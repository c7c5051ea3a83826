"""The trainings of one command: the network that ships, and one a fold for cross-validation.

Each has a folder of its own under the work folder, named after all that goes into it, so that a
command that was stopped goes on, and one with other data or options begins anew.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.recipes.labelled import sliced
from models.recipes.labelled.crops import StoredCrop
from models.recipes.labelled.loop import Examples, Progress, Schedule, Tell, logits_of, train
from models.recipes.labelled.plan import Plan, crop_spec
from models.recipes.labelled.shown import shown
from models.recipes.labelled.split import VALIDATION_SHARE, Person, check, folds, parts, some
from models.recipes.nets import Net3D
from vfx_edge.labelled.dataset import Split

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Taught:
    """The crops that a plan is about, and the class and part of each."""

    crops: tuple[StoredCrop, ...]
    classes: tuple[int, ...]
    people: tuple[Person, ...]
    split: Mapping[str, Split]

    def of(self, *wanted: Split) -> list[int]:
        """The numbers of the crops in these parts."""
        return [n for n, crop in enumerate(self.crops) if self.split[crop.facts.patient] in wanted]

    def asked(self, plan: Plan, index: Sequence[int]) -> list[int]:
        """Those of the crops that are scored: a classifier is asked about fractures alone, whatever
        taught it, as in the study."""
        if plan.role == "detector":
            return list(index)
        return [n for n in index if self.crops[n].facts.label.fractured]

    def of_patients(self, names: set[str]) -> list[int]:
        return [n for n, crop in enumerate(self.crops) if crop.facts.patient in names]

    def truth(self, index: Sequence[int]) -> NDArray[np.bool_]:
        return np.array([self.classes[n] == 1 for n in index], np.bool_)

    def patients(self, index: Sequence[int]) -> NDArray[np.str_]:
        return np.array([self.crops[n].facts.patient for n in index], np.str_)


@dataclass(frozen=True, eq=False)
class Trained:
    """A network at its best epoch, and how it came there."""

    net: nn.Module
    progress: Progress


def taught_by(plan: Plan, crops: Sequence[StoredCrop], seed: int) -> Taught:
    """What the plan takes of the crops, split by patient. OneClass, TooFewPatients."""
    pairs = [(crop, plan.number_of(crop.facts.label)) for crop in crops]
    kept = [(crop, number) for crop, number in pairs if number is not None]
    people = _people(kept)
    split = parts(people, seed)
    check(people, split, plan.classes)
    return Taught(tuple(c for c, _ in kept), tuple(n for _, n in kept), people, split)


def _people(rows: Sequence[tuple[StoredCrop, int]]) -> tuple[Person, ...]:
    classes: dict[str, set[int]] = {}
    split: dict[str, str] = {}
    for crop, number in rows:
        name = crop.facts.patient
        classes.setdefault(name, set()).add(number)
        split[name] = split.get(name) or crop.facts.split
    return tuple(Person(name, frozenset(own), split[name]) for name, own in classes.items())


def train_on(
    taught: Taught, learn: Sequence[int], stop: Sequence[int], plan: Plan, schedule: Schedule,
    folder: Path, tell: Tell,
) -> Trained:  # fmt: skip
    """One network: taught by some crops, stopped by others. TrainingDiverged."""
    torch.manual_seed(schedule.seed)
    net = _untaught(plan)
    state = folder / f"{_name(taught, learn, stop, plan, schedule)}.state"
    state.parent.mkdir(parents=True, exist_ok=True)
    device = schedule.device
    shown_to, held = (_examples(taught, index, plan, device) for index in (learn, stop))
    return Trained(net, train(net, shown_to, held, schedule, state, tell))


def _untaught(plan: Plan) -> nn.Module:
    """Crops (n, 1, z, y, x) to logits (n, classes)."""
    return sliced.network(plan) if plan.network == "slices" else Net3D(classes=len(plan.classes))


def _examples(taught: Taught, index: Sequence[int], plan: Plan, device: str) -> Examples:
    crops = shown([taught.crops[n] for n in index], crop_spec(plan).input, device)
    return Examples(crops, torch.tensor([taught.classes[n] for n in index], device=device))


def _name(
    taught: Taught, learn: Sequence[int], stop: Sequence[int], plan: Plan, schedule: Schedule
) -> str:
    """For all that decides the weights; not how long it may take."""
    facts = [[asdict(taught.crops[n].facts) for n in index] for index in (learn, stop)]
    pixels = [int(taught.crops[n].hu.sum(dtype=np.int64)) for n in (*learn, *stop)]
    how = {**asdict(schedule), "epochs": 0, "patience": 0, "minutes": 0, "device": ""}
    planned = asdict(plan)
    if plan.start:
        planned["start"] = hashlib.sha256(Path(plan.start).read_bytes()).hexdigest()
    text = json.dumps([facts, pixels, planned, how])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def p_second(
    net: nn.Module, taught: Taught, index: Sequence[int], plan: Plan, device: str
) -> Floats:
    """(len(index),) probability of the plan's second class."""
    if not index:
        return np.zeros(0)
    crops = shown([taught.crops[n] for n in index], crop_spec(plan).input, device)
    logits = logits_of(net, crops, range(len(index)), device)
    return logits.double().softmax(1)[:, 1].numpy()


def cross_validated(
    taught: Taught, count: int, plan: Plan, schedule: Schedule, folder: Path, tell: Tell
) -> list[dict[str, Any]]:
    """Each patient of training and validation answered by a network that did not see them.

    A row a fold: {fold, epochs, best_epoch, index, p}; index: numbers of the crops.
    """
    allowed = {n for n, part in taught.split.items() if part in (Split.TRAIN, Split.VALIDATION)}
    people = [person for person in taught.people if person.name in allowed]
    fold_of = folds(people, count, schedule.seed)
    rows = []
    for fold in range(count):
        out = {name for name, number in fold_of.items() if number == fold}
        rest = [person for person in people if person.name not in out]
        stop = set(some(rest, VALIDATION_SHARE, schedule.seed + 3 + fold))
        learn = {person.name for person in rest} - stop
        index = taught.asked(plan, taught.of_patients(out))
        found = train_on(
            taught, taught.of_patients(learn), taught.of_patients(stop), plan, schedule, folder,
            lambda line, fold=fold: tell(f"fold {fold + 1} of {count}, {line}"),  # type: ignore[misc]
        )  # fmt: skip
        p = p_second(found.net, taught, index, plan, schedule.device)
        best = {"epochs": found.progress.epoch, "best_epoch": found.progress.best_epoch}
        rows.append({"fold": fold + 1, **best, "index": index, "p": p})
    return rows
