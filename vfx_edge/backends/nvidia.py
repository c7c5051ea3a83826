"""NVIDIA's GPU and libraries as CUDA shows them: silent, and without any CUDA package.

Through ctypes: ONNX Runtime would print its own complaints, and NVML lists cards that
CUDA_VISIBLE_DEVICES hides, in another order, and the whole of a card that is divided.
"""

import ctypes
import functools
import importlib.util
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfx_edge import nvml
from vfx_edge.backends.errors import OutOfMemory

INSTALL, UPDATE = "install an NVIDIA GPU and its driver", "update the driver"
"""What helps where there is none, and where the driver is too old."""
WINDOWS = sys.platform == "win32"
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR


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

    def __str__(self) -> str:
        major, minor = self.capability
        return f"{self.name} (compute capability {major}.{minor}, {self.memory_gib:.0f} GiB)"

    @property
    def sm(self) -> int:
        """Compute capability as one number, e.g. 75 for 7.5."""
        return 10 * self.capability[0] + self.capability[1]

    def too_old_for(self, cuda_major: int) -> str:
        """Why its driver can't serve libraries made for this CUDA; empty when it can."""
        if self.driver_cuda[0] >= cuda_major:
            return ""
        have = ".".join(map(str, self.driver_cuda))
        return f"the driver serves CUDA {have}, CUDA {cuda_major} is needed"


_DRIVER = "nvcuda.dll" if WINDOWS else "libcuda.so.1"


def driver_library() -> ctypes.CDLL:
    """The driver's library; OSError without one."""
    return ctypes.CDLL(_DRIVER)


@functools.cache
def find_gpu(device: int = 0) -> Gpu | str:
    """The CUDA device of this number, or the reason why there is none."""
    try:
        cuda = driver_library()
    except OSError:
        return f"no NVIDIA driver ({_DRIVER} was not found)"
    try:
        return _device(cuda, device)
    except (CudaFailed, OutOfMemory) as error:
        return str(error) or "the NVIDIA GPU is out of memory"


class CudaFailed(Exception):
    """The driver refused a call; its reason is a number."""


def ask_driver(cuda: Any, function: str, *arguments: object) -> None:
    """Call a function of libcuda. OutOfMemory, CudaFailed."""
    status = getattr(cuda, function)(*arguments)
    if status == _OUT_OF_MEMORY:
        raise OutOfMemory
    if status:
        raise CudaFailed(f"the NVIDIA driver answers error {status} to {function}")


def free_gib(device: int = 0) -> float | None:
    """Memory of the card that nobody holds now; None where it can't be told."""
    return None


def _device(cuda: ctypes.CDLL, index: int) -> Gpu:
    call = functools.partial(ask_driver, cuda)
    count, device, value, version = (ctypes.c_int() for _ in range(4))
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise CudaFailed("the NVIDIA driver shows no GPU")
    if index >= count.value:
        raise CudaFailed(f"the NVIDIA driver shows no GPU number {index}, but {count.value} in all")
    call("cuDeviceGet", ctypes.byref(device), index)
    call("cuDeviceGetName", name, 256, device)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    call("cuDriverGetVersion", ctypes.byref(version))
    capability = []
    for attribute in (_MAJOR, _MINOR):
        call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        capability.append(value.value)
    return Gpu(
        name=name.value.decode("utf-8", "replace"),
        memory_gib=memory.value / 2**30,
        capability=(capability[0], capability[1]),
        driver_cuda=(version.value // 1000, version.value % 1000 // 10),
        index=index,
    )


@functools.cache
def driver_version() -> str | None:
    """The driver's own version, e.g. "580.65.06"; None without one."""
    return nvml.driver_version()


def cuda_libraries(cuda_major: int) -> tuple[str, ...]:
    """What ONNX Runtime's CUDA provider loads, by the names of this system."""
    if WINDOWS:
        blas = (f"cublasLt64_{cuda_major}.dll", f"cublas64_{cuda_major}.dll")
        return (f"cudart64_{cuda_major}.dll", *blas, "cudnn64_9.dll")
    blas = (f"libcublasLt.so.{cuda_major}", f"libcublas.so.{cuda_major}")
    return (f"libcudart.so.{cuda_major}", *blas, "libcurand.so.10", "libcudnn.so.9")


def tensorrt_libraries() -> tuple[str, ...]:
    """What ONNX Runtime's TensorRT provider loads."""
    if WINDOWS:
        return ("nvinfer_10.dll", "nvonnxparser_10.dll")
    return ("libnvinfer.so.10", "libnvonnxparser.so.10")


def first_missing(libraries: Iterable[str]) -> str | None:
    """The first library that can't be loaded; those that can stay loaded for the runtime."""
    for name in libraries:
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            return name
    return None


def preload_tensorrt() -> None:
    """Load TensorRT from its Python package, whose folder is on no search path."""
    spec = importlib.util.find_spec("tensorrt_libs")
    for folder in spec.submodule_search_locations or () if spec else ():
        if sys.platform == "win32":
            os.add_dll_directory(folder)
        first_missing(str(Path(folder) / name) for name in tensorrt_libraries())
