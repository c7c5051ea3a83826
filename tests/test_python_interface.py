"""`import vfx_edge`: what docs/python.md shows does what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import vfx_edge
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import FractureSpec, PhantomSpec, make_phantom

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text("utf-8")
EXAMPLE, OF_OPTIONS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_phantom(
        PhantomSpec(
            levels=("T11", "L4"), spacing_mm=2.0, fractures=(FractureSpec("L1", "wedge", 0.4),)
        )
    )
    folder = tmp_path_factory.mktemp("python")
    write_ct_series(made.hu, made.affine_zyx_to_lps, folder / "ct")
    return folder


def test_the_example_runs_and_its_result_is_the_commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    known: dict[str, Any] = {}
    exec(EXAMPLE, known)
    written = json.loads((folder / "results" / "result.json").read_text("utf-8"))
    result = known["result"]
    assert [f.vertebra.level.value for f in result.findings] == [
        f["level"] for f in written["findings"]
    ]
    assert result.triage.tier == written["triage"]["tier"]
    assert (folder / "results" / "report.html").is_file()
    shown = capsys.readouterr().out
    assert shown.startswith(f"{result.triage.tier} ")
    assert re.search(r"^L1 [34]\d% classified$", shown, re.MULTILINE)
    before = set(folder.rglob("*"))
    exec(OF_OPTIONS, known)
    assert set(folder.rglob("*")) == before, "without out= nothing is written"
    lumbar = known["result"]
    assert {
        f.vertebra.level.value for f in lumbar.findings if f.assessment.kind == "classified"
    } > {"L1", "L2"}


def test_a_failure_is_a_vfx_error_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(vfx_edge.VfxError, match="give the folder of a CT study"):
        vfx_edge.analyze(tmp_path)
