"""What NVIDIA's driver tells of memory, played by a stand-in."""

import os
from types import SimpleNamespace

import pynvml
import pytest

from tests.waiting import eventually
from vfx_edge import nvml

MIB = 2**20
A = "GPU-a"


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine with two cards; the value is what is taken on each, MiB."""
    taken = [100, 5000]
    mine, other = (SimpleNamespace(pid=pid, usedGpuMemory=300 * MIB) for pid in (os.getpid(), 1))
    unknown = SimpleNamespace(pid=os.getpid(), usedGpuMemory=None)

    def processes(card: int) -> list[SimpleNamespace]:
        if card == 1:
            raise pynvml.NVMLError_NotSupported
        return [mine, other, unknown]

    played = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "580.65",
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda card: card,
        "nvmlDeviceGetComputeRunningProcesses": processes,
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(used=taken[card != A] * MIB),
    }
    for name, function in played.items():
        monkeypatch.setattr(pynvml, name, function)
    return taken


def test_this_processs_memory_is_told_from_that_of_others(used: list[int]) -> None:
    assert nvml.driver_version() == "580.65"
    assert nvml.held_mib() == 300
    assert (nvml.used_mib("a"), nvml.used_mib("b")) == (100, 5000)


def test_the_most_that_was_taken_meanwhile_is_kept(used: list[int]) -> None:
    with nvml.MemoryWatch("a", every_s=0.001) as watch:
        used[0] = 900
        assert eventually(lambda: watch.taken_mib == 800)
        used[0] = 200
    assert watch.taken_mib == 800


def test_without_a_driver_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert (nvml.driver_version(), nvml.held_mib(), nvml.used_mib("a")) == (None, None, None)
    with nvml.MemoryWatch("a") as watch:
        pass
    assert watch.taken_mib is None
