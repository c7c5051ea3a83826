"""Training as the study describes it: Adam, cross-entropy, early stopping on the validation loss.

After each epoch everything is on disk. A run that was killed goes on from there and ends in the
same weights as one that was not, on the same machine and threads, unless the clock ended it.
"""

import math
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from models.recipes.labelled.shown import Shown
from vfx_edge.errors import InputError
from vfx_edge.files import replacing

Tell = Callable[[str], None]
BATCH = 32
_PLAIN = ("epoch", "seconds", "best_loss", "best_epoch", "best", "log")
AT_ONCE = 16
"""Crops at a time where no gradient is asked for."""
SETTLE = 96
"""Crops that the batch norms of a 2D network are measured on."""


class TrainingDiverged(InputError):
    """The loss is no number any more."""

    def __init__(self, epoch: int) -> None:
        super().__init__(
            f"the loss became no number in epoch {epoch}: look for broken images among the crops, "
            "or train with a lower --rate"
        )


class StateUnreadable(InputError):
    """What a stopped training left behind is damaged."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} can't be read, which a stopped training left to go on from: remove it, and "
            "that training begins anew"
        )


@dataclass(frozen=True)
class Schedule:
    """How one network is trained. patience: epochs without a lower validation loss before it
    stops. minutes: of wall time at most; None: as long as it takes. balance: whether a class counts
    in the loss by its rarity; in the study all crops count alike."""

    rate: float = 1e-4
    epochs: int = 200
    patience: int = 25
    minutes: float | None = None
    batch: int = BATCH
    device: str = "cpu"
    seed: int = 1
    balance: bool = False


@dataclass(frozen=True, eq=False)
class Examples:
    """Crops that are shown and the class of each, (n,) int64."""

    crops: Shown
    classes: Tensor


@dataclass
class Progress:
    """All that a killed run goes on from. best: the weights with the lowest validation loss."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    epoch: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = 0
    best: dict[str, Any] | None = None
    log: list[dict[str, float]] | None = None

    def state(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in _PLAIN}
        return {**kept, "net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}

    def resume(self, path: Path, device: str) -> None:
        """StateUnreadable."""
        try:
            known = torch.load(path, weights_only=True, map_location=device)
            self.net.load_state_dict(known["net"])
            self.optimiser.load_state_dict(known["optimiser"])
            for name in _PLAIN:
                setattr(self, name, known[name])
        except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError,
                AttributeError, pickle.UnpicklingError):  # fmt: skip
            raise StateUnreadable(path) from None


def train(
    net: nn.Module,
    taught: Examples,
    held: Examples,
    schedule: Schedule,
    state: Path,
    tell: Tell,
) -> Progress:
    """Train until the validation loss has stopped falling; the best weights are in the answer and
    in the network. state: the file to go on from. TrainingDiverged."""
    net.to(schedule.device)
    progress = Progress(net, torch.optim.Adam(net.parameters(), lr=schedule.rate), log=[])
    if state.exists():
        progress.resume(state, schedule.device)
    while (why := finished(progress, schedule)) is None:
        begin = time.monotonic()
        loss = _epoch(progress, taught, schedule)
        _settle(progress, taught, schedule)
        note(progress, loss, validation_loss(net, held, schedule), time.monotonic() - begin)
        with replacing(state) as temporary:
            torch.save(progress.state(), temporary)
        tell(_line(progress, schedule))
    tell(f"stopped after epoch {progress.epoch}: {why}; the weights of {progress.best_epoch} kept")
    assert progress.best is not None
    net.load_state_dict(progress.best)
    return progress


def finished(progress: Progress, schedule: Schedule) -> str | None:
    """Why training ends here, or None."""
    if progress.epoch >= schedule.epochs:
        return f"{schedule.epochs} epochs were asked for"
    if progress.epoch and progress.epoch - progress.best_epoch >= schedule.patience:
        return f"no lower validation loss for {schedule.patience} epochs"
    if schedule.minutes is not None and progress.epoch:
        each = progress.seconds / progress.epoch
        if progress.seconds + each > 60 * schedule.minutes:
            return f"the {schedule.minutes:g} minutes are used"
    return None


def ended_by_the_clock(progress: Progress, schedule: Schedule) -> bool:
    """Whether the minutes ended a training whose validation loss might have fallen further."""
    return finished(progress, replace(schedule, minutes=None)) is None


def note(progress: Progress, loss: float, held: float, seconds: float) -> None:
    """Count the epoch, and keep its weights if they are the best so far."""
    progress.epoch += 1
    progress.seconds += seconds
    if not (math.isfinite(loss) and math.isfinite(held)):
        raise TrainingDiverged(progress.epoch)
    assert progress.log is not None
    progress.log.append({"loss": round(loss, 5), "validation": round(held, 5)})
    if held < progress.best_loss:
        progress.best_loss, progress.best_epoch = held, progress.epoch
        progress.best = {k: v.detach().clone() for k, v in progress.net.state_dict().items()}


def _epoch(progress: Progress, taught: Examples, schedule: Schedule) -> float:
    """Every crop once, in an order and in poses that the seed and the epoch alone decide."""
    rng = np.random.default_rng([schedule.seed, progress.epoch])
    progress.net.train()
    weights = _rarity(taught.classes) if schedule.balance else None
    losses = []
    for index in batches(len(taught.classes), schedule.batch, rng):
        inputs = taught.crops.varied(index, rng)
        progress.optimiser.zero_grad()
        loss = _loss(progress.net, inputs, taught.classes[index], weights)
        loss.backward()  # type: ignore[no-untyped-call]
        progress.optimiser.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


@torch.no_grad()
def _settle(progress: Progress, taught: Examples, schedule: Schedule) -> None:
    """Measure means and variances of a 2D network's batch norms anew, on plain crops.

    Those that training keeps follow over dozens of steps, more than an epoch of few crops has:
    without this a network that has learnt fails when it is asked. A network of volumes has none
    between its convolutions.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in progress.net.modules()):
        return
    rng = np.random.default_rng([schedule.seed, progress.epoch, 1])
    index = rng.permutation(len(taught.classes))[:SETTLE]
    parts = np.array_split(index, math.ceil(len(index) / AT_ONCE))
    crops = (taught.crops.plain([int(i) for i in part]) for part in parts)
    with torch.autocast(schedule.device.split(":")[0], dtype=torch.bfloat16):
        update_bn(crops, progress.net)


def batches(n: int, size: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """A shuffled 0..n-1 in parts of about `size`, all alike: batch norm can't do with one crop."""
    for part in np.array_split(rng.permutation(n), max(1, math.ceil(n / size))):
        yield [int(i) for i in part]


def _loss(net: nn.Module, inputs: Tensor, classes: Tensor, weights: Tensor | None) -> Tensor:
    with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
        logits = net(inputs)
    return F.cross_entropy(logits.float(), classes, weights)


def _rarity(classes: Tensor) -> Tensor:
    """Weights (classes,) inverse to how often each is taught, 1 on average over the crops."""
    counts = torch.bincount(classes).float()
    return len(classes) / (len(counts) * counts)


@torch.no_grad()
def logits_of(net: nn.Module, crops: Shown, index: Sequence[int], device: str) -> Tensor:
    """(len(index), classes) of the plain crops, on the CPU; in bf16, as in training."""
    net.eval()
    found = []
    for start in range(0, len(index), AT_ONCE):
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
            found.append(net(crops.plain(index[start : start + AT_ONCE])).float().cpu())
    return torch.cat(found)


def validation_loss(net: nn.Module, held: Examples, schedule: Schedule) -> float:
    """Cross-entropy of the plain crops, without class weights."""
    logits = logits_of(net, held.crops, range(len(held.classes)), schedule.device)
    return float(F.cross_entropy(logits, held.classes.cpu()))


def _line(progress: Progress, schedule: Schedule) -> str:
    assert progress.log
    last, each = progress.log[-1], progress.seconds / progress.epoch
    left = min(schedule.epochs, progress.best_epoch + schedule.patience) - progress.epoch
    soon = left * each / 60
    if schedule.minutes is not None:
        soon = min(soon, schedule.minutes - progress.seconds / 60)
    return (
        f"epoch {progress.epoch}: loss {last['loss']:.3f}, validation {last['validation']:.3f} "
        f"(lowest {progress.best_loss:.3f} in {progress.best_epoch}); {each:.0f} s each, "
        f"about {max(soon, 0):.0f} min left unless it falls further"
    )
