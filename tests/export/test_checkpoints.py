"""Checkpoints are read without running them, and what is wrong with one is said in a sentence."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from export.checkpoints import (
    NotACheckpoint,
    RunsCode,
    WrongWeights,
    load_weights,
    numpy_scalars,
    read_checkpoint,
    weights_in,
)
from tests.export.conftest import Run
from tests.export.nets import TinyNet


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def save_legacy(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_plain(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=4))


def save_plain_2(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


PLAIN = (save_plain, save_plain_2)
"""Where even a tensor is something that runs code, and may be what the reader meets first."""


@pytest.mark.parametrize("save", [torch.save, save_legacy, *PLAIN])
def test_a_file_that_wants_to_execute_code_is_refused(
    save: Callable[[object, Path], None], tmp_path: Path, run: Run
) -> None:
    trap, path = tmp_path / "executed", tmp_path / "model.tar"
    save({"state_dict": TinyNet().state_dict(), "more": Attack(trap)}, path)
    named = r"(torch\.storage\._load_from_bytes|\w+\.mkdir)" if save in PLAIN else r"\w+\.mkdir"
    with pytest.raises(RunsCode, match=rf"execute code while it is read \({named}.*weights only"):
        read_checkpoint(path)
    with pytest.raises(RunsCode):
        read_checkpoint(path, allow=numpy_scalars())
    code, _, said = run("tum", path, "-o", tmp_path / "set")
    assert code == 4
    assert said.count("\n") == 1
    assert "would execute code" in said
    assert not trap.exists()
    assert not (tmp_path / "set").exists()
    if save in PLAIN:
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert trap.exists(), "the attack itself works"


def test_numbers_of_numpy_are_read_where_they_are_allowed_and_arrays_of_objects_never(
    tmp_path: Path,
) -> None:
    path = tmp_path / "checkpoint_final.pth"
    torch.save({"_best_ema": np.float64(0.25), "logging": [np.float32(1.5), np.int64(3)]}, path)
    with pytest.raises(RunsCode, match="numpy"):
        read_checkpoint(path)
    got = read_checkpoint(path, allow=numpy_scalars())
    assert got == {"_best_ema": 0.25, "logging": [1.5, 3]}
    torch.save({"logging": np.array([{}], dtype=object)}, path)
    with pytest.raises(RunsCode):
        read_checkpoint(path, allow=numpy_scalars())


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "model.tar"
    save = save_legacy if "legacy" in kind else torch.save
    save({"state_dict": TinyNet().state_dict()}, path)
    whole = path.read_bytes()
    if kind.startswith("cut"):
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "text":
        path.write_text("no weights here\n" * 20)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "absent":
        path.unlink()
    return path


@pytest.mark.parametrize(
    "kind", ["cut", "cut legacy", "text", "empty", "folder", "absent"]
)  # fmt: skip
def test_what_is_no_checkpoint_is_said_to_be_none(kind: str, tmp_path: Path) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(NotACheckpoint, match=f"{path} is no checkpoint that can be read"):
        read_checkpoint(path)


def weights() -> dict[str, torch.Tensor]:
    return TinyNet().state_dict()


def without_norm() -> dict[str, torch.Tensor]:
    return {k: v for k, v in weights().items() if not k.startswith("norm")}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (without_norm(), "'norm.weight' is missing, 2 in all"),
        ({**weights(), "extra.bias": torch.zeros(1)}, "'extra.bias' is not part of it, 1 in all"),
        ({**weights(), "last.bias": torch.zeros(5)}, "'last.bias' is 5 and should be 3"),
        ({**weights(), "last.bias": torch.full((3,), torch.nan)}, "'last.bias' holds NaN"),
        *(
            ({**weights(), "last.bias": odd}, "'last.bias' holds no plain numbers")
            for odd in (
                torch.zeros(3, dtype=torch.complex64),
                torch.zeros(3, dtype=torch.int8),
                torch.zeros(3).to_sparse(),
                torch.zeros(3, device="meta"),
            )
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(state: dict[str, torch.Tensor], says: str) -> None:
    path = Path("model.tar")
    with pytest.raises(WrongWeights, match=says):
        load_weights(TinyNet(), weights_in({"state_dict": state}, path, "state_dict"), path)


@pytest.mark.parametrize(
    ("checkpoint", "says"),
    [
        ([1, 2], "it holds a list, not a dict"),
        ({"epoch": 3}, "it has no 'state_dict'; 'epoch' is no tensor"),
        ({"state_dict": {}}, "it has no 'state_dict'"),
        ({"state_dict": {"a": 1}}, "'a' is no tensor"),
    ],
)
def test_a_checkpoint_without_weights_is_told_from_wrong_ones(
    checkpoint: object, says: str
) -> None:
    with pytest.raises(WrongWeights, match=says):
        weights_in(checkpoint, Path("model.tar"), "state_dict")


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "_orig_mod."])
def test_wrappers_names_are_taken_off(prefix: str) -> None:
    given = TinyNet()
    state = {prefix + name: value for name, value in given.state_dict().items()}
    path, into = Path("model.tar"), TinyNet()
    load_weights(into, weights_in({"state_dict": state}, path, "state_dict"), path)
    torch.testing.assert_close(into.state_dict(), given.state_dict())
