"""The image, built by every step of its Dockerfile and used as the documents say, by podman.

Dear, for the thorough run: minutes, and the network for Debian's and Python's packages. What stands
in for the base: `engine.ensure_base`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless

from tests.containers.engine import FOLDER, Podman, ensure_base, lacking, podman
from tests.containers.engine import ROOT as CHECKOUT
from tests.waiting import HANG_S

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(lacking()), reason=f"needs {', '.join(lacking())}"),
]
IMAGE = "vfx-edge:test"
MOST_BYTES = 700e6
USER = "10001"
ALONE = ("--network", "none")
PHANTOM = ("--levels", "T11-L3", "--fracture", "L1:wedge:0.4")


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    with podman(FOLDER) as made:
        ensure_base(made)
        made.build("--tag", IMAGE)
        yield made


def test_it_is_small(engine: Podman) -> None:
    assert int(engine("image", "inspect", "--format", "{{.Size}}", IMAGE)) < MOST_BYTES


def test_it_may_write_nothing_but_its_state_and_reach_nobody(engine: Podman) -> None:
    script = (
        "id -u; id -g; ls /sys/class/net; touch /x /opt/vfx-edge/x 2>&1; touch ~/mine; ls ~;"
        "python -m pip 2>&1; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status"
    )
    said = engine.run(*ALONE, "--entrypoint", "sh", IMAGE, "-c", script).splitlines()
    assert said[:3] == [USER, USER, "lo"]
    assert [line for line in said if "Read-only" in line] == [
        "touch: cannot touch '/x': Read-only file system",
        "touch: cannot touch '/opt/vfx-edge/x': Read-only file system",
    ]
    assert "mine" in said
    assert any("No module named pip" in line for line in said)
    assert {"CapEff:\t0000000000000000", "NoNewPrivs:\t1"} <= set(said)


def test_it_triages_compressed_ct_as_the_checkout_does_plain_ct(
    engine: Podman, tmp_path: Path
) -> None:
    """Its decoder is GDCM by itself, the checkout's SimpleITK's; its runtimes are others, too."""
    local("phantom", tmp_path / "ct", *PHANTOM)
    local("run", tmp_path / "ct", "--out", tmp_path / "here", "--outputs", "json")
    for path in (tmp_path / "ct").rglob("*.dcm"):
        image = pydicom.dcmread(path)
        image.compress(JPEGLSLossless, generate_instance_uid=False)
        image.save_as(path)
    (tmp_path / "there").mkdir()
    os.chown(tmp_path / "there", int(USER), int(USER))
    tmp_path.chmod(0o755)
    volumes = ("--volume", f"{tmp_path}/ct:/ct:ro", "--volume", f"{tmp_path}/there:/out")
    engine.run(*ALONE, *volumes, IMAGE, "run", "/ct", "--out", "/out/one",
               "--outputs", "json,html,sr,seg,sc")  # fmt: skip
    here, there = (
        json.loads((tmp_path / place / "result.json").read_text("utf-8"))
        for place in ("here", "there/one")
    )
    assert there["findings"] == here["findings"]
    assert there["triage"] == here["triage"]
    assert {"sr.dcm", "seg.dcm", "report.html"} <= {
        p.name for p in (tmp_path / "there/one").iterdir()
    }


def test_it_says_what_is_in_it(engine: Podman) -> None:
    said = engine.run(*ALONE, "--entrypoint", "cat", IMAGE, "/opt/vfx-edge/sbom.cdx.json")
    names = {part["name"].lower() for part in json.loads(said)["components"]}
    assert {"numpy", "openvino", "onnxruntime", "python-gdcm", "pynetdicom"} <= names
    assert not names & {"onnxruntime-gpu", "simpleitk", "cyclonedx-bom", "torch", "pytest"}


def local(*words: object) -> None:
    command = [sys.executable, "-m", "vfx_edge", *map(str, words)]
    subprocess.run(command, check=True, cwd=CHECKOUT, timeout=HANG_S, capture_output=True)
