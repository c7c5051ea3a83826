"""States of a machine: what doctor says in each, and that no card is left unused in silence.

The driver is `tests/fake_card.py`; which packages and libraries are there is played here.
"""

import subprocess
import sys
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fake_card import (
    ADA,
    AMPERE,
    BLACKWELL,
    HOPPER,
    PASCAL,
    SMALL,
    TURING,
    VOLTA,
    Card,
    Machine,
)
from tests.waiting import HANG_S
from vfx_edge import doctor
from vfx_edge.backends import needs, nvidia, onnxruntime_gpu, tensorrt_rtx_backend
from vfx_edge.backends import tensorrt_rtx_runtime as rtx
from vfx_edge.cli.doctor import doctor as say

MAXWELL = Card("Quadro M4000", (5, 2), 8.0)
B200 = Card("NVIDIA B200", (10, 0), 180.0)
FUTURE = Card("NVIDIA RTX PRO 9000", (14, 0), 48.0)
PASSED_OVER = "A card is there, and auto does not use it: it takes openvino."
INSTALL = 'pip install "vfx-edge[{}]"'.format
TOO_OLD = "compute capability {}, and what is made for CUDA 13 begins at 7.5"
NEWER_CARD = (
    "to have them: take a card from Turing on (7.5 or more), for no package serves this one"
)
DEVICES = "let this user (or container) read and write /dev/nvidia*"


@dataclass(frozen=True)
class State:
    """A machine and what doctor has to say on it. lacks: of rtx, tensorrt, cuda (libraries),
    runtime (no onnxruntime), provider (one built for CPUs), broken (a library of rtx)."""

    name: str
    auto: str
    says: tuple[str, ...]
    cards: tuple[Card, ...] = ()
    never: tuple[str, ...] = ()
    lacks: str = ""
    device: int = 0
    driver: str | None = "580.65.06"
    cuda: tuple[int, int] = (13, 0)
    runtime_cuda: str = "13.0"
    fail: dict[str, int] = field(default_factory=dict)
    bus: bool = False
    visible: str | None = None
    system: str = "x86_64"
    nvml_order: tuple[int, ...] | None = None


def broken(name: str, status: int, *says: str, function: str = "cuInit") -> State:
    """A card whose driver answers with an error."""
    return State(name, "openvino", (*says, PASSED_OVER), (TURING,), fail={function: status})


def old(card: Card) -> State:
    """A card that nothing serves: packages and driver are not worth a word."""
    says = (TOO_OLD.format(".".join(map(str, card.capability))), NEWER_CARD, PASSED_OVER)
    never = ("pip install", "update the driver")
    return State(card.name, "openvino", says, (card,), never, "rtx tensorrt cuda")


def good(card: Card, auto: str = "tensorrt-rtx", *says: str) -> State:
    """A card on a machine where everything is installed."""
    available = f"{auto:<13} available: {card.name}"
    return State(card.name, auto, (available, *says), (card,), (PASSED_OVER,))


NO_CARD = State(
    "no driver, no card", "openvino",
    ("no NVIDIA driver (libcuda.so.1 was not found)", "install an NVIDIA GPU and its driver"),
    never=(PASSED_OVER,), driver=None,
)  # fmt: skip
STATES = [
    NO_CARD,
    replace(NO_CARD, name="a card without a driver", bus=True, never=(), says=(
        "an NVIDIA card is there, but no NVIDIA driver", "(--gpus all)", PASSED_OVER)),
    State("a driver without a card", "openvino", ("shows no card (error 100",),
          never=(PASSED_OVER,)),
    State("not let at the card", "openvino", ("shows no card", DEVICES, PASSED_OVER), bus=True),
    State("hidden by the environment", "openvino",
          ("CUDA_VISIBLE_DEVICES='' hides every card", "take it away", PASSED_OVER),
          (replace(TURING, hidden=True),), visible=""),
    broken("no permission", 304, "is not let at the card by the system (error 304", DEVICES),
    broken("after an update", 803, "library of another version than its kernel module",
           "restart the machine"),
    broken("a compatibility library", 804, "compat", "out of the library path"),
    broken("after standby", 999, "does not know what is wrong", "restart the machine"),
    broken("a stub", 34, "is a stub", "folder 'stubs' out of the library path"),
    broken("not initialised", 3, "could not be initialised"),
    broken("no fabric manager", 802, "is not ready", "fabric manager"),
    broken("memory is full", 2, "has no memory left on the card", "end the programs"),
    broken("broken memory", 214, "memory of the card that is broken"),
    broken("an unheard-of error", 555, "answers error 555 to cuInit"),
    broken("exclusive", 46, "another has it to itself", "nvidia-smi -c 0",
           function="cuDeviceGetName"),
    broken("lost", 15, f"{TURING.name} is lost", "restart the machine",
           function="nvmlDeviceGetMemoryInfo"),
    State("prohibited", "openvino", ("or it is set so (error 46", PASSED_OVER),
          (replace(TURING, mode=2),)),
    State("no such card", "openvino",
          ("there is no card number 1 (the driver shows 0 only)", "--device", PASSED_OVER),
          (TURING,), device=1),
    State("no card less than none", "openvino", ("no card number -1", PASSED_OVER), (TURING,),
          device=-1),
    State("two cards", "tensorrt-rtx", (f"GPU 0   {TURING.name}", f"GPU 1   {PASCAL.name}"),
          (TURING, PASCAL), (PASSED_OVER,)),
    State("the second card", "openvino", (TOO_OLD.format("6.1"), NEWER_CARD, PASSED_OVER),
          (TURING, PASCAL), device=1),
    State("the first of two is broken", "tensorrt-rtx",
          ("GPU 0   the NVIDIA driver does not give", f"GPU 1   {AMPERE.name}"),
          (replace(TURING, mode=2), AMPERE), device=1),
    *map(old, (MAXWELL, PASCAL, VOLTA)),
    *map(good, (TURING, AMPERE, SMALL, ADA, BLACKWELL)),
    good(HOPPER, "tensorrt", "NVIDIA H200 has compute capability 9.0, and TensorRT-RTX knows 7.5, ",
         "to have it: use --backend cuda or tensorrt"),
    good(B200, "tensorrt", "and ONNX Runtime knows 7.5, 8.0, 8.6, 8.9, 9.0, 12.0 only",
         "to have it: use --backend tensorrt"),
    State("newer than all packages", "openvino",
          ("14.0, and TensorRT knows", 'pip install --upgrade "vfx-edge[tensorrt]"', PASSED_OVER),
          (FUTURE,)),
    State("nothing installed", "openvino",
          ("the package tensorrt-rtx can't be imported", INSTALL("rtx"), INSTALL("tensorrt"),
           "libnvinfer.so.10, libcudart.so.13, libcudnn.so.9 were not found", INSTALL("cuda"),
           PASSED_OVER),
          (AMPERE,), lacks="rtx tensorrt cuda"),
    State("only CUDA", "cuda", ("libnvinfer.so.10 was not found", INSTALL("tensorrt")), (AMPERE,),
          (PASSED_OVER,), "rtx tensorrt"),
    State("only TensorRT's own", "openvino",
          ("libcudart.so.13, libcudnn.so.9 were not found", PASSED_OVER), (HOPPER,), lacks="cuda"),
    State("an onnxruntime for CPUs", "tensorrt-rtx",
          ("the installed onnxruntime is built without it",
           f"pip uninstall onnxruntime onnxruntime-gpu, then {INSTALL('cuda')}"),
          (TURING,), (PASSED_OVER,), "provider"),
    State("no onnxruntime", "tensorrt-rtx",
          ("onnxruntime can't be imported (No module", f"to have it: {INSTALL('cuda')}"), (TURING,),
          lacks="runtime"),
    State("a broken package", "tensorrt",
          ("a library of the package tensorrt-rtx can't be loaded (file too short)",
           "pip install --force-reinstall tensorrt-rtx"), (TURING,), lacks="broken"),
    State("an old driver", "openvino",
          ("the driver 535.183.01 serves CUDA 12.2, and CUDA 13 is needed",
           "to have them: update the driver to version 580 or newer", PASSED_OVER),
          (TURING,), ("pip install",), driver="535.183.01", cuda=(12, 2)),
    State("an old driver and nothing installed", "openvino",
          ("serves CUDA 11.4, and CUDA 13 is needed; libcudart.so.13, libcudnn.so.9 were not found",
           f"to have it: update the driver to version 580 or newer, then {INSTALL('cuda')}",
           PASSED_OVER),
          (TURING,), lacks="rtx tensorrt cuda", driver="470.256.02", cuda=(11, 4)),
    State("an old card under an old driver", "openvino", (TOO_OLD.format("6.1"), PASSED_OVER),
          (PASCAL,), ("update", "pip install"), "cuda", driver="470.256.02", cuda=(11, 4)),
    State("a runtime for the old driver", "cuda", ("and CUDA 13 is needed", "update the driver"),
          (TURING,), (PASSED_OVER,), "tensorrt", driver="535.183.01", cuda=(12, 2),
          runtime_cuda="12.8"),
    State("a runtime for the old card", "cuda", (f"cuda          available: {VOLTA.name}",),
          (VOLTA,), (PASSED_OVER,), runtime_cuda="12.8"),
    State("no packages for the system", "openvino",
          ("no packages are made for this system: use --backend openvino or cpu", PASSED_OVER),
          (AMPERE,), ("pip install",), "rtx tensorrt cuda", system="aarch64"),
    State("a part of a card", "tensorrt", ("80 GiB), 61.0 GiB free", "10 GiB), 9.0 GiB free"),
          (Card("NVIDIA A100", (8, 0), 80.0, 61.0),
           Card("NVIDIA A100 MIG 1g.10gb", (8, 0), 10.0, 9.0, slice=True)), lacks="rtx"),
    State("little memory free", "tensorrt-rtx", ("16 GiB), 1.2 GiB free",),
          (replace(TURING, free_gib=1.25),)),
    State("cards in another order", "tensorrt-rtx",
          ("GPU 0   NVIDIA RTX A4000 (compute capability 8.6, 16 GiB), 3.0 GiB free",
           "GPU 1   Quadro P5000 (compute capability 6.1, 16 GiB), 12.0 GiB free"),
          (replace(AMPERE, free_gib=3.0), replace(PASCAL, free_gib=12.0)), nvml_order=(1, 0)),
    State("without its management library", "tensorrt-rtx",
          ("7.5, 16 GiB)\n  driver  of an unknown version, serves CUDA 13.0",), (TURING,),
          fail={"nvmlDeviceGetHandleByUUID": 1, "nvmlSystemGetDriverVersion": 1}),
]  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name.replace(" ", "_"))
def test_doctor_says_what_is_there_and_what_would_help(
    state: State,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(state, machine, monkeypatch)
    say(state.device)
    said = capsys.readouterr().out
    backends, rest = said.split("\nMachine\n")
    for words in state.says:
        assert words in said
    for words in state.never:
        assert words not in backends + rest.split("Model sets")[0]
    (auto,) = [line.split()[0] for line in said.splitlines() if "<- auto takes this" in line]
    assert auto == state.auto
    assert (PASSED_OVER in said) == (auto == "openvino" and state.never[:1] != (PASSED_OVER,))


def set_up(state: State, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine, its packages, and what its system says."""
    machine.play(
        *state.cards,
        cuda=state.cuda,
        driver=state.driver or "",
        fail=state.fail,
        nvml_order=state.nvml_order,
    )
    if state.driver is None:
        machine.no_driver()
    if state.bus:
        machine.on_the_bus()
    if state.visible is not None:
        monkeypatch.setenv(nvidia.VISIBLE, state.visible)
    monkeypatch.setattr(needs.platform, "machine", lambda: state.system)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(onnxruntime_gpu, "runtime", lambda: runtime(state))
    monkeypatch.setattr(rtx, "package", lambda: package(state))
    monkeypatch.setattr(tensorrt_rtx_backend, "_cuda_major", lambda: 13)
    monkeypatch.setattr(nvidia, "missing", lambda names: missing(state, names))
    monkeypatch.setattr(doctor, "installed_sets", lambda: ())


def runtime(state: State) -> Any:
    """ONNX Runtime, as far as availability asks it."""
    if "runtime" in state.lacks:
        raise ImportError("No module named 'onnxruntime'")
    providers = [] if "provider" in state.lacks else ["TensorrtExecutionProvider"]
    known = [*providers, *(["CUDAExecutionProvider"] if providers else [])]
    return SimpleNamespace(
        cuda_version=state.runtime_cuda,
        get_available_providers=lambda: known,
        preload_dlls=lambda: None,
    )


def package(state: State) -> Any:
    """The package tensorrt_rtx."""
    if "rtx" in state.lacks:
        raise ImportError("No module named 'tensorrt_rtx'")
    if "broken" in state.lacks:
        raise OSError("file too short")
    known = dict.fromkeys(f"SM{sm}" for sm in (75, 80, 86, 89, 120, 121))
    return SimpleNamespace(ComputeCapability=SimpleNamespace(__members__=known))


def missing(state: State, names: Any) -> tuple[str, ...]:
    """Of TensorRT one library, of CUDA two."""
    of = {"libnvinfer": "tensorrt", "libcudart": "cuda", "libcudnn": "cuda"}
    return tuple(name for name in names if of.get(name.split(".")[0], "-") in state.lacks.split())


def test_there_are_states_enough() -> None:
    assert len({state.name for state in STATES}) == len(STATES) >= 40


@pytest.mark.parametrize("fail", [{}, {"cuInit": 304}])
def test_a_whole_program_sees_the_same_machine(fail: dict[str, int], machine: Machine) -> None:
    machine.play(replace(AMPERE, free_gib=5.0), PASCAL, fail=fail)
    command = [*machine.prefix, sys.executable, "-m", "vfx_edge", "doctor"]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=HANG_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = "is not let at the card by the system" if fail else "16 GiB), 5.0 GiB free"
    assert said in done.stdout
    assert ("does not use it" in done.stdout) >= bool(fail)


def test_a_card_that_is_lost_is_not_remembered(machine: Machine) -> None:
    machine.play(TURING)
    assert isinstance(nvidia.find_gpu(), nvidia.Gpu)
    machine.play(TURING, fail={"nvmlDeviceGetHandleByUUID": 15})
    assert "is lost" in str(nvidia.find_gpu())
    assert nvidia.free_gib() is None
