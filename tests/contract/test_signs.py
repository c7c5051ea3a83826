"""`run --signs` from outside: planted signs are in result.json, on the page and in the SR."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.contract.conftest import Answer, call

pytest.importorskip("highdicom", reason="needs the extra service")
pytestmark = pytest.mark.thorough

PLANTED = ("L1:gas:0.7",)
OUTSIDE = {"gas"}


@dataclass(frozen=True)
class Runs:
    """The same scan with and without --signs."""

    scan: Path
    with_signs: Path
    without: Path
    answers: tuple[Answer, ...]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    cwd = tmp_path_factory.mktemp("signs")
    planted = [word for sign in PLANTED for word in ("--sign", sign)]
    made = call(
        *("phantom", "ct", "--levels", "T10-L4", "--spacing", "1.5", "--matrix", "96"),
        *("--fracture", "L1:wedge:0.35", *planted),
        cwd=cwd,
    )
    assert made.code == 0, made
    kinds = ("--outputs", "json,html,sr", "--quiet")
    answers = (
        call("run", "ct", "-o", "with", "--signs", *kinds, cwd=cwd),
        call("run", "ct", "-o", "without", *kinds, cwd=cwd),
    )
    return Runs(cwd / "ct", cwd / "with", cwd / "without", answers)


def result(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return read


def test_planted_signs_are_marked_and_the_result_is_of_the_schema(runs: Runs) -> None:
    assert [answer.code for answer in runs.answers] == [0, 0], runs.answers
    written = result(runs.with_signs)
    schema = json.loads(files("vfx_edge.outputs").joinpath("result.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(written)
    (broken,) = [one for one in written["findings"] if one["level"] == "L1"]
    marked = {
        sign["name"]
        for sign in broken["signs"]
        if sign["value"] is not None
        and (
            (sign["normal_high"] is not None and sign["value"] > sign["normal_high"])
            or (sign["normal_low"] is not None and sign["value"] < sign["normal_low"])
        )
    }
    assert marked >= OUTSIDE, broken["signs"]
    assert all((s["value"] is None) == (s["reason"] is not None) for s in broken["signs"])


def test_the_page_tells_them(runs: Runs) -> None:
    page = (runs.with_signs / "report.html").read_text("utf-8")
    assert "Gas within the body" in page
    assert "Gas within the body" not in (runs.without / "report.html").read_text("utf-8")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_the_sr_codes_them_and_is_valid(runs: Runs) -> None:
    for folder, told in ((runs.with_signs, True), (runs.without, False)):
        path = folder / "sr.dcm"
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr + said.stdout
        assert (b"SIGN_GAS" in path.read_bytes()) is told


def test_nothing_else_of_the_result_changes(runs: Runs) -> None:
    mine, plain = result(runs.with_signs), result(runs.without)
    for one in mine["findings"]:
        one.pop("signs", None)
    assert mine["findings"] == plain["findings"]
    assert mine["triage"] == plain["triage"]
