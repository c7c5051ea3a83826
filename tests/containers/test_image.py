"""The image, built by every step of its Dockerfile and used as the documents say, by podman.

Dear, for the thorough run: minutes, and the network for Debian's and Python's packages. What stands
in for the base: `engine.ensure_base`.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import JPEGLSLossless

from tests.containers.engine import (
    FOLDER,
    PROJECT,
    Podman,
    composed,
    ensure_base,
    lacking,
    podman,
)
from tests.containers.engine import ROOT as CHECKOUT
from tests.waiting import HANG_S, eventually

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(bool(lacking()), reason=f"needs {', '.join(lacking())}"),
]
IMAGE = "vfx-edge:test"
ORTHANC = "orthanc-stand-in"
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


@pytest.mark.skipif(shutil.which("dcmsend") is None, reason="needs dcmtk: make peers installs it")
def test_compose_brings_up_orthanc_which_gets_the_results(engine: Podman, tmp_path: Path) -> None:
    pytest.importorskip("podman_compose")
    local("phantom", tmp_path / "ct", *PHANTOM)
    engine.build("--tag", ORTHANC, file=CHECKOUT / "tests/containers/Orthanc.Dockerfile")
    ports = free_ports("4242", "8042", "8080")
    images = {"vfx-edge": f"localhost/{IMAGE}", "orthanc": f"localhost/{ORTHANC}"}
    with composed(engine, tmp_path, images, ports):
        assert eventually(lambda: answer(ports["8042"], "/system"))
        assert eventually(lambda: answer(ports["8080"], "/healthz"))
        send = ["dcmsend", "-aec", "ORTHANC", "+sd", "+r", "+sp", "*.dcm"]
        send += ["127.0.0.1", str(ports["4242"])]
        subprocess.run([*send, str(tmp_path / "ct")], check=True, timeout=HANG_S)
        assert eventually(lambda: {"CT", "SR", "SEG", "OT"} <= modalities(ports["8042"]))
        assert answer(ports["8042"], "/dicom-web/studies"), "what OHIF reads"
        name = f"{PROJECT}_vfx-edge_1"
        assert engine("exec", name, "python", "/opt/vfx-edge/healthy.py") == ""
        assert "Read-only" in engine("exec", name, "touch", "/x", check=False)
        assert engine("exec", name, "id", "-u").strip() == USER


def free_ports(*inside: str) -> dict[str, int]:
    """A port of this machine for each, of those that the system gives away."""
    with ExitStack() as held:
        sockets = {name: held.enter_context(socket.socket()) for name in inside}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}


def answer(port: int, path: str) -> Any:
    """What is said there; nothing as long as nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=HANG_S) as said:
            return json.load(said)
    except (OSError, ValueError):
        return None


def modalities(port: int) -> set[str]:
    """Of all series in Orthanc."""
    found = answer(port, "/series?expand") or []
    return {one["MainDicomTags"].get("Modality", "") for one in found}


def local(*words: object) -> None:
    command = [sys.executable, "-m", "vfx_edge", *map(str, words)]
    subprocess.run(command, check=True, cwd=CHECKOUT, timeout=HANG_S, capture_output=True)
