"""The published classifier as its authors' code has it, written anew from the document of it.

Nothing here is shared with the package: network from the state dict alone, input path from a NIfTI
in its own axes, with NumPy and SciPy.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

CHANNELS = (1, 16, 32, 64, 128, 256)


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Every name of the state dict and its shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for stage in range(1, 6):
        for block in range(2):
            cin, cout = CHANNELS[stage - 1 + block if block == 0 else stage], CHANNELS[stage]
            at = f"encoder.encoder_{stage}.{block}"
            shapes[f"{at}.0.weight"] = (cout, cin, 3, 3, 3)
            shapes |= {f"{at}.{rest}": (cout,) for rest in ("0.bias", "1.weight", "1.bias")}
    for suffix, cin, cout in (("", 256, 128), ("1", 128, 64), ("2", 64, 32), ("3", 32, 8)):
        shapes[f"classifier.initial_conv{suffix}.weight"] = (cout, cin, 3, 3, 3)
        shapes[f"classifier.initial_conv{suffix}.bias"] = (cout,)
        shapes[f"classifier.bn_init{suffix}.weight"] = (cout,)
        shapes[f"classifier.bn_init{suffix}.bias"] = (cout,)
    for layer, cin, cout in ((1, 512, 256), (2, 256, 128), (3, 128, 64)):
        at = f"classifier.layer{layer}.linear_block"
        shapes[f"{at}.0.weight"] = (cout, cin)
        names = ("0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")
        shapes |= {f"{at}.{name}": (cout,) for name in names}
        shapes[f"{at}.1.num_batches_tracked"] = ()
    return {**shapes, "classifier.final_dense.weight": (2, 64), "classifier.final_dense.bias": (2,)}


def logits(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """(n, 1, d, h, w) -> (n, 2)."""

    def convolved(x: Tensor, conv: str, norm: str) -> Tensor:
        x = functional.conv3d(x, state[f"{conv}.weight"], state[f"{conv}.bias"], padding=1)
        mean = x.mean((2, 3, 4), keepdim=True)
        variance = x.var((2, 3, 4), unbiased=False, keepdim=True)
        scale, offset = (state[f"{norm}.{k}"].reshape(1, -1, 1, 1, 1) for k in ("weight", "bias"))
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + offset

    for stage in range(1, 6):
        if stage > 1:
            x = functional.max_pool3d(x, 2, 2)
        for block in range(2):
            at = f"encoder.encoder_{stage}.{block}"
            x = torch.relu(convolved(x, f"{at}.0", f"{at}.1"))
    for suffix in ("", "1", "2", "3"):
        x = convolved(x, f"classifier.initial_conv{suffix}", f"classifier.bn_init{suffix}")
    x = x.reshape(-1, 512)
    for layer in (1, 2, 3):
        at = f"classifier.layer{layer}.linear_block"
        x = x @ state[f"{at}.0.weight"].T + state[f"{at}.0.bias"]
        x = (x - state[f"{at}.1.running_mean"]) / torch.sqrt(state[f"{at}.1.running_var"] + 1e-5)
        x = x * state[f"{at}.1.weight"] + state[f"{at}.1.bias"]
        x = torch.where(x > 0, x, 0.01 * x)
    return x @ state["classifier.final_dense.weight"].T + state["classifier.final_dense.bias"]


def box_of(labels: np.ndarray, spacing: np.ndarray, margin_mm: float = 10) -> tuple[slice, ...]:
    """Their `crop_slice`: the box of all labels and the margin, the upper end exclusive."""
    reach = np.around(margin_mm / spacing).astype(int)
    found = np.argwhere(labels > 0)
    low = np.maximum(found.min(0) - reach, 0)
    high = np.minimum(found.max(0) + reach, labels.shape)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def to_ial(array_lps: np.ndarray) -> np.ndarray:
    """(L, P, S) -> (I, A, L), axes and directions."""
    return array_lps[:, ::-1, ::-1].transpose(2, 1, 0)


def resampled(array: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At 1 mm by cubic splines, and the old indices (n, 3) of the new lattice's voxels k:
    old = (k - (N - 1) // 2) / spacing + (n - 1) // 2, as nibabel's `rescale_affine` has it."""
    old = np.array(array.shape)
    new = np.rint(old * spacing).astype(int)
    offset = (old - 1) // 2 - ((new - 1) // 2) / spacing
    out = ndimage.affine_transform(
        array, 1 / spacing, offset, tuple(new), order=3, mode="constant", cval=-1024
    )
    return out, offset


def crop(numbers: np.ndarray, centre: tuple[int, ...], half: int = 35) -> np.ndarray:
    """±35 voxels about a voxel, padded with the crop's own mean."""
    low = [max(c - half, 0) for c in centre]
    high = [min(c + half, n) for c, n in zip(centre, numbers.shape, strict=True)]
    shown = numbers[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    before = [max(half - c, 0) for c in centre]
    after = [max(c + half - n, 0) for c, n in zip(centre, numbers.shape, strict=True)]
    return np.pad(shown, list(zip(before, after, strict=True)), constant_values=shown.mean())


def network_input(hu_ial_1mm: np.ndarray, centre: tuple[int, ...]) -> np.ndarray:
    """(70, 70, 70) as the network is given it."""
    numbers = (np.clip(hu_ial_1mm.astype(np.float64), -1000, 3500) + 1000) / 2500
    return crop(numbers, centre).transpose(2, 0, 1)
