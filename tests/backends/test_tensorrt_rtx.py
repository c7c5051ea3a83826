"""The tensorrt-rtx backend where there is no GPU: driver and engine are played, the rest is real.

The engine's part is played by ONNX Runtime, the GPU's memory by the host's: what is tested is
everything that we do between a patch and an answer.
"""

import ctypes
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.fake_card import TURING, Machine
from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import Backend, Budget, OpenModels, nvidia, open_models
from vfx_edge.backends import tensorrt_rtx_backend as backend
from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.cuda_memory import CudaMemory
from vfx_edge.backends.errors import BudgetTooSmall, OpenFailed, RunFailed
from vfx_edge.backends.half import half_of, half_precision
from vfx_edge.backends.onnxruntime_backend import CpuBackend
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
        assert HostEngine.open == 0, "an engine frees its memory while its context is there"
        self.released += 1
        return 0


class HostEngine:
    """What `runtime.Engine` does, by ONNX Runtime; its "engine" is the FP16 network itself."""

    scratch_bytes = 1 << 10
    """Of a patch."""
    most = 99
    full = "CUDA out of memory"
    given_cache = b""
    open = 0

    def __init__(self, data: bytes, cache: bytes = b"") -> None:
        if not data:
            raise runtime.Refused("no engine")
        HostEngine.given_cache = cache
        HostEngine.open += 1
        self._session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def dtype(self, tensor: str) -> np.dtype[Any]:
        (known,) = self._session.get_inputs()
        return np.dtype(np.float16 if known.type == "tensor(float16)" else np.float32)

    def prepare(
        self, name: str, shape: tuple[int, ...], output: str
    ) -> tuple[tuple[int, ...], int]:
        self._shape = shape
        return (shape[0], 3, *shape[2:]), shape[0] * self.scratch_bytes

    def run(self, addresses: dict[str, int], scratch: tuple[int, int], stream: int) -> None:
        assert scratch[1] == self._shape[0] * self.scratch_bytes
        ctypes.memset(scratch[0], 255, scratch[1])  # it is ours to spoil
        if self._shape[0] > self.most:
            raise runtime.Refused(self.full)
        batch = _at(addresses["image"], self._shape, self.dtype("image"))
        answer = self._session.run(["logits"], {"image": batch})[0]
        _at(addresses["logits"], answer.shape, answer.dtype)[:] = answer

    def runtime_cache(self) -> bytes:
        return b"kernels"

    def close(self) -> None:
        HostEngine.open -= 1


def _at(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    size = int(np.prod(shape)) * dtype.itemsize
    there = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    numbers: np.ndarray = np.frombuffer(there, dtype).reshape(shape)
    return numbers


FULL = "CUDA out of memory", "Error Code 2: OutOfMemory (Requested size was 512 bytes.)"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, engine: None) -> HostDriver:
    """A machine with a Turing card, as far as the backend can see."""
    driver = HostDriver()
    monkeypatch.setattr(HostEngine, "open", 0)
    monkeypatch.setattr(nvidia, "find_gpu", lambda *_: GPU)
    monkeypatch.setattr(nvidia, "driver_version", lambda: "580.65")
    monkeypatch.setattr(backend, "CudaMemory", lambda device: CudaMemory(device, driver))
    return driver


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package, whose engines are played."""
    monkeypatch.setattr(backend, "_cuda_major", lambda: 13)
    monkeypatch.setattr(runtime, "package", lambda: None)
    monkeypatch.setattr(runtime, "version", lambda: "1.7.1")
    monkeypatch.setattr(runtime, "architectures", lambda: (75, 86, 89, 120))
    monkeypatch.setattr(runtime, "Engine", HostEngine)
    monkeypatch.setattr(runtime, "build", lambda onnx, *_: onnx)
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "cache"))


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


def test_patches_go_there_and_answers_come_back(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[object] = []
    monkeypatch.setattr(driver, "cuCtxSetCurrent", contexts.append, raising=False)
    with opened(spec) as network:
        assert network.precision == "fp16"
        np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))
        np.testing.assert_array_equal(network.run(BATCH[:1]), expected(spec, BATCH[:1]))
        assert len(driver.held) == 3, "buffers are kept from batch to batch"
        assert network.warnings == ()
    assert driver.held == {}
    assert driver.released == 1
    assert contexts[0] is not None
    assert contexts[-1] is None, "no runtime after this one finds a context that is gone"


def test_a_file_that_is_fed_and_read_in_fp16_is(spec: NetworkSpec, driver: HostDriver) -> None:
    """Such a file is its own FP16 form: its engine wants half as many bytes."""
    model = onnx.ModelProto.FromString(spec.read())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for weights in model.graph.initializer:
        half = numpy_helper.to_array(weights).astype(np.float16)
        weights.CopyFrom(numpy_helper.from_array(half, weights.name))
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"image": BATCH.astype(np.float16)})
    with backend.TensorRtRtxBackend().open(spec, data, "auto", Budget()) as network:
        np.testing.assert_array_equal(network.run(BATCH), wanted.astype(np.float32))


@pytest.mark.parametrize("full", FULL)
def test_out_of_memory_halves_the_batch(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """Whether the engine runs out of it or the buffers do."""
    monkeypatch.setattr(HostEngine, "full", full)
    monkeypatch.setattr(HostEngine, "most", 2)
    with opened(spec) as network:
        np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))
        assert network.batch_limit == 2
        assert "ran out of memory with 4 patches" in network.warnings[0]
    driver.room = (1 + 3) * 8**3 * 4 + 1024  # image, answer and scratch of one patch
    with opened(spec) as network:
        np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))
        assert network.batch_limit == 1


def test_a_card_that_is_lost_while_it_is_out_of_memory_is_a_failed_run(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = opened(spec)
    monkeypatch.setattr(HostEngine, "most", 0)
    monkeypatch.setattr(driver, "cuMemFree_v2", lambda _: 999, raising=False)
    with pytest.raises(RunFailed, match="out of memory with 1 patches"):
        network.run(BATCH)


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
        CudaMemory(driver=driver)


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


def test_kernels_are_kept_by_a_process_that_never_closes(
    spec: NetworkSpec, driver: HostDriver
) -> None:
    network = opened(spec)
    opened(spec)
    assert HostEngine.given_cache == b""
    network.run(BATCH[:1])
    opened(spec)
    assert HostEngine.given_cache == b"kernels"


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


def test_an_engine_that_wants_more_than_its_share_gets_smaller_batches(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One engine serves every card: its scratch is ours, and as large as the batch makes it."""
    monkeypatch.setattr(HostEngine, "scratch_bytes", 1 << 20)
    for mib, batch in ((4, 4), (3, 2), (1, 1)):
        with opened(spec, Budget(gpu_gib=mib / 1024)) as network:
            assert network.batch_limit == batch
            np.testing.assert_array_equal(network.run(BATCH), expected(spec, BATCH))
    assert len(beside_cache(spec)) == 1
    released = driver.released
    with pytest.raises(BudgetTooSmall, match="needs about 1 MiB of GPU memory"):
        opened(spec, Budget(gpu_gib=0.5 / 1024))
    assert driver.released == released + 1, "a card that is not used is let go"


def test_the_second_card_is_the_second_card(
    spec: NetworkSpec, driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(driver, "cuDeviceGet", lambda _, i: asked.append(i), raising=False)
    monkeypatch.setattr(nvidia, "find_gpu", lambda device=0: replace(GPU, name=f"card {device}"))
    with opened(spec, Budget(gpu_gib=1, device=1, note="Less is free.")) as network:
        assert asked == [1]
        assert network.device.startswith("card 1 ")
        assert network.warnings == ("Less is free.",)


@pytest.mark.usefixtures("engine")
def test_a_card_that_is_lost_in_the_middle(machine: Machine, tmp_path: Path) -> None:
    """With auto the next backend answers the same question; a named one ends."""
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()}, precisions=("fp16", "fp32"))
    known: dict[str, Backend] = {
        "tensorrt-rtx": backend.TensorRtRtxBackend(),
        "cpu": CpuBackend(),
    }

    def ask(requested: str) -> tuple[np.ndarray, OpenModels]:
        machine.play(TURING)
        with open_models(load_model_set(folder), requested, backends=known) as models:
            assert models.backend.used == "tensorrt-rtx"
            machine.play(TURING, fail={"cuMemcpyHtoD_v2": 719}, after=1)
            return models.answer(lambda: models.network("finder").run(BATCH)), models

    answer, models = ask("auto")
    assert models.backend.used == "cpu"
    ((name, reason),) = models.backend.failed
    assert name == "tensorrt-rtx"
    assert "lost what it computed on the card (error 719 to cuMemcpyHtoD_v2)" in reason
    with open_models(load_model_set(folder), "cpu", backends=known) as models:
        np.testing.assert_array_equal(answer, models.network("finder").run(BATCH))
    with pytest.raises(RunFailed, match="error 719"):
        ask("tensorrt-rtx")


@pytest.fixture
def installed() -> None:
    try:
        metadata.version("tensorrt-rtx")
    except metadata.PackageNotFoundError:
        pytest.skip("the package tensorrt-rtx is not installed")


@pytest.mark.usefixtures("installed")
def test_an_engine_has_the_answer_that_is_read_and_no_other() -> None:
    """It would want a buffer for each, and fail at its first question."""
    model = onnx.ModelProto.FromString(half_precision(tiny_segmenter()))
    model.graph.node.append(helper.make_node("Relu", ["logits"], ["another_answer"]))
    shape: tuple[str | int, ...] = ("n", 3, 8, 8, 8)
    other = helper.make_tensor_value_info("another_answer", TensorProto.FLOAT, shape)
    model.graph.output.append(other)
    shapes = ((1, 1, 8, 8, 8),) * 3
    for name in ("logits", "another_answer"):
        engine = runtime.build(model.SerializeToString(), 75, ("image", name), shapes)
        assert (b"another_answer" in engine) == (name == "another_answer")


@pytest.mark.usefixtures("installed")
def test_an_engine_is_built_without_tf32_and_tells_what_each_batch_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt = runtime.package()
    built, told = trt.Builder.build_serialized_network, []

    def build(builder: Any, network: Any, config: Any) -> Any:
        resize = trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10
        told.append((config.get_flag(trt.BuilderFlag.TF32), config.get_preview_feature(resize)))
        return built(builder, network, config)

    monkeypatch.setattr(trt.Builder, "build_serialized_network", build)
    shapes = ((1, 1, 8, 8, 8),) * 3
    runtime.build(half_precision(tiny_segmenter()), 86, ("image", "logits"), shapes)
    assert told == [(False, True)]


@pytest.mark.usefixtures("installed")
def test_the_real_package_is_as_we_take_it_to_be(capfd: pytest.CaptureFixture[str]) -> None:
    assert {75, 86, 89, 120} <= set(runtime.architectures())
    assert 90 not in runtime.architectures(), "then the documents are wrong about Hopper"
    assert runtime.version() == runtime.package().__version__
    with pytest.raises(runtime.Refused):
        runtime.build(b"no network", 75, ("x", "y"), ((1,), (1,), (1,)))
    with pytest.raises(runtime.Refused):
        runtime.Engine(b"no engine" * 100)
    assert capfd.readouterr() == ("", "")
