"""Damaged files of a work folder, and what a card may say of what was left out."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the recipes need the extra 'export'")

import torch

from models.recipes.labelled import loop
from models.recipes.labelled.collect import NoCrops, collect
from models.recipes.labelled.crops import STORED, CropFacts, StoredCrop, load, save
from models.recipes.nets import Net3D
from vfx_edge.labelled.dataset import Dataset, Label, LabelledStudy, Row
from vfx_edge.study import Level

SHAPE = (STORED,) * 3
CROP = StoredCrop(
    CropFacts("s", "p", "L1", Label.MALIGNANT), np.zeros(SHAPE, np.int16), np.ones(SHAPE, np.bool_)
)
NAME = "Doe^Jane"


def test_crops_that_are_not_whole_are_cut_again(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    assert load(path) is None
    save(path, [CROP])
    assert [crop.facts for crop in load(path) or ()] == [CROP.facts]
    whole = path.read_bytes()
    plain = tmp_path / "b.npy"
    np.save(plain, CROP.hu)
    for damaged in (b"", whole[:200], whole[:-30], b"PK" + bytes(100), bytes(len(whole)),
                    plain.read_bytes()):  # fmt: skip
        path.write_bytes(damaged)
        assert load(path) is None
    np.savez(path, hu=np.zeros((1, 2, 2)), shown=np.zeros((1, 2, 2)), facts=np.array([["x"]]))
    assert load(path) is None
    np.savez(path, facts=np.array([{}], object), hu=CROP.hu[None], shown=CROP.shown[None])
    assert load(path) is None  # nothing is unpickled


@pytest.mark.parametrize("content", [b"", b"x" * 100, None])
def test_a_damaged_state_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.state"
    if content is None:
        torch.save({"net": {}}, path)
    else:
        path.write_bytes(content)
    progress = loop.Progress(Net3D(), torch.optim.Adam([torch.zeros(1)]), log=[])
    with pytest.raises(loop.StateUnreadable, match="remove it"):
        progress.resume(path, "cpu")


def test_what_is_left_out_is_told_by_rows_alone(tmp_path: Path) -> None:
    """A card goes where the set goes."""
    path = tmp_path / f"{NAME}.nii"
    path.write_bytes(b"no CT")
    row = Row(7, NAME, NAME, Level.L1, Label.MALIGNANT, None)
    dataset = Dataset(tmp_path, (LabelledStudy(NAME, NAME, path, None, (row,)),))
    with pytest.raises(NoCrops, match="row 7: a file of the study") as caught:
        collect(dataset, tmp_path / "crops", lambda _line: None)
    assert NAME not in str(caught.value)
