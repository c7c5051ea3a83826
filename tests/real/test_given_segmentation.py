"""Fractures in expert masks, by `--segmentation` and a CT painted from the mask."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

SHAPES = Path(__file__).parents[3] / "shared" / "data" / "shapes"

pytestmark = pytest.mark.skipif(
    not SHAPES.is_dir(), reason="expert masks are not in ../shared/data: they are never shipped"
)


def painted(mask: Path, path: Path) -> Path:
    """A CT with bone where the mask is and soft tissue elsewhere, air at the rim."""
    labels = sitk.ReadImage(str(mask))
    bone = sitk.GetArrayFromImage(labels) > 0
    hu = np.where(bone, 300, 40).astype(np.int16)
    hu[..., :2] = -1000
    image = sitk.GetImageFromArray(hu)
    image.CopyInformation(labels)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize(("name", "broken"), [("sub-sample001", "L2"), ("sub-verse004", "L1")])
def test_the_compressed_vertebra_is_suspected_and_few_others(
    tmp_path: Path, name: str, broken: str
) -> None:
    mask = SHAPES / f"{name}_seg-vert_msk.nii.gz"
    ct = painted(mask, tmp_path / "ct.nii.gz")
    command = ["run", str(ct), "--segmentation", str(mask), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "vfx_edge", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    losses = {f["level"]: f["height_loss"] for f in result["findings"]}
    suspected = [f["level"] for f in result["findings"] if f["suspected_fracture"]]
    assert losses[broken] >= 0.2, losses
    assert broken in suspected
    assert len(suspected) <= 3, losses
