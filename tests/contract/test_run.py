"""A whole run on a phantom, as the outside world sees it."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from tests.contract.conftest import Answer, Command, call
from tests.waiting import HANG_S, eventually

STAGES = ("read", "locate", "label", "segment", "measure", "classify", "write", "total")
TRIAGE_EXIT = {
    "malignant": 10,
    "uncertain": 11,
    "osteoporotic": 12,
    "not_assessable": 13,
    "none_suspected": 0,
}


@dataclass(frozen=True)
class Run:
    """One finished run with --json, --triage-exit-code and all outputs."""

    answer: Answer
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "result.json").read_text("utf-8"))
        return read


@pytest.fixture(scope="module")
def run(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    cwd = tmp_path_factory.mktemp("run")
    answer = call(
        *("run", phantom, "--out", cwd / "out", "--outputs", "json,html,nifti"),
        *("--json", "--triage-exit-code", "--language", "de"),
        cwd=cwd,
    )
    return Run(answer, cwd / "out")


def test_exit_code_is_the_tier(run: Run) -> None:
    assert run.answer.code == TRIAGE_EXIT[run.result["triage"]["tier"]], run.answer


def test_standard_output_is_the_result_and_nothing_else(run: Run) -> None:
    assert json.loads(run.answer.stdout) == run.result


def test_no_progress_where_there_is_no_terminal(run: Run) -> None:
    """People find the verdict on standard error, without bars, escapes or a runtime's words."""
    assert "\x1b" not in run.answer.stderr
    assert "\r" not in run.answer.stderr
    assert not re.search(
        r"onnxruntime|openvino.*warn|itk|Reading the scan", run.answer.stderr, re.I
    )


def test_result_is_valid_against_the_shipped_schema(run: Run) -> None:
    schema = json.loads(files("vfx_edge.outputs").joinpath("result.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(run.result)
    assert run.result["schema"] == "vfx-edge/result/2"


def test_result_says_how_it_came_about(run: Run) -> None:
    how = run.result["run"]
    assert how["backend"]["requested"] == "auto"
    assert how["backend"]["used"] not in {"auto", "fake"}
    assert all(skipped["reason"] for skipped in how["backend"]["skipped"])
    assert set(STAGES) <= set(how["seconds"])
    parts = sum(seconds for stage, seconds in how["seconds"].items() if stage != "total")
    assert parts <= how["seconds"]["total"] + 0.1
    assert how["seconds"]["read"] > 0
    assert how["seconds"]["write"] > 0
    assert {model["role"] for model in how["models"]} == {
        *("locator", "finder", "labeller", "segmenter", "classifier")
    }


def test_findings_lie_where_the_phantom_has_them(run: Run, phantom: Path) -> None:
    truth = {v["level"]: v for v in json.loads((phantom / "truth.json").read_text())["levels"]}
    found = {f["level"]: f for f in run.result["findings"]}
    assert len(found) == len(run.result["findings"]), "a level was found twice"
    whole = [level for level, v in truth.items() if v["whole_in_view"]]
    near = [
        level
        for level in whole
        if level in found
        and _distance(found[level]["centroid_lps_mm"], truth[level]["centroid_lps_mm"]) < 15
    ]
    assert len(near) >= 0.8 * len(whole), f"of {whole} only {near} were found"
    assert "L1" in near
    assert found["L1"]["suspected_fracture"] is True


def _distance(a: list[float], b: list[float]) -> float:
    return math.dist(a, b)


def test_files_are_those_of_the_contract(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    stems = {name.removesuffix("_ct.nii.gz") for name in names if name.endswith("_ct.nii.gz")}
    (stem,) = stems
    assert names == {
        *("result.json", "report.html"),
        *(f"{stem}_ct.nii.gz", f"{stem}_seg-vert_msk.nii.gz", f"{stem}_seg-vert_ctd.json"),
    }


def test_report_stands_alone_in_the_asked_language(run: Run) -> None:
    page = (run.folder / "report.html").read_text("utf-8")
    assert '<html lang="de"' in page
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:|//)", page)


def test_nothing_names_the_patient(run: Run) -> None:
    shown = (run.folder / "result.json").read_text("utf-8") + run.answer.stderr
    shown += (run.folder / "report.html").read_text("utf-8")
    assert "PHANTOM^" not in shown
    assert not re.search(r"patient.?name|birth|VFX-[0-9A-F]{8}", shown, re.I)


def test_quiet_run_in_its_default_folder(vfx: Command, phantom: Path, tmp_path: Path) -> None:
    answer = vfx("run", phantom, "--quiet", "--levels", "T12-L2", "--classify", "all")
    assert (answer.code, answer.stderr) == (0, "")
    (folder,) = (tmp_path / "cwd" / "vfx-edge-out").iterdir()
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert folder.name == result["series"]["series_uid"]
    assert {path.name for path in folder.iterdir()} == {"result.json", "report.html"}
    assert result["triage"]["recommendation"] in answer.stdout
    assert "Genant" not in answer.stdout
    for finding in result["findings"]:
        if finding["level"] not in {"T12", "L1", "L2"}:
            assert finding["assessment"]["kind"] != "classified"


def test_a_fracture_that_is_not_classified_is_no_all_clear(
    vfx: Command, phantom: Path, tmp_path: Path
) -> None:
    """L1 is broken; asking the classifier about a level that is not there must not hide that."""
    assert vfx("run", phantom, "--classify", "C3", "--out", tmp_path / "out").code == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    (broken,) = [f for f in result["findings"] if f["level"] == "L1"]
    assert broken["suspected_fracture"] is True
    assert broken["assessment"]["kind"] == "not_classified"
    assert broken["assessment"]["reason"] == "cause_not_classified"
    assert broken["assessment"]["tier"] == result["triage"]["tier"] == "uncertain"
    assert result["triage"]["levels"] == ["L1"]


def test_a_vertebra_in_view_that_is_not_read_is_named_and_changes_the_exit_code(
    vfx: Command, tmp_path: Path
) -> None:
    """An intact spine with its masks, of which one is then taken away."""
    made = vfx("phantom", tmp_path / "ct", "--levels", "T11-L4", "--spacing", "2.5", "--seed", "5")
    assert made.code == 0, made
    assert vfx("run", tmp_path / "ct", "--out", tmp_path / "own", "--outputs", "nifti").code == 0
    mask = sitk.ReadImage(next((tmp_path / "own").glob("*_msk.nii.gz")))
    path = tmp_path / "mask.nii.gz"
    asked = ("--segmentation", path, "--triage-exit-code", "--outputs", "json", "--json")
    for taken, code in (((), 0), ((21,), 14)):
        numbers = sitk.GetArrayFromImage(mask)
        numbers[np.isin(numbers, taken)] = 0
        changed = sitk.GetImageFromArray(numbers)
        changed.CopyInformation(mask)
        sitk.WriteImage(changed, path)
        answer = vfx("run", tmp_path / "ct", "--out", tmp_path / "out", *asked)
        triage = json.loads(answer.stdout)["triage"]
        assert (answer.code, triage["tier"]) == (code, "none_suspected"), answer
        unread = [one["level"] for one in triage["coverage"]["unread"]]
        assert unread == (["L2"] if taken else [])
        assert triage["coverage"]["complete"] == (not taken)
        assert ("L2 could not be read" in answer.stderr) == bool(taken)
        for level in ("T12", "L3"):
            assert level in triage["coverage"]["assessed"]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_progress_on_a_terminal_vanishes(phantom: Path, tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "vfx_edge", "run", str(phantom), "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    stdout = process.communicate()[0].decode("utf-8")
    os.close(ours)
    assert process.returncode == 0
    assert b"Outlining each vertebra" in shown
    assert shown.rstrip().endswith((b"\x1b[2K", b"\x1b[?25h\r\x1b[1A\x1b[2K"))
    assert "Report: " in stdout


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""


@pytest.mark.skipif(sys.platform != "linux", reason="sends a POSIX signal, reads /proc")
@pytest.mark.usefixtures("receives_ctrl_c")
def test_interrupted_run_leaves_nothing_behind(phantom: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vfx_edge", "run", str(phantom), "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert eventually(lambda: _is_at_work(process.pid))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=HANG_S)
    assert (process.returncode, stdout, stderr) == (130, "", "vfx-edge: stopped.\n")
    assert not list(tmp_path.rglob("*.*"))


def _is_at_work(pid: int) -> bool:
    """Whether the process has loaded what runs networks: Python alone may take seconds to start."""
    return any("_pyopenvino" in file.path for file in psutil.Process(pid).memory_maps())
