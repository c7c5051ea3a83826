"""A GPU's memory through the driver's own library: no CUDA toolkit, no package.

Every library in the process shares the device's primary context, so what is allocated here can be
handed to a runtime as it is.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.nvidia import ask_driver, driver_library


class CudaMemory:
    """Buffers on one device and a stream to work on."""

    def __init__(self, device: int = 0, driver: Any = None) -> None:
        """device: the card's number; it becomes this thread's. driver: libcuda, or something that
        answers like it. CudaFailed, OutOfMemory, OSError."""
        self._cuda = driver or driver_library()
        self._device, self._context = ctypes.c_int(), ctypes.c_void_p()
        self._buffers: set[int] = set()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(self._device), device)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        stream = ctypes.c_void_p()
        self.make_current()
        self._call("cuStreamCreate", ctypes.byref(stream), 0)
        self.stream = int(stream.value or 0)
        """Handle for `execute_async_v3` and its like."""

    def _call(self, function: str, *arguments: object) -> None:
        ask_driver(self._cuda, function, *arguments)

    def make_current(self) -> None:
        """Whatever this thread asks of CUDA next is asked of this device: a context belongs to a
        thread, and networks are opened in one and run in another."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, count: int) -> int:
        """Address of `count` bytes; OutOfMemory."""
        address = ctypes.c_uint64()
        self.make_current()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(count))
        self._buffers.add(address.value)
        return address.value

    def free(self, address: int) -> None:
        self.make_current()
        self._buffers.discard(address)
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """A contiguous array to the device; back when it is there."""
        source = ctypes.c_void_p(array.ctypes.data)
        self.make_current()
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, _size(array))

    def download(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Numbers from the device, once the stream has done all that was asked."""
        array = np.empty(shape, dtype)
        target = ctypes.c_void_p(array.ctypes.data)
        self.make_current()
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), _size(array))
        return array

    def close(self) -> None:
        """Give everything back; nothing may be called afterwards."""
        for address in tuple(self._buffers):
            self.free(address)
        self._call("cuStreamDestroy_v2", ctypes.c_void_p(self.stream))
        # The last one to let go ends the context: this thread's next runtime must not find it.
        self._call("cuCtxSetCurrent", None)
        self._call("cuDevicePrimaryCtxRelease_v2", self._device)


def _size(array: NDArray[Any]) -> ctypes.c_size_t:
    return ctypes.c_size_t(array.nbytes)
