"""What every test log should say about the machine, what many tests share, and in which order they
are run."""

import os
import platform
import signal
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two processes test beside each other: a library's second thread would only wait for the first, at
# full load. (Before NumPy is loaded; programs that the tests start inherit it.)
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.fake_card import fake_driver, machine

__all__ = ["fake_driver", "machine"]

# How long an example takes is the machine's affair. The default run draws the same few examples
# each time: it never fails by chance. `make test-thorough` draws others, and as many as asked for.
ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", ANY_MACHINE, print_blob=True)
settings.register_profile("few", ANY_MACHINE, derandomize=True, max_examples=25)
settings.load_profile("few")

DEAREST_FIRST = (
    *("real/test_real_ct.py", "service/test_kill.py", "hostile/test_corpus.py"),
    *("service/test_orthanc.py", "contract/test_by_hand.py", "cli/test_bench.py"),
    *("contract/test_run.py", "contract/test_privacy.py", "parity/test_precisions.py"),
    *("export/test_nnunet.py", "contract/test_integrity.py", "contract/test_evaluate.py"),
    *("benchmarks/test_figures.py", "hostile/test_dicom.py", "hostile/test_properties.py"),
)
"""Files below tests/ that take longest: begun last, one would keep one process busy while the other
has nothing left. Those that wait stand beside those that compute."""

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SHOWN = ("numpy", "scipy", "pydicom", "SimpleITK", "onnx", "onnxruntime-gpu", "openvino")


def pytest_report_header() -> list[str]:
    return [
        f"machine: {platform.platform()}, {os.cpu_count()} cores",
        "versions: " + ", ".join(f"{name} {_version(name)}" for name in SHOWN),
        *(f"backend {line}" for line in _backends()),
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / "tests" / name: place for place, name in enumerate(DEAREST_FIRST)}
    gone = [str(path) for path in places if not path.is_file()]
    assert not gone, f"tests/conftest.py names them, and they are not there: {gone}"
    items.sort(key=lambda item: places.get(item.path, len(places)))


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
