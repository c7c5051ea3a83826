"""The tensorrt-rtx backend where there is no GPU: driver and engine are played, the rest is real.

The engine's part is played by ONNX Runtime, the GPU's memory by the host's: what is tested is
everything that we do between a patch and an answer.
"""

import ctypes
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import Budget, nvidia
from vfx_edge.backends import tensorrt_rtx_backend as backend
from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.cuda_memory import CudaMemory
from vfx_edge.backends.errors import BudgetTooSmall, OpenFailed, RunFailed
from vfx_edge.backends.half import half_of
from vfx_edge.backends.tensorrt_rtx_engine import beside_set, build_engine, wanted_key
from vfx_edge.manifest import NetworkSpec, load_model_set

GPU = nvidia.Gpu("Quadro Test", 16.0, (7, 5), (13, 0))
BATCH = np.random.default_rng(0).normal(size=(5, 1, 8, 8, 8)).astype(np.float32)


class HostDriver:
    """libcuda's calls on host memory; `room` bytes of it."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.held: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.released = 0

    def __getattr__(self, name: str) -> object:
        assert name.startswith("cu")
        return lambda *_: 0

    def cuMemAlloc_v2(self, address: Any, size: Any) -> int:
        if sum(map(len, self.held.values())) + size.value > self.room:
            return 2
        block = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(block)
        self.held[address._obj.value] = block
        return 0

    def cuMemFree_v2(self, address: Any) -> int:
        del self.held[address.value]
        return 0

    def cuMemcpyHtoD_v2(self, target: Any, source: Any, size: Any) -> int:
        ctypes.memmove(target.value, source, size.value)
        return 0

    def cuMemcpyDtoH_v2(self, target: Any, source: Any, size: Any) -> int:
        ctypes.memmove(target, source.value, size.value)
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, _: Any) -> int:
        self.released += 1
        return 0


class HostEngine:
    """What `runtime.Engine` does, by ONNX Runtime; its "engine" is the FP16 network itself."""

    memory_bytes = 1 << 20
    most = 99
    given_cache = b""

    def __init__(self, data: bytes, cache: bytes = b"") -> None:
        if not data:
            raise runtime.Refused("no engine")
        HostEngine.given_cache = cache
        self._session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def output_shape(self, name: str, shape: tuple[int, ...], output: str) -> tuple[int, ...]:
        self._shape = shape
        return (shape[0], 3, *shape[2:])

    def run(self, addresses: dict[str, int], stream: int) -> None:
        if self._shape[0] > self.most:
            raise runtime.Refused("CUDA out of memory")
        batch = _at(addresses["image"], self._shape)
        answer = self._session.run(["logits"], {"image": batch})[0]
        _at(addresses["logits"], answer.shape)[:] = answer

    def runtime_cache(self) -> bytes:
        return b"kernels"


def _at(address: int, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    numbers = (ctypes.c_float * count).from_address(address)
    return np.ctypeslib.as_array(numbers).reshape(shape)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HostDriver:
    """A machine with a Turing card, as far as the backend can see."""
    driver = HostDriver()
    monkeypatch.setattr(nvidia, "find_gpu", lambda *_: GPU)
    monkeypatch.setattr(nvidia, "driver_version", lambda: "580.65")
    monkeypatch.setattr(backend, "CudaMemory", lambda: CudaMemory(driver))
    monkeypatch.setattr(backend, "_cuda_major", lambda: 13)
    monkeypatch.setattr(runtime, "version", lambda: "1.7.1")
    monkeypatch.setattr(runtime, "architectures", lambda: (75, 86, 89, 120))
    monkeypatch.setattr(runtime, "Engine", HostEngine)
    monkeypatch.setattr(runtime, "build", lambda onnx, *_: onnx)
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "cache"))
    return driver


@pytest.fixture
def spec(tmp_path: Path) -> NetworkSpec:
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()}, precisions=("fp16",))
    return load_model_set(folder).network("finder")


def opened(spec: NetworkSpec, budget: Budget | None = None) -> backend.RtxNetwork:
    opener = backend.TensorRtRtxBackend()
    return opener.open(spec, spec.read(), "auto", budget or Budget())


def expected(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
    data = half_of(spec, spec.read())
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": batch})[0])


def test_patches_go_there_and_answers_come_back(spec: NetworkSpec, driver: HostDriver) -> None:
    with opened(spec) as network:
        assert network.precision == "fp16"
        np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))
        np.testing.assert_array_equal(network.run(BATCH[:1]), expected(spec, BATCH[:1]))
        assert len(driver.held) == 2, "buffers are kept from batch to batch"
        assert network.warnings == ()
    assert driver.held == {}
    assert driver.released == 1


def test_out_of_memory_halves_the_batch(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the engine runs out of it or the buffers do."""
    monkeypatch.setattr(HostEngine, "most", 2)
    with opened(spec) as network:
        np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))
        assert network.batch_limit == 2
        assert "ran out of memory with 4 patches" in network.warnings[0]
    driver.room = (1 + 3) * 8**3 * 4  # image and answer of one patch
    with opened(spec) as network:
        np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))
        assert network.batch_limit == 1


def test_other_failures_are_reported(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(spec) as network:
        monkeypatch.setattr(driver, "cuMemcpyHtoD_v2", lambda *_: 700, raising=False)
        with pytest.raises(RunFailed, match="error 700 to cuMemcpyHtoD_v2"):
            network.run(BATCH)
    monkeypatch.setattr(runtime, "build", lambda *_: b"")
    (engine,) = beside_cache(spec)
    engine.unlink()
    with pytest.raises(OpenFailed, match="no engine"):
        opened(spec)
    monkeypatch.setattr(driver, "cuInit", lambda _: 100, raising=False)
    with pytest.raises(nvidia.CudaFailed, match="error 100 to cuInit"):
        CudaMemory(driver)


def beside_cache(spec: NetworkSpec) -> list[Path]:
    return sorted((spec.path.parents[1] / "cache" / "tensorrt-rtx").glob("*.engine"))


def test_an_engine_is_built_once_and_kept(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(spec).close()
    assert len(beside_cache(spec)) == 1

    def never(*_: object) -> bytes:
        raise AssertionError("it is in the cache")

    monkeypatch.setattr(runtime, "build", never)
    opened(spec).close()
    assert HostEngine.given_cache == b"kernels", "what the runtime compiled is kept, too"


def test_an_engine_beside_the_model_goes_first_and_a_stale_one_is_named(
    spec: NetworkSpec, driver: HostDriver
) -> None:
    path = beside_set(spec, 75)
    build_engine(spec, spec.read(), wanted_key(spec, 75), path)
    opened(spec).close()
    assert beside_cache(spec) == []
    path.write_bytes(b"cut")
    with opened(spec) as network:
        assert len(beside_cache(spec)) == 1
        (line,) = network.warnings
        assert line.startswith("finder.sm75.engine is not used: it was changed or cut short")
        np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))


def test_an_engine_that_wants_more_than_the_budget_is_refused(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HostEngine, "memory_bytes", 3 << 30)
    opened(spec, Budget(gpu_gib=4)).close()
    with pytest.raises(BudgetTooSmall, match="3072 MiB"):
        opened(spec, Budget(gpu_gib=2))


@pytest.fixture
def installed() -> None:
    try:
        metadata.version("tensorrt-rtx")
    except metadata.PackageNotFoundError:
        pytest.skip("the package tensorrt-rtx is not installed")


@pytest.mark.usefixtures("installed")
def test_the_real_package_is_as_we_take_it_to_be(capfd: pytest.CaptureFixture[str]) -> None:
    assert {75, 86, 89, 120} <= set(runtime.architectures())
    assert 90 not in runtime.architectures(), "then the documents are wrong about Hopper"
    assert runtime.version() == runtime.package().__version__
    with pytest.raises(runtime.Refused):
        runtime.build(b"no network", 75, "x", ((1,), (1,), (1,)))
    with pytest.raises(runtime.Refused):
        runtime.Engine(b"no engine" * 100)
    assert capfd.readouterr() == ("", "")
