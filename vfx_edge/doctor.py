"""What this machine can run, what stands in the way of the rest, and whether the models are whole.

Everything is looked up and returned; printing is the command line's.
"""

import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from vfx_edge.backends import Availability, probe_backends, probe_served
from vfx_edge.backends.half import half_of
from vfx_edge.backends.machine import cpu_flags, cpu_name
from vfx_edge.backends.nvidia import Gpu, NoGpu, driver_version, find_gpus, free_gib
from vfx_edge.backends.onnx_file import check_signature
from vfx_edge.backends.openvino_backend import native_precision
from vfx_edge.backends.tensorrt_rtx_engine import EngineState, engine_states
from vfx_edge.errors import ModelError
from vfx_edge.manifest import (
    ModelManifest,
    NetworkSpec,
    installed_sets,
    load_model_set,
)
from vfx_edge.parallel import cores

PACKAGES = (
    "vfx-edge", "onnxruntime-gpu", "onnxruntime", "openvino", "tensorrt-cu13", "tensorrt-rtx",
    "nvidia-cudnn-cu13", "tritonclient",
    "onnx", "numpy", "scipy", "SimpleITK", "python-gdcm", "pydicom", "highdicom",
    "pynetdicom",
)  # fmt: skip
FAST_ARITHMETIC = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "amx_fp16",
    "avx_ne_convert",
)  # fmt: skip
"""Instruction sets that decide a CPU's speed here, as Linux names them."""


@dataclass(frozen=True)
class CpuState:
    """The processor and the memory beside it."""

    name: str
    physical_cores: int
    logical_cores: int
    usable_cores: int
    """Logical cores this process may use: a container may grant fewer than there are."""
    native_precision: str | None
    """What OpenVINO computes in by itself: "bf16" where the CPU has it; None without OpenVINO."""
    features: tuple[str, ...]
    """Of FAST_ARITHMETIC; empty where the system doesn't list them."""
    memory_gib: float
    free_gib: float


@dataclass(frozen=True)
class GpuState:
    """The NVIDIA cards as their driver shows them."""

    cards: tuple[Gpu | NoGpu, ...]
    """By the number that `--device` takes; or the one reason why there is none."""
    free_gib: tuple[float | None, ...]
    """Of each card; None where the driver does not tell."""
    driver: str | None

    @property
    def first(self) -> Gpu | None:
        """The card that is used where nobody names one."""
        return self.cards[0] if isinstance(self.cards[0], Gpu) else None


@dataclass(frozen=True)
class NetworkState:
    """One network. `problem` is empty when hash and signature of each of its files fit the
    manifest."""

    roles: tuple[str, ...]
    name: str
    files: tuple[str, ...]
    """In FP32 first, then what it brings in other precisions."""
    sha256: str
    problem: str
    classes: str = ""
    """What the network's own names of its classes mean, where it has some; and which nobody reads.
    """
    engines: tuple[EngineState, ...] = ()
    """TensorRT-RTX engines built ahead of time, fresh and stale."""


@dataclass(frozen=True)
class ModelSetState:
    """One installed model set. `problem` is empty when the manifest and all files are right."""

    name: str
    version: str
    intended_use: str
    folder: Path
    networks: tuple[NetworkState, ...]
    problem: str


@dataclass(frozen=True)
class Diagnosis:
    """All that `doctor` reports."""

    backends: tuple[Availability, ...]
    served: tuple[Availability, ...]
    """Those that run on a server, which `auto` never takes."""
    auto: str | None
    """The backend that `auto` would take; None when none can run."""
    passed_over: bool
    """That one leaves a card unused that is there."""
    cpu: CpuState
    gpu: GpuState
    packages: tuple[tuple[str, str], ...]
    """(name, version) of those that matter and are installed."""
    model_sets: tuple[ModelSetState, ...]


def diagnose(device: int = 0, server: str = "") -> Diagnosis:
    """Look at everything; takes a second or two, prints nothing, opens no network.

    device: the number of the card that the backends are asked about. server: of `kserve`, as
    `BackendRequest` has it.
    """
    backends = probe_backends(device)
    taken = next((state for state in backends if state.available), None)
    return Diagnosis(
        backends=backends,
        served=probe_served(server),
        auto=taken.name if taken else None,
        passed_over=any(state.card for state in backends) and not (taken and taken.card),
        cpu=cpu_state(any(s.name == "openvino" and s.available for s in backends)),
        gpu=gpu_state(),
        packages=package_versions(),
        model_sets=tuple(inspect_set(folder) for folder in installed_sets()),
    )


def inspect_set(folder: Path) -> ModelSetState:
    """Read a model set and every file of it; problems become text, nothing is raised."""
    try:
        manifest = load_model_set(folder)
    except ModelError as error:
        return ModelSetState(folder.name, "", "", folder, (), str(error))
    networks = tuple(_network(spec) for spec in manifest.networks)
    problem = next((state.problem for state in networks if state.problem), "")
    return ModelSetState(
        manifest.name,
        manifest.version,
        manifest.intended_use,
        folder,
        networks,
        problem or _incomplete(manifest),
    )


def _incomplete(manifest: ModelManifest) -> str:
    missing = ", ".join(manifest.lacking)
    return f"no network fills the role {missing}" if missing else ""


def _network(spec: NetworkSpec) -> NetworkState:
    problem = ""
    try:
        check_signature(spec, onnx := spec.read())
        if spec.path_fp16 is not None:
            half_of(spec, onnx)
        if (other := spec.quantised) is not None:
            check_signature(other, other.read())
    except ModelError as error:
        problem = str(error)
    engines = engine_states(spec)
    files, classes = tuple(path.name for path in spec.paths.values()), spec.class_words
    return NetworkState(spec.roles, spec.name, files, spec.sha256, problem, classes, engines)


def cpu_state(openvino: bool = False) -> CpuState:
    """The processor; openvino: whether to ask OpenVINO for its precision."""
    logical = os.cpu_count() or 1
    memory = psutil.virtual_memory()
    return CpuState(
        name=cpu_name(),
        physical_cores=psutil.cpu_count(logical=False) or logical,
        logical_cores=logical,
        usable_cores=cores(),
        native_precision=native_precision() if openvino else None,
        features=tuple(name for name in FAST_ARITHMETIC if name in cpu_flags()),
        memory_gib=memory.total / 2**30,
        free_gib=memory.available / 2**30,
    )


def gpu_state() -> GpuState:
    """The cards as the driver shows them: no runtime is loaded."""
    cards = find_gpus()
    free = tuple(free_gib(number) for number in range(len(cards)))
    return GpuState(cards, free, driver_version())


def package_versions() -> tuple[tuple[str, str], ...]:
    """(name, version) of those of PACKAGES that are installed."""
    found = []
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)
