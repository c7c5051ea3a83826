"""TensorRT for RTX: NVIDIA's engine for workstations, from Turing on.

An engine built ahead of time beside the set is used when it is fresh; else one is built at first
use and kept in the user's cache folder. What the runtime compiles for this very GPU is kept, too.
"""

import functools
from importlib import metadata
from pathlib import Path

import numpy as np

from vfx_edge.backends import nvidia
from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.cuda_memory import CudaMemory
from vfx_edge.backends.errors import (
    BudgetTooSmall,
    EngineNotWritten,
    OpenFailed,
    OutOfMemory,
    RunFailed,
)
from vfx_edge.backends.network import CheckedNetwork, batch_limit, pick_precision
from vfx_edge.backends.protocol import Array, Availability, Budget
from vfx_edge.backends.tensorrt_rtx_engine import (
    EngineStale,
    beside_set,
    build_engine,
    cache_folder,
    dotted,
    in_cache,
    read_engine,
    wanted_key,
)
from vfx_edge.errors import OutputError
from vfx_edge.files import write_bytes
from vfx_edge.manifest import NetworkSpec

NAME = "tensorrt-rtx"


class RtxNetwork(CheckedNetwork):
    """One engine, its buffers on the GPU, and the file that its runtime cache goes to."""

    def __init__(
        self,
        spec: NetworkSpec,
        device: str,
        limit: int,
        engine: runtime.Engine,
        memory: CudaMemory,
        cache: Path | None = None,
    ) -> None:
        super().__init__(NAME, spec, device, "fp16", limit)
        self._engine: runtime.Engine | None = engine
        self._memory = memory
        self._cache = cache
        self._buffers: dict[str, tuple[int, int]] = {}  # tensor -> address, bytes

    def warn(self, line: str) -> None:
        """Something that went differently from what was planned."""
        self._warnings.append(line)

    def _infer(self, batch: Array) -> Array:
        assert self._engine is not None, "run after close"
        given, answer = self.spec.input.name, self.spec.output.name
        try:
            shape = self._engine.output_shape(given, batch.shape, answer)
            addresses = {
                given: self._buffer(given, batch.nbytes),
                answer: self._buffer(answer, int(np.prod(shape)) * batch.itemsize),
            }
            self._memory.upload(addresses[given], batch)
            self._engine.run(addresses, self._memory.stream)
            return self._memory.download(addresses[answer], shape)
        except OutOfMemory:
            self._release()
            raise
        except (runtime.Refused, nvidia.CudaFailed) as error:
            if "out of memory" in str(error).lower():
                self._release()
                raise OutOfMemory from error
            raise RunFailed(NAME, self.spec.name, str(error)) from error

    def _release(self) -> None:
        """Buffers of a batch that was too big would stand in a smaller one's way."""
        while self._buffers:
            _, (address, _) = self._buffers.popitem()
            self._memory.free(address)

    def _buffer(self, tensor: str, count: int) -> int:
        """A buffer of at least so many bytes, kept from batch to batch."""
        address, size = self._buffers.pop(tensor, (0, 0))
        if size < count:
            if size:
                self._memory.free(address)
            address, size = self._memory.allocate(count), count
        self._buffers[tensor] = address, size
        return address

    def close(self) -> None:
        if self._engine is None:
            return
        if self._cache is not None and (kept := self._engine.runtime_cache()):
            _keep(self._cache, kept)
        self._engine = None
        self._buffers.clear()
        self._memory.close()


def _keep(path: Path, data: bytes) -> None:
    """The cache saves time; that it can't be written must not fail a result."""
    try:
        if not path.is_file() or path.read_bytes() != data:
            write_bytes(path, data)
    except (OSError, OutputError):
        return


class TensorRtRtxBackend:
    """Engines through TensorRT-RTX's own runtime: ONNX Runtime's plugin leaves Turing out."""

    name = NAME

    def availability(self, device: int = 0) -> Availability:
        gpu = nvidia.find_gpu()
        if isinstance(gpu, str):
            return Availability(NAME, False, gpu, nvidia.INSTALL)
        try:
            known = runtime.architectures()
        except ImportError as error:
            reason = f"the package tensorrt-rtx can't be imported ({error})"
            return Availability(NAME, False, reason, 'pip install "tensorrt-rtx>=1.4"')
        except OSError as error:
            reason = f"a library of the package tensorrt-rtx can't be loaded ({error})"
            return Availability(NAME, False, reason, "pip install --force-reinstall tensorrt-rtx")
        if lack := _unsupported(gpu, known):
            return Availability(NAME, False, *lack)
        return Availability(NAME, True, device=str(gpu))

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> RtxNetwork:
        gpu = nvidia.find_gpu()
        if isinstance(gpu, str):
            raise OpenFailed(NAME, spec.name, gpu)
        pick_precision(NAME, spec, precision, ("fp16",))
        limit = batch_limit(spec, budget, gpu=True)
        data, notes = _fresh_engine(spec, onnx, gpu.sm)
        cache = _runtime_cache(spec, gpu)
        try:
            engine = runtime.Engine(data, cache.read_bytes() if cache.is_file() else b"")
            if engine.memory_bytes > budget.gpu_gib * 2**30:
                needed = engine.memory_bytes / 2**20
                raise BudgetTooSmall(spec.name, needed, budget.gpu_gib * 1024)
            memory = CudaMemory()
        except (runtime.Refused, nvidia.CudaFailed, OutOfMemory, OSError) as error:
            reason = str(error) or "the GPU is out of memory"
            raise OpenFailed(NAME, spec.name, reason) from error
        network = RtxNetwork(spec, str(gpu), limit, engine, memory, cache)
        for note in notes:
            network.warn(note)
        return network


def _unsupported(gpu: nvidia.Gpu, known: tuple[int, ...]) -> tuple[str, str] | None:
    """(reason, remedy) when the package can't serve this GPU or driver."""
    if gpu.sm not in known:
        reason = (
            f"TensorRT-RTX {runtime.version()} builds no engines for compute capability "
            f"{dotted(gpu.sm)} (it knows {', '.join(map(dotted, known))})"
        )
        return reason, "use --backend tensorrt or cuda"
    old = gpu.too_old_for(_cuda_major())
    return (old, nvidia.UPDATE) if old else None


@functools.cache
def _cuda_major() -> int:
    """The CUDA that the installed package was made for; 12 at least."""
    for major in (13, 12):
        try:
            metadata.version(f"tensorrt-rtx-cu{major}")
        except metadata.PackageNotFoundError:
            continue
        return major
    return 12


def _fresh_engine(spec: NetworkSpec, onnx: bytes, sm: int) -> tuple[bytes, list[str]]:
    """An engine that fits, built when there is none; and what was found stale on the way."""
    key = wanted_key(spec, sm)
    notes: list[str] = []
    # what lies beside a set is not in its manifest: no digest and no signature covers it
    beside = () if spec.proven else (beside_set(spec, sm),)
    for path in (*beside, in_cache(key)):
        try:
            return read_engine(path, key), notes
        except FileNotFoundError:
            continue
        except EngineStale as error:
            notes.append(f"{error}; `python -m export engine` builds it anew.")
        except OSError as error:
            notes.append(f"{path.name} is not used: it can't be read ({error.strerror}).")
    try:
        return build_engine(spec, onnx, key, in_cache(key)), notes
    except EngineNotWritten as error:
        return error.engine, [*notes, f"{error}."]


def _runtime_cache(spec: NetworkSpec, gpu: nvidia.Gpu) -> Path:
    """Compiled kernels fit one engine, one GPU and one driver."""
    key = in_cache(wanted_key(spec, gpu.sm)).stem
    about = "".join(c if c.isalnum() else "-" for c in f"{gpu.name}-{nvidia.driver_version()}")
    return cache_folder() / f"{key}.{about}.kernels"
