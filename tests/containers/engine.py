"""Podman, which needs no daemon, and what stands in for images that can't be had offline.

Nothing of the machine's own images and containers is touched: podman's files are in a folder of
their own, its mounts in a namespace of their own.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "integration" / "docker"
FOLDER = Path(os.environ.get("VFX_EDGE_CONTAINERS", ROOT / "build" / "containers"))
"""Kept, so that steps that are as they were are not done again."""
NEEDED = ("podman", "crun", "debootstrap", "unshare", "nsenter", "iptables")
RELEASE, BASE = "bookworm", "docker.io/library/debian:bookworm-slim"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
TRUSTED = "/usr/local/share/ca-certificates/machine.crt"
"""Where Debian's own package takes certificates of a site from."""
# debootstrap leaves what the image that it stands in for leaves out
SURPLUS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info",
           "var/cache/apt", "var/lib/apt/lists", "var/log")  # fmt: skip
PROJECT = "vfx-edge-test"
SUBNET = "10.253.11"
# What the hardening of compose.yaml says, as `run` has it.
CONFINED = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges",
            "--tmpfs", "/tmp:mode=1777", "--health-interval", "disable")  # fmt: skip
CONF = """[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""Limits not above this machine's own, which a container may not raise."""


def parsed(path: Path) -> Any:
    """A YAML file's values."""
    return pytest.importorskip("yaml").safe_load(path.read_text("utf-8"))


def lacking() -> list[str]:
    """What a build needs and this machine has not."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin"
    found = [name for name in NEEDED if shutil.which(name, path=places) is None]
    return found if os.geteuid() == 0 else [*found, "root"]


@dataclass(frozen=True)
class Podman:
    """Podman with its files below `folder`. `holder`: who holds its mounts."""

    folder: Path
    holder: int

    @property
    def environment(self) -> dict[str, str]:
        """With its own settings."""
        return {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}

    def words(self) -> list[str]:
        """The command without its own words."""
        enter = ["nsenter", "--mount", f"--target={self.holder}"]
        places = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run")]
        return [*enter, "podman", *places]

    def __call__(self, *words: object, check: bool = True) -> str:
        """What it prints. Fails where it fails, with what it said."""
        done = subprocess.run(
            [*self.words(), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=False,
            env=self.environment,
            cwd=ROOT,
        )
        assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout if done.returncode == 0 else f"{done.returncode} {done.stderr}"

    def build(self, *words: object, file: Path = DOCKER / "Dockerfile") -> None:
        """An image of a Dockerfile, on images that are here; its steps see the machine's network
        and certificates, as steps of a build do."""
        certificates = f"{CERTIFICATES}:{TRUSTED}:ro"
        how = ("--isolation", "chroot", "--format", "docker", "--pull-never", "--network", "host")
        self("build", *how, "--volume", certificates, "--file", file, *words, file.parents[2])

    def run(self, *words: object, limits: Sequence[str] = CONFINED, check: bool = True) -> str:
        """What a container of these words prints."""
        return self("run", "--rm", *limits, *words, check=check)


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """Ready to be used; its containers end with the block."""
    # A machine with both kinds of control groups: crun takes the first alone.
    script = "umount /sys/fs/cgroup/unified 2>/dev/null; echo; exec sleep infinity"
    words = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.conf").write_text(CONF)
        engine = Podman(folder, holder.pid)
        engine("rm", "--all", "--force", "--time", "1", check=False)  # of a run that was killed
        try:
            yield engine
        finally:
            engine("rm", "--all", "--force", "--time", "5", check=False)
            engine("network", "prune", "--force", check=False)
            holder.kill()


def ensure_base(engine: Podman) -> None:
    """An image in the place of Debian's slim one, of the same packages, by Debian's own tool."""
    if engine("image", "exists", BASE, check=False) == "":
        return
    root = engine.folder / "base"
    shutil.rmtree(root, ignore_errors=True)
    words = ["debootstrap", "--variant=minbase", RELEASE, str(root)]
    subprocess.run(words, check=True, capture_output=True, timeout=HANG_S)
    for name in SURPLUS:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir()
    archive = engine.folder / "base.tar"
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True, timeout=HANG_S)
    engine("import", archive, BASE)
    shutil.rmtree(root)
    archive.unlink()


@contextmanager
def composed(
    engine: Podman, folder: Path, images: dict[str, str], ports: dict[str, int]
) -> Iterator[None]:
    """The whole of compose.yaml, in podman; what podman has not, or a test has no time for, is
    taken out: a bridge without masquerading, names by DNS, 20 s until a series is stable.
    `images`: of each service; `ports`: of this machine for each that is published."""
    whole = parsed(DOCKER / "compose.yaml")
    whole["networks"]["pages"] = {}
    whole["networks"]["inside"]["ipam"] = {"config": [{"subnet": f"{SUBNET}.0/24"}]}
    hosts = {name: f"{SUBNET}.{at}" for at, name in enumerate(whole["services"], 10)}
    for name, service in whole["services"].items():
        service.pop("build", None)
        service["networks"] = {"inside": {"ipv4_address": hosts[name]}, "pages": {}}
        service["extra_hosts"] = [f"{host}:{at}" for host, at in hosts.items() if host != name]
        inside = [port.rpartition(":")[2] for port in service["ports"]]
        service |= {
            "image": images[name],
            "ports": [f"127.0.0.1:{ports[port]}:{port}" for port in inside],
            "restart": "no",
            "healthcheck": {"disable": True},  # its timer is systemd's
        }
    configured = json.loads((DOCKER / "orthanc.json").read_text("utf-8")) | {"StableAge": 2}
    (folder / "docker").mkdir()
    (folder / "docker" / "orthanc.json").write_text(json.dumps(configured))
    shutil.copytree(ROOT / "integration" / "orthanc", folder / "orthanc")
    file = folder / "docker" / "compose.yaml"
    file.write_text(json.dumps(whole))
    command = folder / "podman"
    command.write_text("#!/bin/sh\nexec " + " ".join(engine.words()) + ' "$@"\n')
    command.chmod(0o755)

    def compose(*words: str) -> None:
        program = str(Path(sys.executable).with_name("podman-compose"))
        asked = [program, "--podman-path", str(command), "--in-pod", "false"]
        done = subprocess.run(
            [*asked, "--project-name", PROJECT, "--file", str(file), *words],
            env=engine.environment, timeout=HANG_S, cwd=file.parent,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    compose("up", "--detach")
    try:
        yield
    finally:
        compose("down", "--volumes", "--timeout", "5")
