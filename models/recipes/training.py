"""Each network's data mix and loss, handed to the shared loop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from models.recipes import classifier, finder, labeller, locator, segmenter, slim
from models.recipes.cases import Pool
from models.recipes.train import Batch, Schedule, fit


@dataclass(frozen=True)
class Recipe:
    """A module with network, example and loss. factor: voxels of the cases that become one;
    count: examples a step; rate: of learning."""

    recipe: ModuleType
    factor: int = 1
    count: int = 2
    rate: float = 2e-3


RECIPES = {
    "segmenter": Recipe(segmenter),
    "slim": Recipe(slim),
    "finder": Recipe(finder, rate=1.5e-3),
    "locator": Recipe(locator, locator.FACTOR),
    "labeller": Recipe(labeller, count=16),
}


def _stack(examples: list[tuple[Tensor, ...]]) -> Batch:
    first, *rest = (torch.stack(list(t)) for t in zip(*examples, strict=True))
    return first.contiguous(memory_format=torch.channels_last_3d), *rest


@dataclass(frozen=True)
class Mix:
    """Where the examples come from. folders: cases; without: names that are left out;
    real_share: how many examples are of real CT, where there is any; expert_share: how many of
    these have masks by experts. teacher: the checkpoint that a slim network learns from."""

    folders: tuple[Path, ...]
    without: tuple[str, ...] = ()
    real_share: float = 0.6
    expert_share: float = 0.0
    seed: int = 1
    teacher: Path | None = None


def folders(role: str, work: Path, home: Path) -> tuple[Path, ...]:
    """Where the examples of a role lie; what `home` has goes before what all share."""
    if role == "classifier":
        return (work / "crops",)
    if role == "labeller":  # names need centres, not masks; painted shapes bear no ribs
        return (work / "named",)
    # broken phantoms show the spine alone: that teaches outlines, not levels
    own = (work / "broken",) if role in ("segmenter", "slim", "finder") else ()
    unmasked = (work / "named",) if role == "slim" else ()  # a teacher needs no masks
    return (*unmasked, work / "cases", *own, *((home / "cases",) if home != work else ()))


def first_of(role: str, out: Path, home: Path, base: Path | None) -> Path | None:
    """The checkpoint a training begins from: its own, the base's, for a finder the segmenter's."""
    known = [out, *([base / f"{role}.pt"] if base else [])]
    if role == "finder":
        known.append(home / "segmenter.pt")
    return next((path for path in known if path.exists()), None)


def _spine_batches(role: str, mix: Mix, worker: int) -> Callable[[], Batch]:
    rng = np.random.default_rng([mix.seed, worker])
    own = RECIPES[role]
    cases = Pool(mix.folders, own.factor, mix.real_share, rng, mix.without, mix.expert_share)
    if mix.teacher is None:
        return lambda: _stack([own.recipe.example(cases.draw(), rng) for _ in range(own.count)])
    teacher = segmenter.network(mix.teacher).eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def taught() -> tuple[Tensor, ...]:
        case = cases.draw()
        return slim.lesson(teacher, segmenter.example(case, rng), case.masked)

    return lambda: _stack([taught() for _ in range(own.count)])


def train(role: str, out: Path, mix: Mix, schedule: Schedule, start: Path | None = None) -> None:
    """Train `role` into the checkpoint `out`. start: a checkpoint to begin from; for the finder
    the segmenter's will do."""
    if role == "classifier":
        draw = partial(classifier.draw_batches, mix.folders[0], mix.seed, start is None)
        schedule = replace(schedule, rate=classifier.RATE)
        fit(classifier.network(start), draw, classifier.loss, out, schedule)
        return
    own = RECIPES[role]
    # weights that know something are not thrown about
    schedule = replace(schedule, rate=own.rate * (0.5 if start else 1.0))
    net, draw = own.recipe.network(start), partial(_spine_batches, role, mix)
    if mix.teacher is not None and start is None:
        net = slim.begun(segmenter.network(mix.teacher))
    fit(net, draw, own.recipe.loss, out, schedule)
