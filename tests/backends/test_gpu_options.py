"""What the GPU's runtimes are told, and whether they know it: no card is needed to see that.

The session's part is played by ONNX Runtime on the CPU; everything around it is real.
"""

import mmap
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import onnx
import onnxruntime
import pytest
from msgspec import structs
from onnx import TensorProto, helper

from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import Array, Budget, nvidia, onnxruntime_gpu, openvino_backend
from vfx_edge.backends import tensorrt_rtx_runtime as rtx
from vfx_edge.backends.errors import OpenFailed, PrecisionUnavailable, RunFailed
from vfx_edge.backends.fixed_batch import ShapesOpen, with_batch
from vfx_edge.backends.half import half_precision
from vfx_edge.backends.onnxruntime_backend import OrtBackend, OrtNetwork
from vfx_edge.backends.onnxruntime_gpu import CudaBackend, TensorRtBackend
from vfx_edge.backends.openvino_backend import OpenVinoBackend
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.vocabulary import NEEDED_ROLES, Stored

TURING = nvidia.Gpu("Quadro RTX 5000", 16.0, (7, 5), (13, 0))
AMPERE = nvidia.Gpu("NVIDIA RTX A4000", 16.0, (8, 6), (13, 0))
BATCH = np.random.default_rng(3).normal(size=(5, 1, 8, 8, 8)).astype(np.float32)
ALL = ("fp32", "tf32", "bf16", "fp16")


@dataclass
class Opened:
    """The networks that were opened, their files and what the providers were told."""

    forms: list[bytes] = field(default_factory=list)
    options: list[dict[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    """A machine with an Ampere card, and the user's cache in tmp_path."""
    seen = Opened()

    def session(_: OrtBackend, spec: NetworkSpec, form: bytes, providers: Any, __: Budget) -> Any:
        seen.forms.append(form)
        seen.options.append({p[0]: p[1] for p in providers if isinstance(p, tuple)})
        return onnxruntime.InferenceSession(form, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(OrtBackend, "_session", session)
    monkeypatch.setattr(OrtBackend, "_compare", lambda *_: None)
    monkeypatch.setattr(nvidia, "find_gpu", lambda device=0: replace(AMPERE, index=device))
    monkeypatch.setattr(nvidia, "free_gib", lambda device=0: 8.0)
    monkeypatch.setattr(nvidia, "driver_version", lambda: "580.65")
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "cache"))
    return seen


@pytest.fixture
def spec(tmp_path: Path) -> NetworkSpec:
    return finder(tmp_path / "set", ALL)


def finder(folder: Path, precisions: tuple[str, ...]) -> NetworkSpec:
    models = write_set(folder, {"finder": tiny_segmenter()}, precisions=precisions)
    return load_model_set(models).network("finder")


def on_host(network: OrtNetwork) -> OrtNetwork:
    """Its buffers on the CPU, where the session is; it was opened for the card before."""
    assert network._place[0] == "cuda"
    network._place = ("cpu", 0)
    return network


def expected(data: bytes, batch: Array) -> Array:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": batch})[0])


@pytest.mark.parametrize(
    ("backend", "gpu", "offered"),
    [
        (CudaBackend, AMPERE, "tf32 fp32 fp16"),
        (CudaBackend, TURING, "fp32 fp16"),
        (TensorRtBackend, AMPERE, "fp16 bf16 tf32"),  # its TF32 can't be switched off
        (TensorRtBackend, TURING, "fp16 fp32"),
    ],
)
def test_precisions_are_those_that_the_card_has(
    spec: NetworkSpec, opened: Opened, monkeypatch: pytest.MonkeyPatch,
    backend: type[CudaBackend], gpu: nvidia.Gpu, offered: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(nvidia, "find_gpu", lambda device=0: gpu)
    data, names = spec.read(), offered.split()
    assert backend().open(spec, data, "auto", Budget()).precision == names[0]
    for name in ALL:
        if name in names:
            assert backend().open(spec, data, name, Budget()).precision == name
            cuda = opened.options[-1]["CUDAExecutionProvider"]
            assert cuda["use_tf32"] == str(int(name == "tf32"))
        else:
            with pytest.raises(PrecisionUnavailable, match=f"in {name} on this machine"):
                backend().open(spec, data, name, Budget())


def test_nvidias_own_switch_takes_tf32_away(
    spec: NetworkSpec, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    TensorRtBackend().open(spec, spec.read(), "tf32", Budget())
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    for backend in (CudaBackend(), TensorRtBackend()):
        assert backend.open(spec, spec.read(), "fp32", Budget()).precision == "fp32"
        with pytest.raises(PrecisionUnavailable):
            backend.open(spec, spec.read(), "tf32", Budget())
    first, _, last = (told.get("TensorrtExecutionProvider", {}) for told in opened.options)
    assert first["trt_engine_cache_path"] != last["trt_engine_cache_path"]


def test_a_network_for_fp32_alone_is_left_to_cuda(tmp_path: Path, opened: Opened) -> None:
    only = finder(tmp_path / "exact", ("fp32",))
    assert CudaBackend().open(only, only.read(), "auto", Budget()).precision == "fp32"
    with pytest.raises(PrecisionUnavailable, match="any precision that its manifest allows"):
        TensorRtBackend().open(only, only.read(), "auto", Budget())


@pytest.mark.parametrize("backend", [CudaBackend, TensorRtBackend])
def test_the_card_that_was_asked_for_and_what_is_free_of_it(
    spec: NetworkSpec, opened: Opened, backend: type[CudaBackend]
) -> None:
    network = backend().open(spec, spec.read(), "auto", Budget(device=1))
    assert network._place == ("cuda", 1)
    assert {told["device_id"] for told in opened.options[0].values()} == {"1"}
    cuda = opened.options[0]["CUDAExecutionProvider"]
    assert cuda["gpu_mem_limit"] == str(int(7.5 * 2**30))
    assert cuda["cudnn_conv_algo_search"] == "HEURISTIC"
    noted = Budget(gpu_gib=2, note="Less is free.")
    assert backend().open(spec, spec.read(), "auto", noted).warnings == ("Less is free.",)
    assert opened.options[1]["CUDAExecutionProvider"]["gpu_mem_limit"] == str(2 << 30)


def test_fp16_is_the_networks_own_fp16_form(spec: NetworkSpec, opened: Opened) -> None:
    half = half_precision(spec.read())
    CudaBackend().open(spec, spec.read(), "fp16", Budget())
    TensorRtBackend().open(spec, spec.read(), "fp16", Budget())
    assert opened.forms == [half, with_batch(half, 2)]
    told = opened.options[1]["TensorrtExecutionProvider"]
    assert (told["trt_fp16_enable"], told["trt_bf16_enable"]) == ("True", "False")


@pytest.mark.parametrize("stored", ["fp32", "fp16", "int8"])
def test_what_a_file_is_stored_in_is_what_tensorrt_may_use(
    spec: NetworkSpec, opened: Opened, stored: Stored
) -> None:
    precision = structs.replace(spec.precision, allowed=("fp32", "tf32"), stored=stored)
    spec = structs.replace(spec, precision=precision)
    network = TensorRtBackend().open(spec, spec.read(), "auto", Budget())
    assert network.precision == {"fp32": "tf32"}.get(stored, stored)
    told = opened.options[0]["TensorrtExecutionProvider"]
    for name in ("fp16", "int8"):
        assert told[f"trt_{name}_enable"] == str(stored == name)


def test_tensorrt_takes_batches_of_one_size(spec: NetworkSpec, opened: Opened) -> None:
    """The usual one, halved until it fits; what is missing is filled up, and not seen."""
    data = spec.read()
    for gib, size in ((8.0, 2), (0.0003, 1)):
        network = TensorRtBackend().open(spec, data, "tf32", Budget(gpu_gib=gib))
        shape = onnx.load_from_string(opened.forms[-1]).graph.input[0].type.tensor_type.shape
        assert [dim.dim_value for dim in shape.dim] == [size, 1, 8, 8, 8]
        answer = on_host(network).run(BATCH)
        np.testing.assert_allclose(answer, expected(data, BATCH), atol=1e-6)
        network._session = Mock(run=Mock(side_effect=RuntimeError("out of memory")))
        with pytest.raises(RunFailed, match=f"with {size} patches at once, which can't be less"):
            network.run(BATCH[:1])


def test_tensorrt_must_not_lower_what_stays_in_fp32(opened: Opened) -> None:
    """The shipped classifier's statistics: TensorRT would compute them in FP16."""
    spec = load_model_set().network("classifier")
    half = half_precision(spec.read())
    providers = TensorRtBackend()._providers(spec, half, "fp16", 1, Budget(gpu_gib=1))
    kept = providers[0][1]["trt_op_types_to_exclude"].split(",")
    assert {"Log", "ReduceMean", "Pow", "Sqrt", "Sigmoid"} <= set(kept)
    assert not {"Conv", "Gemm", "InstanceNormalization", "Cast", "Concat", "Relu"} & set(kept)


@pytest.mark.parametrize("role", NEEDED_ROLES)
def test_a_fixed_batch_settles_every_shape_of_a_shipped_network(role: str) -> None:
    spec = load_model_set().network(role)
    fixed = onnx.load_from_string(with_batch(spec.read(), 3))
    assert not fixed.graph.value_info, "ONNX Runtime keeps to what stands there"
    graph = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        assert all(dim.dim_value for dim in value.type.tensor_type.shape.dim), value.name


def branching() -> bytes:
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["image"], ["found"], "where"),
         helper.make_node("Cast", ["found"], ["logits"], to=TensorProto.FLOAT)],
        "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8, 8])], [out],
    )  # fmt: skip
    opset = helper.make_opsetid("", 18)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())


def test_shapes_that_stay_open_are_named_before_tensorrt_fails(
    spec: NetworkSpec, opened: Opened
) -> None:
    with pytest.raises(OpenFailed, match=r"its node 'where' \(NonZero\) answers with a shape"):
        TensorRtBackend().open(spec, branching(), "tf32", Budget())
    with pytest.raises(ShapesOpen):
        with_batch(branching(), 2)
    assert opened.forms == []
    CudaBackend().open(spec, branching(), "tf32", Budget())  # which takes them as they come


def test_engines_are_kept_by_everything_they_depend_on(
    spec: NetworkSpec, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folders(spec: NetworkSpec, precision: str = "fp16", **budget: Any) -> tuple[str, str]:
        TensorRtBackend().open(spec, spec.read(), precision, Budget(**budget))
        told = opened.options[-1]["TensorrtExecutionProvider"]
        assert Path(told["trt_engine_cache_path"]).is_dir()
        return told["trt_engine_cache_path"], told["trt_timing_cache_path"]

    first = folders(spec)
    assert folders(spec) == first
    assert folders(spec, gpu_gib=3.0) == folders(spec, gpu_gib=5.0) == first, "not what is free"
    others = [
        folders(structs.replace(spec, batch=structs.replace(spec.batch, opt=4))),
        folders(spec, gpu_gib=0.0003),
        folders(spec, "tf32"),
        folders(spec, "bf16"),
    ]
    monkeypatch.setattr(nvidia, "driver_version", lambda: "1.2.3")
    others.append(folders(spec))
    assert len({engines for engines, _ in (first, *others)}) == 1 + len(others)
    assert len({timings for _, timings in (first, *others)}) == 2, "networks share theirs"


def test_no_cache_folder_is_no_reason_to_fail(
    spec: NetworkSpec, opened: Opened, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    TensorRtBackend().open(spec, spec.read(), "fp16", Budget())
    told = opened.options[0]["TensorrtExecutionProvider"]
    assert told["trt_engine_cache_enable"] == told["trt_timing_cache_enable"] == "False"


def test_a_build_of_minutes_is_announced(
    spec: NetworkSpec, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "vfx_edge.backends"):
        TensorRtBackend().open(spec, spec.read(), "fp16", Budget())
        assert "Building the TensorRT engine of 'tiny finder'" in caplog.text
        caplog.clear()
        told = opened.options[0]["TensorrtExecutionProvider"]
        (Path(told["trt_engine_cache_path"]) / "x.engine").write_bytes(b"")
        TensorRtBackend().open(spec, spec.read(), "fp16", Budget())
    assert caplog.text == ""


def test_an_engine_that_was_cut_short_is_built_anew(
    spec: NetworkSpec, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider writes it in place, and would refuse it at each start from then on."""
    TensorRtBackend().open(spec, spec.read(), "fp16", Budget())
    cut = Path(opened.options[0]["TensorrtExecutionProvider"]["trt_engine_cache_path"]) / "x.engine"
    cut.write_bytes(b"half of it")
    played, says = OrtBackend._session, "TensorRT EP could not deserialize engine from cache: x"

    def session(*given: Any) -> Any:
        if cut.exists():
            raise OpenFailed("tensorrt", "finder", says)
        return played(*given)

    monkeypatch.setattr(OrtBackend, "_session", session)
    TensorRtBackend().open(spec, spec.read(), "fp16", Budget())
    assert not cut.exists()
    cut.write_bytes(b"a whole one")
    says = "out of memory"
    with pytest.raises(OpenFailed, match="out of memory"):
        TensorRtBackend().open(spec, spec.read(), "fp16", Budget())
    assert cut.exists(), "an engine of minutes is not thrown away for another reason"


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "TensorrtExecutionProvider"])
def test_the_installed_provider_knows_each_option(
    spec: NetworkSpec, opened: Opened, provider: str
) -> None:
    """A name that it does not know it refuses, or worse, overlooks."""
    kind = "cuda" if provider.startswith("CUDA") else "tensorrt"
    folder = Path(onnxruntime.__file__).parent / "capi"
    libraries = list(folder.glob(f"*onnxruntime_providers_{kind}.*"))
    if not libraries:
        pytest.skip(f"the installed onnxruntime has no {provider}")
    for precision in ("fp16", "tf32"):
        TensorRtBackend().open(spec, spec.read(), precision, Budget())
    names = {name for told in opened.options for name in told[provider]}
    assert len(names) >= 5
    with libraries[0].open("rb") as file, mapped(file.fileno()) as text:
        assert [name for name in names if text.find(f"\0{name}\0".encode()) < 0] == []
        assert kind == "cuda" or text.find(onnxruntime_gpu._UNREADABLE.encode()) > 0


def mapped(file: int) -> mmap.mmap:
    return mmap.mmap(file, 0, access=mmap.ACCESS_READ)


def test_openvino_knows_each_option(spec: NetworkSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    core, seen = openvino_backend._core(), []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def compile_model(self, model: Any, device: str, config: dict[str, str]) -> Any:
            seen.append(config)
            return core.compile_model(model, device, config)

    monkeypatch.setattr(openvino_backend, "_core", Watched)
    OpenVinoBackend().open(spec, spec.read(), "fp32", Budget(threads=1))
    assert len(seen[-1]) == 3
    assert set(seen[-1]) <= set(core.get_property("CPU", "SUPPORTED_PROPERTIES"))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> tuple[rtx.Engine, Mock, Mock]:
    """An engine on objects that have the installed package's attributes, and no others."""
    trt = pytest.importorskip("tensorrt_rtx")
    context = Mock(spec_set=trt.IExecutionContext)
    config = Mock(spec_set=trt.IRuntimeConfig)
    config.create_runtime_cache.return_value = Mock(spec_set=trt.IRuntimeCache)
    built = Mock(spec_set=trt.ICudaEngine, device_memory_size_v2=4096)
    built.create_runtime_config.return_value = config
    built.create_execution_context.return_value = context
    played = Mock(spec_set=trt.Runtime)
    played.deserialize_cuda_engine.return_value = built
    names = ("ILogger", "ExecutionContextAllocationStrategy", "nptype")
    package = SimpleNamespace(Runtime=lambda _: played, **{n: getattr(trt, n) for n in names})
    monkeypatch.setattr(rtx, "package", lambda: package)
    return rtx.Engine(b"engine", b"kernels"), config, context


def test_tensorrt_rtx_has_what_is_called(engine: tuple[rtx.Engine, Mock, Mock]) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    made, config, context = engine
    (strategy,) = config.set_execution_context_allocation_strategy.call_args.args
    assert strategy.name == "USER_MANAGED"
    context.get_tensor_shape.return_value = (2, 3)
    context.update_device_memory_size_for_shapes.side_effect = (1024, 0)
    assert made.prepare("image", (2, 1), "logits") == ((2, 3), 1024)
    assert made.prepare("image", (2, 1), "logits") == ((2, 3), 4096), "it can't tell: the largest"
    built = made._engine
    built.get_tensor_dtype.side_effect = {"image": trt.float16, "logits": trt.float32}.get
    assert [made.dtype(name).name for name in ("image", "logits")] == ["float16", "float32"]
    made.run({"image": 1, "logits": 2}, (3, 1024), 4)
    context.set_device_memory.assert_called_once_with(3, 1024)
    context.execute_async_v3.assert_called_once_with(4)
    context.get_tensor_shape.return_value = (2, -1)
    with pytest.raises(rtx.Refused, match="shape of 'logits' depends on what"):
        made.prepare("image", (2, 1), "logits")
    context.set_input_shape.return_value = False
    with pytest.raises(rtx.Refused):
        made.prepare("image", (9, 1), "logits")
    made.close()
