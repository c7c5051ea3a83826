"""How much memory the networks may take, and how many patches at once fit into it.

A console's desktop and its reconstruction use the card, too: what counts is what is free when the
networks are opened, not what the card has.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vfx_edge.backends import nvidia
from vfx_edge.backends.errors import BudgetTooSmall
from vfx_edge.backends.protocol import Budget
from vfx_edge.manifest import NetworkSpec

HOST_SHARE = 0.25
"""Of the host budget: the scan, its resampled copy and the masks need the rest."""
WINDOW_SHARE = 0.6
"""Of the host budget, where a network is moved over the spine tile by tile: its tile can't be made
smaller, and its stage holds little beside it."""
MOST_GIB = 16.0
"""Taken at most where nobody says otherwise: the class of card that the product is made for."""
RESERVE_GIB = 0.5
"""Left free where nobody says otherwise: other programs take more and give back while we run."""
FIXED_GIB = 1.0
"""Taken once a process by the CUDA context and its libraries' kernels, before any network."""
PATCHES_SHARE = 0.75
"""Of a network's share: weights, engines and scratch of convolutions need the rest."""
ASSUMED_CHANNELS = 96
"""Full-resolution fp32 channels alive at once in a 3-D U-Net of base width 16: measured at 64³
93 MiB in OpenVINO fp32, 51 in bf16, 68 in ONNX Runtime, where this assumes 96."""


def patch_mib(spec: NetworkSpec) -> float:
    """Memory for computing one patch: the manifest's figure, else a careful guess."""
    return (
        spec.batch.activation_mib
        or float(np.prod(spec.shape(1)[2:])) * ASSUMED_CHANNELS * 4 / 2**20
    )


def settled(budget: Budget) -> Budget:
    """The budget with a figure for its card, and a note where that is less than was asked for.

    Without one: what is free less a reserve. Where the driver doesn't tell what is free, all that
    the card has counts as free, and a batch that is too big is halved when memory runs out.
    """
    gpu = nvidia.find_gpu(budget.device)
    if not isinstance(gpu, nvidia.Gpu):
        return budget  # no card will be asked
    free = nvidia.free_gib(budget.device)
    room = gpu.memory_gib if free is None else min(free, gpu.memory_gib)
    asked = budget.gpu_gib
    if asked is None:
        return replace(budget, gpu_gib=min(max(room - RESERVE_GIB, 0.0), MOST_GIB))
    if asked <= room:
        return budget
    note = (
        f"{asked:g} GiB of GPU memory may be used and {room:.1f} GiB are free on {gpu.name}: "
        "the networks share what is free."
    )
    return replace(budget, gpu_gib=room, note=note)


def divide(specs: Sequence[NetworkSpec], budget: Budget) -> list[Budget]:
    """A share of the card for each network, all open at once: first what its smallest batch takes,
    then of the rest by what its largest takes beyond that.

    budget: settled. Memory that one runtime has taken is not lent to the next: the shares, and
    what is fixed, add up to the budget. The host's memory is not divided: networks run one after
    another and give it back. The first share has the budget's note.
    """
    free = max((budget.gpu_gib or 0.0) - FIXED_GIB, 0.0)
    least = np.array([_share_gib(spec, spec.batch.min) for spec in specs])
    beyond = np.array([_share_gib(spec, spec.batch.max) for spec in specs]) - least
    rest = free - least.sum()
    if rest < 0 or not beyond.any():
        shares = least * free / least.sum()
    else:
        shares = least + beyond * rest / beyond.sum()
    divided = [replace(budget, gpu_gib=float(share), note="") for share in shares]
    return [replace(divided[0], note=budget.note), *divided[1:]]


def batch_limit(spec: NetworkSpec, budget: Budget, *, gpu: bool) -> int:
    """How many patches are computed at once; BudgetTooSmall where not even the least fits.

    On a GPU the most that the share (settled) and the manifest allow. On a CPU the least: larger
    batches take as long per patch and several times the memory (`python -m benchmarks limits`).
    """
    host_share = HOST_SHARE if spec.window is None else WINDOW_SHARE
    gpu_mib = (budget.gpu_gib or 0.0) * 1024 * PATCHES_SHARE
    mib = gpu_mib if gpu else budget.host_gib * 1024 * host_share
    fitting = int(mib / patch_mib(spec) + 1e-6)  # a share made for so many holds so many
    if fitting < spec.batch.min:
        raise BudgetTooSmall(spec.name, patch_mib(spec) * spec.batch.min, mib, gpu=gpu)
    return min(fitting, spec.batch.max) if gpu else spec.batch.min


def scratch_mib(spec: NetworkSpec, patches: int) -> float:
    """What a share that holds so many patches at once leaves for scratch."""
    return patch_mib(spec) * patches * (1 - PATCHES_SHARE) / PATCHES_SHARE


def _share_gib(spec: NetworkSpec, patches: int) -> float:
    """The share that a network needs to compute so many patches at once."""
    return patch_mib(spec) * patches / PATCHES_SHARE / 1024
