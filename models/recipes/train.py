"""The training loop that all recipes share: bf16 autocast, AdamW, polynomial decay, checkpoints."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, ...]


def dice_loss(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - soft Dice, mean over the foreground classes, whole batch as one image."""
    probability = logits.float().softmax(1)
    onehot = torch.zeros_like(probability).scatter_(1, target[:, None], 1)
    axes = (0, 2, 3, 4)
    overlap = (probability * onehot).sum(axes)
    total = probability.sum(axes) + onehot.sum(axes)
    present = onehot.sum(axes)[1:] > 0
    score = (2 * overlap + 1) / (total + 1)
    return 1 - score[1:][present].mean() if bool(present.any()) else logits.sum() * 0


def fit(
    net: nn.Module,
    batches: Callable[[], Batch],
    loss_of: Callable[[nn.Module, Batch], Tensor],
    out: Path,
    minutes: float,
    rate: float = 2e-3,
    every: int = 250,
) -> None:
    """Train for `minutes` of wall time; resume from `out` (a state dict) if it exists.

    The learning rate follows the share of the time used, so any length gives a full schedule.
    """
    log = out.with_suffix(".log")
    if out.exists():
        net.load_state_dict(torch.load(out, weights_only=True))
    net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=1e-4)
    begin, step, mean = time.monotonic(), 0, 0.0
    while (used := (time.monotonic() - begin) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - used) ** 0.9 * min(1.0, (step + 1) / 100)
        batch = batches()
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(net, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        value = float(loss.detach())
        mean = value if step == 1 else 0.98 * mean + 0.02 * value
        if step % every == 0:
            torch.save(net.state_dict(), out)
            with log.open("a") as f:
                f.write(
                    json.dumps(
                        {"step": step, "minutes": round(used * minutes, 1), "loss": round(mean, 4)}
                    )
                    + "\n"
                )
    torch.save(net.state_dict(), out)
