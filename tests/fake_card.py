"""Cards that are not there: a driver library of our own answers in NVIDIA's place.

    def test_x(machine: Machine) -> None:       # in this process: find_gpu, nvml, CudaMemory
        machine.play(TURING)                    # one card, everything right
        machine.play(replace(AMPERE, free_gib=2.0), cuda=(12, 2), driver="535.183.01")
        machine.play(ADA, fail={"cuInit": 304})                       # a function's error, always
        machine.play(ADA, fail={"cuMemcpyHtoD_v2": 719}, after=3)     # it works three times first
        machine.play()                          # a driver without a card
        machine.no_driver()
        vfx("run", ..., prefix=machine.prefix)          # the same machine for a whole program

The card's memory is the host's, so `CudaMemory` works on it, but nothing computes: CUDA, TensorRT
go on to say what they lack. `play` may be called again at any time; functions are counted anew.
"""

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pynvml
import pytest

from vfx_edge import nvml
from vfx_edge.backends import cuda_memory, nvidia

SOURCE = Path(__file__).parent / "fake_driver.c"
VARIABLE = "VFX_FAKE_CARD"
_USERS = (nvidia, cuda_memory)


@dataclass(frozen=True)
class Card:
    """A card as its driver shows it."""

    name: str
    capability: tuple[int, int]
    gib: float = 16.0
    free_gib: float | None = None
    """None: half a GiB less than all."""
    hidden: bool = False
    """From CUDA, as by CUDA_VISIBLE_DEVICES; NVML shows it all the same."""
    slice: bool = False
    """A part of a divided card (MIG)."""
    mode: int = 0
    """Compute mode: 0 all may use it, 2 nobody."""


PASCAL = Card("Quadro P5000", (6, 1))
VOLTA = Card("Quadro GV100", (7, 0), 32.0)
TURING = Card("Quadro RTX 5000", (7, 5))
AMPERE = Card("NVIDIA RTX A4000", (8, 6))
SMALL = Card("NVIDIA RTX A2000 8GB", (8, 6), 8.0)
ADA = Card("NVIDIA RTX 4000 Ada Generation", (8, 9), 20.0)
HOPPER = Card("NVIDIA H200", (9, 0), 140.0)
BLACKWELL = Card("NVIDIA RTX PRO 4000 Blackwell", (12, 0), 24.0)


@dataclass
class Machine:
    """The machine that is played. `folder` holds the driver's libraries, `states` what it says."""

    folder: Path
    states: Path
    patch: pytest.MonkeyPatch
    _played: int = field(default=0, init=False)

    def play(
        self,
        *cards: Card,
        cuda: tuple[int, int] = (13, 0),
        driver: str = "580.65.06",
        fail: dict[str, int] | None = None,
        after: int = 0,
        nvml_order: tuple[int, ...] | None = None,
    ) -> None:
        """From now on the machine has these cards, in CUDA's order.

        cuda: the newest that the driver serves. fail: function -> error, from the call after
        `after` others on. nvml_order: the cards' places in NVML's list, where it is another.
        """
        shown = iter(range(len(cards)))
        lines = [_line(card, -1 if card.hidden else next(shown)) for card in cards]
        lines = [lines[place] for place in nvml_order or range(len(lines))]
        lines += [f"fail {name} {error} {after}" for name, error in (fail or {}).items()]
        version = 1000 * cuda[0] + 10 * cuda[1]
        self._played += 1
        state = self.states / f"machine-{self._played}.txt"
        state.write_text("\n".join((f"driver {driver}", f"cuda {version}", *lines, "")))
        self.patch.setenv(VARIABLE, str(state))

    def no_driver(self) -> None:
        """The machine has no NVIDIA driver; in this process only."""

        def absent() -> ctypes.CDLL:
            raise OSError("libcuda.so.1: cannot open shared object file")

        for user in _USERS:
            self.patch.setattr(user, "driver_library", absent)
        self.patch.setattr(nvml, "_ready", _no_nvml)

    def on_the_bus(self) -> None:
        """A card is plugged in, whatever driver and CUDA say."""
        card = nvidia.PCI / "0000:01:00.0"
        card.mkdir(parents=True)
        (card / "vendor").write_text("0x10de\n")
        (card / "class").write_text("0x030000\n")

    @property
    def prefix(self) -> list[str]:
        """To put before a command, so that the program finds this driver, too."""
        return ["env", f"LD_LIBRARY_PATH={self.folder}"]


def _line(card: Card, number: int) -> str:
    free = card.gib - 0.5 if card.free_gib is None else card.free_gib
    major, minor = card.capability
    mib = f"{card.gib * 1024:.0f} {free * 1024:.0f}"
    return f"card {number} {major} {minor} {mib} {int(card.slice)} {card.mode} {card.name}"


def _no_nvml() -> None:
    raise pynvml.NVMLError_LibraryNotFound


def build(folder: Path) -> Path:
    """Compile the driver into a folder; skips the test where there is no compiler."""
    if os.name == "nt" or (compiler := shutil.which("gcc") or shutil.which("cc")) is None:
        pytest.skip("the fake driver needs a C compiler (gcc)")
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-pthread", SOURCE, "-o", library], check=True)
    (folder / "libnvidia-ml.so.1").symlink_to(library.name)
    return folder


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with libcuda.so.1 and libnvidia-ml.so.1."""
    return build(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def machine(fake_driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a driver and no card, until `play` says otherwise."""
    library = ctypes.CDLL(str(fake_driver / "libcuda.so.1"))
    for user in _USERS:
        monkeypatch.setattr(user, "driver_library", lambda: library)
    monkeypatch.setattr(pynvml, "nvmlLib", library)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(nvml, "_ready", pynvml.nvmlInit)
    monkeypatch.setattr(nvidia, "PCI", tmp_path / "bus")
    monkeypatch.delenv(nvidia.VISIBLE, raising=False)
    played = Machine(fake_driver, tmp_path, monkeypatch)
    played.play()
    return played
