"""compose.yaml: right by the specification's schema, in step with the rest, and coming up."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.containers.engine import DOCKER, FOLDER, ROOT, Podman, ensure_base, lacking, podman
from tests.service.processes import free_port
from tests.waiting import HANG_S, eventually
from vfx_edge import __version__
from vfx_edge.service.settings import Settings, load_settings

BIN = Path(sys.executable).parent
FILES = sorted(DOCKER.glob("compose*.yaml"))
PROJECT = "vfx-edge-test"
STAND_IN = "orthanc-stand-in"
IMAGES = 6
"""Of the CT that is sent."""


def parsed(path: Path) -> Any:
    return pytest.importorskip("yaml").safe_load(path.read_text("utf-8"))


def services() -> Any:
    return parsed(DOCKER / "compose.yaml")["services"]


def settings() -> Settings:
    return load_settings(DOCKER / "service.toml", {})


def test_each_keeps_to_the_specification() -> None:
    pytest.importorskip("check_jsonschema")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*words, *FILES], capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert done.returncode == 0, done.stdout


def test_nothing_is_published_beyond_this_machine_unless_told_to() -> None:
    for name, service in services().items():
        for port in service["ports"]:
            assert re.match(r"\$\{[A-Z_]+:-127\.0\.0\.1\}:\d+:\d+$", port), (name, port)


def test_what_the_image_needs_not_it_has_not() -> None:
    for service in services().values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")
    ours = services()["vfx-edge"]
    assert ours["read_only"] is True
    assert "user" not in ours, "the image's own, which is not root"
    assert parsed(DOCKER / "compose.yaml")["networks"]["inside"]["internal"] is True


def test_orthanc_and_the_service_find_each_other() -> None:
    orthanc = json.loads((DOCKER / "orthanc.json").read_text("utf-8"))
    ours = settings()
    host = next(name for name, one in services().items() if "build" in one)
    assert orthanc["DicomModalities"]["vfx-edge"] == [ours.ae_title, host, ours.port]
    command = services()["vfx-edge"]["command"]
    sent_to = command[command.index("--send") + 1]
    assert sent_to == f"{orthanc['DicomAet']}@orthanc:{orthanc['DicomPort']}"
    (lua,) = orthanc["LuaScripts"]
    mounted = dict(volume.split(":")[1::-1] for volume in services()["orthanc"]["volumes"])
    assert (DOCKER / mounted[lua]).is_file()
    assert (DOCKER / mounted["/etc/orthanc/orthanc.json"]).is_file()


def test_the_image_is_of_this_version_and_asks_the_page_that_is_there() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text("utf-8")
    assert f"ARG VERSION={__version__}\n" in dockerfile
    port = settings().http.rpartition(":")[2]
    assert f"127.0.0.1:{port}/healthz" in (DOCKER / "healthy.py").read_text("utf-8")
    assert f"EXPOSE {settings().port} {port}\n" in dockerfile


@contextmanager
def up(engine: Podman, folder: Path, ports: dict[str, int]) -> Iterator[None]:
    """The whole of compose.yaml, in podman; what podman has not, or a test has no time for, is
    taken out: a bridge without masquerading, Orthanc's image, 20 s until a series is stable."""
    whole = parsed(DOCKER / "compose.yaml")
    whole["networks"]["pages"] = {}
    ours, orthanc = whole["services"]["vfx-edge"], whole["services"]["orthanc"]
    del ours["build"]
    ours |= {"image": "localhost/vfx-edge:test", "healthcheck": {"disable": True}}
    orthanc |= {"image": f"localhost/{STAND_IN}"}
    for service in (ours, orthanc):
        service["ports"] = [f"127.0.0.1:{ports[p.rpartition(':')[2]]}:{p.rpartition(':')[2]}"
                            for p in service["ports"]]  # fmt: skip
        service["restart"] = "no"
    configured = json.loads((DOCKER / "orthanc.json").read_text("utf-8")) | {"StableAge": 2}
    (folder / "docker").mkdir()
    (folder / "docker" / "orthanc.json").write_text(json.dumps(configured))
    shutil.copytree(ROOT / "integration" / "orthanc", folder / "orthanc")
    file = folder / "docker" / "compose.json"
    file.write_text(json.dumps(whole))
    command = folder / "podman"
    command.write_text("#!/bin/sh\nexec " + " ".join(engine.words()) + ' "$@"\n')
    command.chmod(0o755)

    def compose(*words: str) -> None:
        asked = [str(BIN / "podman-compose"), "--podman-path", str(command), "--in-pod", "false"]
        subprocess.run(
            [*asked, "--project-name", PROJECT, "--file", str(file), *words],
            check=True, env=engine.environment, timeout=HANG_S, cwd=file.parent,
        )  # fmt: skip

    compose("up", "--detach")
    try:
        yield
    finally:
        compose("down", "--volumes", "--timeout", "5")


@pytest.mark.thorough
@pytest.mark.skipif(bool(lacking()), reason=f"needs {', '.join(lacking())}")
@pytest.mark.skipif(shutil.which("dcmsend") is None, reason="needs dcmtk: make peers installs it")
def test_ct_goes_to_orthanc_and_results_come_to_it(tmp_path: Path) -> None:
    words = ["phantom", str(tmp_path / "ct"), "--levels", "T11-L3", "--fracture", "L1:wedge:0.4"]
    subprocess.run([sys.executable, "-m", "vfx_edge", *words], check=True, cwd=ROOT)
    ports = {inside: free_port() for inside in ("4242", "8042", "8080")}
    with podman(FOLDER) as engine:
        ensure_base(engine)
        engine.build("--tag", "vfx-edge:test")
        engine.build("--tag", STAND_IN, file=ROOT / "tests/containers/Orthanc.Dockerfile")
        with up(engine, tmp_path, ports):
            assert eventually(lambda: answers(ports["8042"], "/system"))
            assert eventually(lambda: answers(ports["8080"], "/healthz"))
            send = ["dcmsend", "-aec", "ORTHANC", "+sd", "+r", "127.0.0.1", str(ports["4242"])]
            subprocess.run([*send, str(tmp_path / "ct")], check=True, timeout=HANG_S)
            assert eventually(lambda: {"CT", "SR", "SEG", "OT"} <= modalities(ports["8042"]))
            assert answers(ports["8042"], "/dicom-web/studies"), "what OHIF reads"
            name = f"{PROJECT}_vfx-edge_1"
            assert engine("exec", name, "python", "/opt/vfx-edge/healthy.py") == ""
            assert "Read-only" in engine("exec", name, "touch", "/x", check=False)
            assert engine("exec", name, "id", "-u").strip() != "0"


def answers(port: int, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=HANG_S) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def modalities(port: int) -> set[str]:
    found = answers(port, "/series?expand") or []
    return {one["MainDicomTags"].get("Modality", "") for one in found}
