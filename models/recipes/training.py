"""Each network's data mix and loss, handed to the shared loop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.recipes import classifier, finder, labeller, locator, segmenter
from models.recipes.cases import Pool
from models.recipes.nets import UNet3D
from models.recipes.train import Batch, Schedule, fit


def _stack(examples: list[tuple[Tensor, ...]]) -> Batch:
    first, *rest = (torch.stack(list(t)) for t in zip(*examples, strict=True))
    return first.contiguous(memory_format=torch.channels_last_3d), *rest


@dataclass(frozen=True)
class Mix:
    """Where the examples come from. folders: cases; without: names that are left out;
    real_share: how many examples are of real CT, where there is any; expert_share: how many of
    these have masks by experts."""

    folders: tuple[Path, ...]
    without: tuple[str, ...] = ()
    real_share: float = 0.6
    expert_share: float = 0.0
    seed: int = 1


def folders(role: str, work: Path, home: Path) -> tuple[Path, ...]:
    """Where the examples of a role lie; what `home` has goes before what all share."""
    if role == "classifier":
        return (work / "crops",)
    if role == "labeller":  # names need centres, not masks; painted shapes bear no ribs
        return (work / "named",)
    # broken phantoms show the spine alone: that teaches outlines, not levels
    own = (work / "broken",) if role in ("segmenter", "finder") else ()
    return (work / "cases", *own, *((home / "cases",) if home != work else ()))


def first_of(role: str, out: Path, home: Path, base: Path | None) -> Path | None:
    """The checkpoint a training begins from: its own, the base's, for a finder the segmenter's."""
    known = [out, *([base / f"{role}.pt"] if base else [])]
    if role == "finder":
        known.append(home / "segmenter.pt")
    return next((path for path in known if path.exists()), None)


def _spine_batches(role: str, mix: Mix, worker: int) -> Callable[[], Batch]:
    """Two examples a step of the U-Nets, sixteen of the labeller."""
    rng = np.random.default_rng([mix.seed, worker])
    recipe, factor, count = {
        "locator": (locator, locator.FACTOR, 2),
        "finder": (finder, 1, 2),
        "labeller": (labeller, 1, 16),
        "segmenter": (segmenter, 1, 2),
    }[role]
    cases = Pool(mix.folders, factor, mix.real_share, rng, mix.without, mix.expert_share)
    return lambda: _stack([recipe.example(cases.draw(), rng) for _ in range(count)])


def train(role: str, out: Path, mix: Mix, schedule: Schedule, start: Path | None = None) -> None:
    """Train `role` into the checkpoint `out`. start: a checkpoint to begin from; for the finder
    the segmenter's will do."""
    net, loss, rate = _network(role, start)
    if role == "classifier":
        draw = partial(classifier.draw_batches, mix.folders[0], mix.seed, start is None)
        fit(net, draw, loss, out, replace(schedule, rate=rate))
        return
    rate *= 0.5 if start else 1.0  # weights that know something are not thrown about
    fit(net, partial(_spine_batches, role, mix), loss, out, replace(schedule, rate=rate))


def _network(
    role: str, start: Path | None
) -> tuple[nn.Module, Callable[[nn.Module, Batch], Tensor], float]:
    """The network of a role, from `start` if given, its loss and its learning rate."""
    if role == "finder":
        return finder.network(start), finder.loss, 1.5e-3
    if role == "classifier":
        return classifier.network(start), classifier.loss, classifier.RATE
    net: nn.Module
    net, loss, rate = {
        "locator": (UNet3D(1, len(labeller.CLASSES), locator.CHANNELS), locator.loss, 2e-3),
        "labeller": (labeller.network(), labeller.loss, 2e-3),
        "segmenter": (UNet3D(2, 3, segmenter.CHANNELS), segmenter.loss, 2e-3),
    }[role]
    if start:
        net.load_state_dict(torch.load(start, weights_only=True))
    return net, loss, rate
