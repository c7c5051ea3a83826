"""The built wheel, away from the checkout: it carries its models and does the main job."""

import json
import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build", reason="needs the dev extra")
    pytest.importorskip("hatchling", reason="needs the dev extra")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
            *("--outdir", folder, ROOT),
        ],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        size = sum(info.file_size for info in archive.infolist() if info.filename.endswith(".onnx"))
    assert {"vfx_edge/py.typed", "vfx_edge/_models/default/manifest.toml"} <= names
    assert "vfx_edge/outputs/result.schema.json" in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"vfx_edge"}
    assert size <= 40e6, "the default models may take 40 MB"


def test_torch_is_asked_for_by_extras_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    required = metadata.get_all("Requires-Dist") or []
    plain = [line for line in required if "extra ==" not in line]
    assert not [line for line in plain if line.startswith(("torch", "tensorrt", "highdicom"))]
    assert metadata["License-Expression"] == "Apache-2.0"


def test_runs_away_from_the_checkout(wheel: Path, phantom: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--target", away, wheel),
        ],
        check=True,
    )

    def vfx(*args: object) -> str:
        return subprocess.run(
            [sys.executable, "-m", "vfx_edge", *map(str, args)],
            check=True,
            capture_output=True,
            encoding="utf-8",
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(away)},
        ).stdout

    assert str(away) in vfx("models", "show")
    result = json.loads(vfx("run", phantom, "--json", "--out", "out"))
    assert result["findings"]
    assert (tmp_path / "out" / "report.html").is_file()
