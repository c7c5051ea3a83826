"""A manifest to fill in, of each role."""

from pathlib import Path

import onnx
import pytest

from export.by_manifest import spec_of
from export.template import KINDS
from tests.export.conftest import Run
from tests.export.filling import CLASSES, filled
from tests.export.onnx_files import PATCH, conv, model, plain, pooled, value, weights


@pytest.mark.parametrize("role", KINDS)
def test_the_template_of_each_role_is_a_manifest_once_it_is_filled_in(
    role: str, tmp_path: Path, run: Run
) -> None:
    kind, count = KINDS[role], len(CLASSES[role])
    given = [value("ct", ("n", kind.channels, *PATCH))]
    constants = [weights(count, kind.channels)]
    if kind.voxelwise:
        made = model(
            [conv()],
            constants=constants,
            given=given,
            answers=[value("answer", ("n", count, *PATCH))],
        )
    else:
        made = model(
            pooled(),
            constants=constants,
            given=given,
            answers=[value("answer", ("n", count, 1, 1, 1))],
        )
    file, manifest = tmp_path / "n\x1b[2J\udcff.onnx", tmp_path / "mine.toml"
    onnx.save(made, file)
    code, _, err = run("onnx", file, "--template", manifest, "--role", role)
    assert code == 0, err
    code, _, err = run("onnx", file, "--manifest", manifest, "-o", tmp_path / "mine")
    assert (code, "still holds the template's words" in err) == (4, True), err
    spec = spec_of(filled(manifest, role))
    assert spec.roles == (("labeller", "segmenter") if role == "joint" else (role,))
    code, _, err = run("onnx", file, "--manifest", manifest, "-o", tmp_path / "mine")
    assert code == 0, err


def test_without_a_role_the_fitting_ones_are_named(tmp_path: Path, run: Run) -> None:
    onnx.save(plain(), tmp_path / "n.onnx")
    code, _, err = run("onnx", tmp_path / "n.onnx", "--template", tmp_path / "mine.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert "1 channel, 3 classes for each voxel can be locator, finder, joint" in err
    assert not (tmp_path / "mine.toml").exists()
