"""What every test log should say about the machine, and what many tests share."""

import os
import platform
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fake_card import fake_driver, machine

__all__ = ["fake_driver", "machine"]

# How long an example takes is the machine's affair.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SHOWN = ("numpy", "scipy", "pydicom", "SimpleITK", "onnx", "onnxruntime-gpu", "openvino")


def pytest_report_header() -> list[str]:
    return [
        f"machine: {platform.platform()}, {os.cpu_count()} cores",
        "versions: " + ", ".join(f"{name} {_version(name)}" for name in SHOWN),
        *(f"backend {line}" for line in _backends()),
    ]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def _backends() -> list[str]:
    from vfx_edge.backends import probe_backends

    return [f"{a.name}: {a.device if a.available else a.reason}" for a in probe_backends()]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CTs beside the checkout; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the real CTs in ../shared/data, which are not part of the repository")
    return SHARED


@pytest.fixture
def receives_ctrl_c() -> Iterator[None]:
    """Programs started now receive SIGINT: what a shell starts in the background ignores it, and so
    does what that starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
