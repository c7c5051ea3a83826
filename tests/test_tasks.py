"""A new task is one file and one row, and so is an output of its own."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.itk_images import image_affine
from vfx_edge.cli import main
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.outputs.kinds import KINDS, OutputKind
from vfx_edge.phantom import Phantom, PhantomSpec, make_phantom
from vfx_edge.tasks import TASKS, Task

TASK = Task("likeliness", "where spine is likely", "CT", "tests.toy_task", "Likeliness")
KIND = OutputKind(
    "likeliness", "the likeliness as an image", ("likeliness.nii.gz",), "tests.toy_task:write",
    default=True, answer="Likeliness",
)  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Phantom:
    return make_phantom(PhantomSpec(levels=("T11", "L4"), spacing_mm=3.0, pixel_mm=2.0))


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vfx-edge", "run", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_task_whose_answer_is_an_image(
    made: Phantom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.setitem(TASKS, TASK.name, TASK)
    monkeypatch.setitem(KINDS, KIND.name, KIND)
    write_ct_series(made.hu, made.affine_zyx_to_lps, tmp_path / "ct")
    out = tmp_path / "out"
    assert run(monkeypatch, str(tmp_path / "ct"), "--out", str(out), "--task", TASK.name) == 0
    assert sorted(p.name for p in out.iterdir()) == ["likeliness.nii.gz", "result.json"]
    assert capsys.readouterr().out.strip() == f"Results: {out}"
    result = json.loads((out / "result.json").read_text("utf-8"))
    assert [network["role"] for network in result["run"]["models"]] == ["locator"]
    assert set(result["run"]["seconds"]) == {"read", "locate", "write", "total"}
    image = sitk.ReadImage(str(out / "likeliness.nii.gz"))
    likely = np.argwhere(sitk.GetArrayFromImage(image) > 0.5)
    centre = (image_affine(image) @ [*likely.mean(0), 1.0])[:3]
    bodies = np.array([truth.centroid_lps_mm for truth in made.truth.levels])
    assert np.linalg.norm((centre - bodies.mean(0))[:2]) < 40  # along the spine


def test_each_task_offers_its_own_outputs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    monkeypatch.setitem(TASKS, TASK.name, TASK)
    monkeypatch.setitem(KINDS, KIND.name, KIND)
    assert TASK.outputs == ("json", "likeliness")
    assert "likeliness" not in TASKS["fractures"].outputs
    assert run(monkeypatch, "absent", "--task", TASK.name, "--outputs", "html") == 2
    assert "use any of json, likeliness" in " ".join(
        capsys.readouterr().err.replace("│", " ").split()
    )


@pytest.mark.parametrize(
    "option",
    [
        ("--levels", "L1"),
        ("--classify", "all"),
        ("--shift-levels", "1"),
        ("--explain",),
        ("--triage-exit-code",),
    ],
    ids=lambda option: option[0],
)
def test_options_of_another_task_are_refused(
    option: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setitem(TASKS, TASK.name, TASK)
    assert run(monkeypatch, "absent", "--task", TASK.name, *option) == 2
    assert f"{option[0]} belongs to the task" in " ".join(
        capsys.readouterr().err.replace("│", " ").split()
    )


def test_a_task_that_is_not_there_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "absent", "--task", "likeliness") == 2
    assert "'likeliness' is no task" in capsys.readouterr().err
