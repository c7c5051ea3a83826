"""Reading what PyTorch saved without ever running what is in it.

A checkpoint is a pickle, and a pickle can name any function to be called while it is read. All
goes through `torch.load(weights_only=True)`, which knows tensors and plain containers only; what
else a kind of checkpoint needs is named one by one in `allow`.
"""

import io
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.zips import MAX_BYTES, NO_ZIP, is_script, names_in
from vfx_edge.errors import ModelError

WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""
_UNREADABLE = (
    RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError,
    AssertionError, OverflowError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""All that torch was seen to raise over files that are none of its own."""
AnyPath = Path | zipfile.Path
"""A file, or a member of a zip, which is read without unpacking it."""


class NotACheckpoint(ModelError):
    """The file can't be read as something that PyTorch saved."""

    def __init__(self, path: AnyPath, why: str) -> None:
        super().__init__(
            f"{path} is no checkpoint that can be read ({why}): "
            "give the whole file as PyTorch saved it"
        )


class RunsCode(ModelError):
    """Reading the file would call functions that it names."""

    def __init__(self, path: AnyPath, names: Sequence[str]) -> None:
        listed = f" ({', '.join(names[:3])})" if names else ""
        super().__init__(
            f"{path} would execute code while it is read{listed}, so it was not read: "
            "ask its makers for a file that holds weights only"
        )


class WrongWeights(ModelError):
    """The file holds weights, but not those of this network."""

    def __init__(self, path: AnyPath, what: str) -> None:
        super().__init__(
            f"{path} does not hold the weights of this network ({what}): "
            "give the checkpoint of the network that is exported"
        )


def numpy_scalars() -> tuple[Any, ...]:
    """For `allow`: NumPy's numbers, as training logs inside checkpoints hold them; no arrays."""
    import numpy as np

    # NumPy 1 knew the function by another name; files of that time are still about.
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    kinds = (np.float32, np.float64, np.int64, np.bool_)
    return (
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in kinds),
    )


def read_checkpoint(path: AnyPath, allow: Sequence[Any] = ()) -> Any:
    """What PyTorch saved in the file, on the CPU.

    allow: types and functions beside tensors and containers, as `torch.serialization.safe_globals`
    takes them. Raises NotACheckpoint and RunsCode; nothing from the file is ever executed.
    """
    data = read_bytes(path)
    if is_script(names_in(io.BytesIO(data))):
        why = "it is a TorchScript module, which `python -m export network` takes"
        raise NotACheckpoint(path, why)
    try:
        with torch.serialization.safe_globals(list(allow)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of another kind: refused below
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if named := _refused(data, str(error)):
            raise RunsCode(path, named) from error
        raise NotACheckpoint(path, "it is damaged, or nothing that PyTorch writes") from error
    except _UNREADABLE as error:
        raise NotACheckpoint(path, "it is cut short or damaged") from error


def read_bytes(path: AnyPath) -> bytes:
    """The file's bytes, within bounds; NotACheckpoint when they can't be had."""
    try:
        if path.is_dir():
            raise NotACheckpoint(path, "it is a folder")
        if (size := size_of(path)) > MAX_BYTES:
            raise NotACheckpoint(path, f"it is {size / 2**30:.0f} GiB long")
        with path.open("rb") as file:
            data = file.read(size + 1)  # a bomb in a zip may be longer than it says
    except OSError as error:
        raise NotACheckpoint(path, str(error.strerror or error)) from error
    except NO_ZIP as error:
        raise NotACheckpoint(path, "its place in the zip is damaged") from error
    if not data:
        raise NotACheckpoint(path, "it is empty")
    return data


def size_of(path: AnyPath) -> int:
    """In bytes, of a zip's member as it says. FileNotFoundError where there is none."""
    if isinstance(path, Path):
        return path.stat().st_size
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file", str(path))
    return path.root.getinfo(path.at).file_size


def _refused(data: bytes, error: str) -> list[str]:
    """Functions and classes that the file's pickles name and torch did not want; loads nothing."""
    names: dict[str, None] = {}
    for stream in _pickles(data):
        names |= dict.fromkeys(_named_in(stream))
    # torch names the first one, unless the pickle's own kind is what it stumbled over
    blamed = [name for name in names if name in error]
    return blamed or [name for name in names if not name.startswith(("torch.", "collections."))]


def _pickles(data: bytes) -> Iterator[bytes]:
    yield data
    with suppress(*NO_ZIP), zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.endswith(".pkl"):
                yield archive.read(name)


def _named_in(stream: bytes) -> Iterator[str]:
    """Dotted names in one pickle, or in the first few that follow each other in the old format."""
    file = io.BytesIO(stream)
    try:
        while file.tell() < len(stream):
            texts: list[str] = []
            for code, argument, _ in pickletools.genops(file):
                if code.name in ("GLOBAL", "INST"):
                    yield str(argument).replace(" ", ".")
                elif code.name == "STACK_GLOBAL" and len(texts) > 1:
                    yield f"{texts[-2]}.{texts[-1]}"
                elif isinstance(argument, str):
                    texts.append(argument)
    except (ValueError, IndexError, KeyError, OverflowError, struct.error):
        return  # no pickle any more: the tensors' bytes, or nothing of the kind


def weights_in(checkpoint: Any, path: AnyPath, *keys: str) -> dict[str, Tensor]:
    """Name -> tensor from the first of `keys` that the checkpoint has, or from itself.

    Names lose what DataParallel and torch.compile put before them.
    """
    if not isinstance(checkpoint, Mapping):
        raise WrongWeights(path, f"it holds a {type(checkpoint).__name__}, not a dict")
    found = next((checkpoint[key] for key in keys if key in checkpoint), checkpoint)
    if not isinstance(found, Mapping) or not found:
        raise WrongWeights(path, f"it has no {' or '.join(map(repr, keys)) or 'weights'}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            missing = f"it has no {keys[0]!r}; " if keys and found is checkpoint else ""
            raise WrongWeights(path, f"{missing}{name!r} is no tensor")
    weights = dict(found)
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _plain(value: Tensor, own: Tensor) -> bool:
    """Whether the tensor is stored in full and holds numbers of its place's kind."""
    whole = value.layout == torch.strided and not value.is_meta and not value.is_quantized
    return whole and value.is_floating_point() == own.is_floating_point() and not value.is_complex()


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], path: AnyPath) -> None:
    """Put the weights into the network; WrongWeights names the first that does not fit."""
    own = network.state_dict()
    # Counters that old checkpoints lack and no answer depends on.
    missing = [n for n in own if n not in weights and not n.endswith("num_batches_tracked")]
    if missing:
        raise WrongWeights(path, f"'{missing[0]}' is missing, {len(missing)} in all")
    if unexpected := [name for name in weights if name not in own]:
        what = f"'{unexpected[0]}' is not part of it, {len(unexpected)} in all"
        raise WrongWeights(path, what)
    for name, value in weights.items():
        if value.shape != own[name].shape:
            have, want = ("x".join(map(str, t.shape)) or "one number" for t in (value, own[name]))
            raise WrongWeights(path, f"'{name}' is {have} and should be {want}")
        if not _plain(value, own[name]):
            raise WrongWeights(path, f"'{name}' holds no plain numbers ({value.dtype})")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WrongWeights(path, f"'{name}' holds NaN or infinities")
    network.load_state_dict({**own, **weights})
    network.eval()
