"""The training loop that all recipes share: bf16 autocast, AdamW, polynomial decay, checkpoints."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from vfx_edge.files import replacing

Batch = tuple[Tensor, ...]
BatchMaker = Callable[[int], Callable[[], Batch]]  # number of a worker -> what draws its batches


@dataclass(frozen=True)
class Schedule:
    """How long and on what. minutes of wall time; device as torch names it; workers draw examples
    in processes of their own (0: in this one); every: steps between checkpoints."""

    minutes: float
    rate: float = 2e-3
    device: str = "cpu"
    workers: int = 0
    every: int = 100


def best_device(asked: str) -> str:
    """`asked`, or for "auto" CUDA where there is one."""
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """As `dice_loss`, of target probabilities (n, classes, z, y, x). With squares in the
    denominator it is least where the answer is the target, not where it is 0 or 1."""
    probability = logits.float().softmax(1)
    axes = (0, 2, 3, 4)
    overlap = (probability * target).sum(axes)[1:]
    total = (probability**2 + target**2).sum(axes)[1:]
    present = target.sum(axes)[1:] > 0
    score = (2 * overlap + 1) / (total + 1)
    return 1 - score[present].mean() if bool(present.any()) else logits.sum() * 0


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - soft Dice, mean over the foreground classes, whole batch as one image."""
    probability = logits.float().softmax(1)
    onehot = torch.zeros_like(probability).scatter_(1, target[:, None], 1)
    axes = (0, 2, 3, 4)
    overlap = (probability * onehot).sum(axes)
    total = probability.sum(axes) + onehot.sum(axes)
    present = onehot.sum(axes)[1:] > 0
    score = (2 * overlap + 1) / (total + 1)
    return 1 - score[1:][present].mean() if bool(present.any()) else logits.sum() * 0


class _Stream(IterableDataset[Batch]):
    """Batches without end; each worker draws its own."""

    def __init__(self, make: BatchMaker) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        draw = self._make(worker.id if worker else 0)
        while True:
            yield draw()


class Progress:
    """Weights and optimiser of a training, how far it is, and both on disk."""

    def __init__(self, net: nn.Module, schedule: Schedule, out: Path) -> None:
        self.net, self.schedule, self.out = net, schedule, out
        self.state = out.with_suffix(".state")
        self.optimiser = torch.optim.AdamW(net.parameters(), lr=schedule.rate, weight_decay=1e-4)
        self.step, self.seconds, self.mean = 0, 0.0, 0.0
        if self.state.exists():
            self._resume()

    def _resume(self) -> None:
        known = torch.load(self.state, weights_only=True, map_location=self.schedule.device)
        self.net.load_state_dict(known["net"])
        self.optimiser.load_state_dict(known["optimiser"])
        self.step, self.seconds, self.mean = known["step"], known["seconds"], known["mean"]

    @property
    def used(self) -> float:
        """Share of the schedule's time that is behind it."""
        return self.seconds / (60 * self.schedule.minutes)

    def note(self, loss: float) -> None:
        self.step += 1
        self.mean = loss if self.step == 1 else 0.98 * self.mean + 0.02 * loss

    def save(self) -> None:
        """Checkpoint, state to go on from, a line in the log. Each file appears whole."""
        weights = self.net.state_dict()
        whole = {"net": weights, "optimiser": self.optimiser.state_dict(), "mean": self.mean}
        whole |= {"step": self.step, "seconds": self.seconds}
        for path, content in ((self.out, weights), (self.state, whole)):
            with replacing(path) as temporary:
                torch.save(content, temporary)
        minutes = round(self.seconds / 60, 1)
        entry = {"step": self.step, "minutes": minutes, "loss": round(self.mean, 4)}
        with self.out.with_suffix(".log").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def fit(
    net: nn.Module,
    batches: BatchMaker,
    loss_of: Callable[[nn.Module, Batch], Tensor],
    out: Path,
    schedule: Schedule,
) -> None:
    """Train until `schedule.minutes` are used, going on where an interrupted run stopped.

    The learning rate follows the share of the time used, so any length gives a full schedule.
    """
    net.to(schedule.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    net.train()
    progress = Progress(net, schedule, out)
    if progress.used >= 1:
        return
    loader = DataLoader(_Stream(batches), batch_size=None, num_workers=schedule.workers)
    begin = time.monotonic() - progress.seconds
    for batch in loader:
        _learn(progress, batch, loss_of)
        progress.seconds = time.monotonic() - begin
        if progress.step % schedule.every == 0:
            progress.save()
        if progress.used >= 1:
            break
    progress.save()


def _learn(progress: Progress, batch: Batch, loss_of: Callable[[nn.Module, Batch], Tensor]) -> None:
    """One step, at the rate that the time used and a short warm-up give."""
    rate = progress.schedule.rate * (1 - min(progress.used, 0.999)) ** 0.9
    for group in progress.optimiser.param_groups:
        group["lr"] = rate * min(1.0, (progress.step + 1) / 100)
    device = progress.schedule.device
    batch = tuple(part.to(device, non_blocking=True) for part in batch)
    progress.optimiser.zero_grad()
    with torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
        loss = loss_of(progress.net, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(progress.net.parameters(), 5.0)
    progress.optimiser.step()
    progress.note(float(loss.detach()))
