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


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"levels": ("L99",)}, "levels can't be used: there is no vertebra 'L99'"),
        ({"levels": "L2-T12"}, "levels can't be used: 'L2-T12' runs upwards"),
        ({"classify": "everything"}, "classify can't be used"),
        ({"levels_by_hand": 1}, "levels_by_hand can't be used"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(
    wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(vfx_edge.VfxError, match=sentence) as refused:
        vfx_edge.Options(**wrong)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "wrong", [{"outputs": "json,nonsense"}, {"language": "fr"}, {"options": {"levels": "L1"}}]
)
def test_what_is_wrong_is_refused_before_anything_is_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(vfx_edge.VfxError, match=r"nonsense|'fr'|vfx_edge.Options"):
        vfx_edge.analyze("absent", **wrong)


def test_a_failure_is_a_vfx_error_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(vfx_edge.VfxError, match="give the folder of a CT study"):
        vfx_edge.analyze(tmp_path)
