"""NVIDIA's GPU and libraries as CUDA shows them: silent, and without any CUDA package.

Through ctypes: ONNX Runtime would print its own complaints, and NVML lists cards that
CUDA_VISIBLE_DEVICES hides, in another order, and the whole of a card that is divided. Nothing is
kept from one question to the next: a card that is lost in the night must not stay there.
"""

import ctypes
import functools
import importlib
import importlib.util
import os
import sys
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfx_edge import nvml
from vfx_edge.backends import cuda_errors
from vfx_edge.backends.errors import OutOfMemory
from vfx_edge.errors import first_line

WINDOWS = sys.platform == "win32"
_MAJOR, _MINOR, _MODE = 75, 76, 20  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_..., _COMPUTE_MODE
_PROHIBITED = 2
VISIBLE = "CUDA_VISIBLE_DEVICES"
PCI = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"


@dataclass(frozen=True)
class Gpu:
    """A CUDA device."""

    name: str
    memory_gib: float
    capability: tuple[int, int]
    driver_cuda: tuple[int, int]
    """The newest CUDA the driver serves."""
    index: int = 0
    """The card's number, as CUDA counts those that it may see."""
    uuid: str = ""
    """By which NVML knows it, whatever its number there; empty where the driver can't tell."""

    def __str__(self) -> str:
        about = f"compute capability {dotted(self.sm)}, {self.memory_gib:.0f} GiB"
        return f"{self.name} ({about})"

    @property
    def sm(self) -> int:
        """Compute capability as one number, e.g. 75 for 7.5."""
        return 10 * self.capability[0] + self.capability[1]


def dotted(sm: int) -> str:
    """A compute capability as NVIDIA writes it: 7.5 for 75."""
    return f"{sm // 10}.{sm % 10}"


@dataclass(frozen=True)
class NoGpu:
    """Why there is no CUDA device of the number that was asked for."""

    reason: str
    remedy: str
    card: bool = False
    """An NVIDIA card is in the machine all the same."""

    def __str__(self) -> str:
        return self.reason


_DRIVER = "nvcuda.dll" if WINDOWS else "libcuda.so.1"


def driver_library() -> ctypes.CDLL:
    """The driver's library; OSError without one."""
    return ctypes.CDLL(_DRIVER)


def find_gpu(device: int = 0) -> Gpu | NoGpu:
    """The CUDA device of this number, or the reason why there is none."""
    try:
        cuda = driver_library()
    except OSError as error:
        return _no_driver(error)
    try:
        found = _device(cuda, device)
    except OutOfMemory:
        return _broken(CudaFailed(cuda_errors.OUT_OF_MEMORY, "cuInit"))
    except CudaFailed as error:
        return _broken(error)
    if isinstance(found, Gpu) and nvml.lost(found.uuid):
        return NoGpu(f"{found.name} is lost: it answers no more", "restart the machine", card=True)
    return found


def find_gpus() -> tuple[Gpu | NoGpu, ...]:
    """Every card that CUDA may see, by its number; or the one reason why it sees none."""
    return tuple(find_gpu(device) for device in range(_count()))


def free_gib(device: int = 0) -> float | None:
    """Memory of the card that nobody holds now; None where it can't be told.

    By NVML: libcuda would open a context for it, which takes seconds and some of that memory.
    """
    found = find_gpu(device)
    free = nvml.free_mib(found.uuid) if isinstance(found, Gpu) else None
    return None if free is None else free / 1024


class CudaFailed(Exception):
    """The driver refused a call; its reason is a number."""

    def __init__(self, status: int, function: str) -> None:
        super().__init__(cuda_errors.told(status, function))
        self.status = status


def ask_driver(cuda: Any, function: str, *arguments: object) -> None:
    """Call a function of libcuda, which an old one may lack. OutOfMemory, CudaFailed."""
    asked = getattr(cuda, function, None)
    status = cuda_errors.NO_FUNCTION if asked is None else asked(*arguments)
    if status == cuda_errors.OUT_OF_MEMORY:
        raise OutOfMemory
    if status:
        raise CudaFailed(status, function)


def _device(cuda: Any, index: int) -> Gpu | NoGpu:
    call = functools.partial(ask_driver, cuda)
    device, version = ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    if index not in range(count := _started(cuda)):
        known = "0 only" if count == 1 else f"0 to {count - 1}"
        reason = f"there is no card number {index} (the driver shows {known})"
        return NoGpu(reason, "name one of those with --device", card=True)
    call("cuDeviceGet", ctypes.byref(device), index)
    call("cuDeviceGetName", name, 256, device)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    call("cuDriverGetVersion", ctypes.byref(version))
    major, minor, mode = (_attribute(cuda, device, what) for what in (_MAJOR, _MINOR, _MODE))
    if mode == _PROHIBITED:
        raise CudaFailed(cuda_errors.UNAVAILABLE, "cuDeviceGetAttribute")
    return Gpu(
        name=name.value.decode("utf-8", "replace"),
        memory_gib=memory.value / 2**30,
        capability=(major, minor),
        driver_cuda=(version.value // 1000, version.value % 1000 // 10),
        index=index,
        uuid=_uuid(cuda, device),
    )


def _started(cuda: Any) -> int:
    """How many devices there are, of a driver that is ready. CudaFailed also where none is."""
    count = ctypes.c_int()
    ask_driver(cuda, "cuInit", 0)
    ask_driver(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise CudaFailed(cuda_errors.NO_DEVICE, "cuDeviceGetCount")
    return count.value


def _count() -> int:
    """Of the cards; 1 where none can be used, for the reason is told in its place."""
    try:
        return _started(driver_library())
    except (OSError, CudaFailed, OutOfMemory):
        return 1


def _attribute(cuda: Any, device: ctypes.c_int, what: int) -> int:
    value = ctypes.c_int()
    ask_driver(cuda, "cuDeviceGetAttribute", ctypes.byref(value), what, device)
    return value.value


def _uuid(cuda: Any, device: ctypes.c_int) -> str:
    """Of the device itself, where a card is divided; empty from drivers before CUDA 11.4."""
    found = ctypes.create_string_buffer(16)
    try:
        ask_driver(cuda, "cuDeviceGetUuid_v2", found, device)
    except (CudaFailed, OutOfMemory):
        return ""
    return str(uuid.UUID(bytes=found.raw))


def _no_driver(error: OSError) -> NoGpu:
    absent = WINDOWS or f"{_DRIVER}: cannot open" in str(error)
    why = f"{_DRIVER} was not found" if absent else f"it can't be loaded: {first_line(error)}"
    reason = f"no NVIDIA driver ({why})"
    if not _on_the_bus():
        return NoGpu(reason, "install an NVIDIA GPU and its driver")
    remedy = "install NVIDIA's driver, or let the container have the card (--gpus all)"
    return NoGpu(f"an NVIDIA card is there, but {reason}", remedy, card=True)


def _broken(error: CudaFailed) -> NoGpu:
    """What the driver's refusal means on this machine."""
    if error.status != cuda_errors.NO_DEVICE:
        return NoGpu(str(error), cuda_errors.remedy(error.status), card=True)
    card, hidden = _on_the_bus() or nvml.cards() > 0, os.environ.get(VISIBLE)
    if card and hidden is not None:
        reason = f"the environment variable {VISIBLE}={hidden!r} hides every card"
        return NoGpu(reason, "take it away, or name a card's number in it", card)
    return NoGpu(str(error), cuda_errors.remedy(error.status), card)


def _on_the_bus() -> bool:
    """Whether the machine has a display or compute card of NVIDIA's; known on Linux only."""
    return any(
        _text(folder / "vendor") == _NVIDIA and _text(folder / "class").startswith(_DISPLAY)
        for folder in PCI.glob("*")
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def driver_version() -> str | None:
    """The driver's own version, e.g. "580.65.06"; None without one."""
    return nvml.driver_version()


def cuda_libraries(cuda_major: int) -> tuple[str, ...]:
    """What ONNX Runtime's CUDA provider loads, by the names of this system."""
    if WINDOWS:
        blas = (f"cublasLt64_{cuda_major}.dll", f"cublas64_{cuda_major}.dll")
        return (f"cudart64_{cuda_major}.dll", *blas, "cudnn64_9.dll")
    fft = ("libcufft.so.11",) if cuda_major == 12 else ()
    blas = (f"libcublasLt.so.{cuda_major}", f"libcublas.so.{cuda_major}")
    return (f"libcudart.so.{cuda_major}", *blas, "libcurand.so.10", *fft, "libcudnn.so.9")


def tensorrt_libraries() -> tuple[str, ...]:
    """What ONNX Runtime's TensorRT provider loads."""
    if WINDOWS:
        return ("nvinfer_10.dll", "nvonnxparser_10.dll")
    return ("libnvinfer.so.10", "libnvonnxparser.so.10")


def missing(libraries: Iterable[str]) -> tuple[str, ...]:
    """The libraries that can't be loaded; those that can stay loaded for the runtime."""
    return tuple(name for name in libraries if not _loaded(name))


def _loaded(name: str) -> bool:
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


def preload_tensorrt() -> None:
    """Load TensorRT from its Python package, whose folder is on no search path."""
    spec = importlib.util.find_spec("tensorrt_libs")
    for folder in spec.submodule_search_locations or () if spec else ():
        if sys.platform == "win32":
            os.add_dll_directory(folder)
        missing(str(Path(folder) / name) for name in tensorrt_libraries())
    if spec:
        # The rest of it: its builder looks for the kernels of the card by their bare name.
        with suppress(ImportError, OSError):
            importlib.import_module("tensorrt_libs")
