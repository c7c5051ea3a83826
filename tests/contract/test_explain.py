"""`run --explain` on a phantom, as the outside world sees it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import SimpleITK as sitk

from tests.contract.conftest import Command
from vfx_edge.outputs.result_json import load_schema


@pytest.mark.thorough
def test_maps_are_added_and_all_else_stays(vfx: Command, phantom: Path, tmp_path: Path) -> None:
    """By the shipped networks."""
    for name, more in (("plain", ()), ("mapped", ("--explain",))):
        out = tmp_path / name
        answer = vfx("run", phantom, "--out", out, "--outputs", "html,nifti", *more)
        assert answer.code == 0, answer
    plain, mapped = (_read(tmp_path / name) for name in ("plain", "mapped"))
    jsonschema.validate(mapped, load_schema())
    told = {f["level"]: f.pop("explanation") for f in mapped["findings"] if "explanation" in f}
    assert list(told) == ["L1"]
    assert mapped["findings"] == plain["findings"]
    assert mapped["triage"] == plain["triage"]
    assert mapped["run"]["seconds"]["explain"] > 0
    assert "explain" not in plain["run"]["seconds"]
    (path,) = (tmp_path / "mapped").glob("*_explain-L1.nii.gz")
    stored = sitk.ReadImage(str(path))
    inside = stored.TransformPhysicalPointToIndex(told["L1"]["largest_at_lps_mm"])
    assert all(0 <= i < n for i, n in zip(inside, stored.GetSize(), strict=True))
    page = (tmp_path / "mapped" / "report.html").read_text("utf-8")
    assert page.count('class="heat"') == 2


def _read(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return read
