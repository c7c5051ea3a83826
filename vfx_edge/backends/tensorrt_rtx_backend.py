"""TensorRT for RTX: NVIDIA's engine for workstations, from Turing on.

An engine built ahead of time beside the set is used when it is fresh; else one is built at first
use and kept in the user's cache folder. What the runtime compiles for this very GPU is kept, too.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import numpy as np

from vfx_edge.backends import needs, nvidia
from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.budget import batch_limit, settled
from vfx_edge.backends.cuda_memory import CudaMemory
from vfx_edge.backends.errors import (
    BudgetTooSmall,
    EngineNotWritten,
    OpenFailed,
    OutOfMemory,
    RunFailed,
)
from vfx_edge.backends.network import CheckedNetwork, pick_precision
from vfx_edge.backends.protocol import Array, Availability, Budget
from vfx_edge.backends.tensorrt_rtx_engine import (
    EngineStale,
    beside_set,
    build_engine,
    cache_folder,
    in_cache,
    read_engine,
    wanted_key,
)
from vfx_edge.errors import OutputError, first_line
from vfx_edge.files import write_bytes
from vfx_edge.manifest import NetworkSpec

NAME = "tensorrt-rtx"
_SCRATCH = ""
"""No tensor has this name."""
_ALIGNED = 256
"""Bytes; the driver gives no buffer of none."""


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
        self._buffers: dict[str, tuple[int, int]] = {}  # tensor or scratch -> address, bytes
        self._sizes: set[int] = set()
        """Of the batches so far: for each, kernels are compiled."""

    def _infer(self, batch: Array) -> Array:
        assert self._engine is not None, "run after close"
        given, answer = self.spec.input.name, self.spec.output.name
        try:
            self._memory.make_current()
            shape, scratch = self._engine.prepare(given, batch.shape, answer)
            fed, read = self._engine.dtype(given), self._engine.dtype(answer)
            numbers = batch.astype(fed, copy=False)
            addresses = {
                given: self._buffer(given, numbers.nbytes),
                answer: self._buffer(answer, int(np.prod(shape)) * read.itemsize),
            }
            beside = self._buffer(_SCRATCH, max(scratch, _ALIGNED)), scratch
            self._memory.upload(addresses[given], numbers)
            self._engine.run(addresses, beside, self._memory.stream)
            raw = self._memory.download(addresses[answer], shape, read)
            self._keep_kernels(len(batch))
            return raw.astype(np.float32, copy=False)
        except OutOfMemory:
            self._release()
            raise
        except (runtime.Refused, nvidia.CudaFailed) as error:
            if "outofmemory" in str(error).lower().replace(" ", ""):  # it words it both ways
                self._release()
                raise OutOfMemory from error
            raise RunFailed(NAME, self.spec.name, str(error)) from error

    def _keep_kernels(self, size: int) -> None:
        """After the first batch of a size: a service's process is ended, and closes nothing."""
        if size not in self._sizes:
            self._sizes.add(size)
            self._save_kernels()

    def _save_kernels(self) -> None:
        if self._cache is not None and self._engine and (kept := self._engine.runtime_cache()):
            _keep(self._cache, kept)

    def _release(self) -> None:
        """Buffers of a batch that was too big would stand in a smaller one's way."""
        buffers, self._buffers = self._buffers, {}
        with suppress(nvidia.CudaFailed):  # a card that is lost says so to the smaller batch, too
            for address, _ in buffers.values():
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
        self._memory.make_current()
        self._save_kernels()
        self._engine.close()
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
        gpu = nvidia.find_gpu(device)
        if isinstance(gpu, nvidia.NoGpu):
            return needs.no_card(NAME, gpu)
        absent = _absent()
        known = () if absent.what else runtime.architectures()
        return needs.judged(NAME, gpu, _cuda_major(), lambda: absent, known)

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> RtxNetwork:
        gpu = nvidia.find_gpu(budget.device)
        if isinstance(gpu, nvidia.NoGpu):
            raise OpenFailed(NAME, spec.name, gpu.reason)
        share = settled(budget) if budget.gpu_gib is None else budget
        pick_precision(NAME, spec, precision, ("fp16",))
        limit = batch_limit(spec, share, gpu=True)
        data, notes = _fresh_engine(spec, onnx, gpu.sm)
        cache = _runtime_cache(spec, gpu)
        try:
            memory = CudaMemory(share.device)
            with _closed_if_it_fails(memory):
                engine = runtime.Engine(data, cache.read_bytes() if cache.is_file() else b"")
                with _closed_if_it_fails(engine):
                    limit = _fitting(spec, engine, share, limit)
        except (runtime.Refused, nvidia.CudaFailed, OutOfMemory, OSError) as error:
            reason = str(error) or "the GPU is out of memory"
            raise OpenFailed(NAME, spec.name, reason) from error
        network = RtxNetwork(spec, str(gpu), limit, engine, memory, cache)
        for note in (share.note, *notes):
            network.warn(note)
        return network


@contextmanager
def _closed_if_it_fails(opened: CudaMemory | runtime.Engine) -> Iterator[None]:
    try:
        yield
    except Exception:
        with suppress(nvidia.CudaFailed, OutOfMemory):  # the first error counts
            opened.close()
        raise


def _fitting(spec: NetworkSpec, engine: runtime.Engine, share: Budget, limit: int) -> int:
    """The batch, halved until what the engine itself says it needs is within the share."""
    given, answer, room = spec.input.name, spec.output.name, (share.gpu_gib or 0.0) * 2**30
    while (needed := engine.prepare(given, spec.shape(limit), answer)[1]) > room:
        if limit // 2 < spec.batch.min:
            raise BudgetTooSmall(spec.name, needed / 2**20, room / 2**20, gpu=True)
        limit //= 2
    return limit


def _absent() -> needs.Absent:
    """What of the package is missing."""
    try:
        runtime.package()
    except ImportError as error:
        return needs.Absent(f"the package tensorrt-rtx can't be imported ({first_line(error)})")
    except OSError as error:
        wrong = f"a library of the package tensorrt-rtx can't be loaded ({first_line(error)})"
        return needs.Absent(wrong, "pip install --force-reinstall tensorrt-rtx")
    return needs.Absent()


@functools.cache
def _cuda_major() -> int:
    """The CUDA that the installed package was made for, or the one that would be installed."""
    for major in (13, 12):
        try:
            metadata.version(f"tensorrt-rtx-cu{major}")
        except metadata.PackageNotFoundError:
            continue
        return major
    return needs.NEWEST_CUDA


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
