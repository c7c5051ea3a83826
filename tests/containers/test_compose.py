"""compose.yaml: right by the specification's schema, and in step with the rest. `test_image.py`
brings it up."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.containers.engine import DOCKER, parsed
from tests.waiting import HANG_S
from vfx_edge import __version__
from vfx_edge.service.settings import Settings, load_settings

FILES = sorted(DOCKER.glob("compose*.yaml"))


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
