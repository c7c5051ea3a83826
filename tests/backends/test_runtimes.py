"""The real runtimes: same numbers as plain arithmetic, named errors, not a word of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import correlate

from tests.tiny_models import conv_weights, tiny_segmenter, write_full_set, write_set
from vfx_edge.backends import Array, Budget, FakeBackend, OpenModels, nvidia, open_models
from vfx_edge.backends.errors import (
    BackendUnavailable,
    NotOnnx,
    OpenFailed,
    RanElsewhere,
    RunFailed,
)
from vfx_edge.backends.onnxruntime_backend import (
    CpuBackend,
    CudaBackend,
    TensorRtBackend,
    _exceptions,
)
from vfx_edge.backends.openvino_backend import OpenVinoBackend, native_precision
from vfx_edge.errors import BackendError
from vfx_edge.manifest import NetworkSpec, load_model_set

ROOT = Path(__file__).resolve().parents[2]
BATCH = np.random.default_rng(3).normal(size=(5, 1, 8, 8, 8)).astype(np.float32)
HAS_GPU = isinstance(nvidia.find_gpu(), nvidia.Gpu)
GPU = nvidia.Gpu("Test GPU", 8.0, (7, 5), (13, 0))


def convolution(_: NetworkSpec, batch: Array) -> Array:
    """What the tiny segmenter (seed 7) computes, by scipy."""
    weights = conv_weights(3, seed=7)[:, 0]
    return np.stack([[correlate(p[0], w, mode="constant") for w in weights] for p in batch])


def opened(tmp_path: Path, backend: str, **options: object) -> OpenModels:
    models = load_model_set(write_full_set(tmp_path / "set", precisions=("fp32", "bf16")))
    return open_models(models, backend, **options)


def test_all_runtimes_compute_the_same(tmp_path: Path) -> None:
    models = load_model_set(write_full_set(tmp_path / "set"))
    fake = open_models(models, "fake", backends={"fake": FakeBackend(convolution)})
    wanted = fake.network("segmenter").run(BATCH)
    for backend in ("cpu", "openvino"):
        with open_models(models, backend) as real:
            assert (real.backend.used, real.backend.precision) == (backend, "fp32")
            answer = real.network("segmenter").run(BATCH)
            assert answer.dtype == np.float32
            np.testing.assert_allclose(answer, wanted, atol=2e-5)
            assert real.network("classifier").probabilities(BATCH).shape == (5, 2)


def test_an_answer_is_not_overwritten_by_the_next(tmp_path: Path) -> None:
    for backend in ("cpu", "openvino"):
        network = opened(tmp_path, backend).network("segmenter")
        first = network.run(BATCH[:2])
        kept = first.copy()
        network.run(BATCH[2:4])
        np.testing.assert_array_equal(first, kept)


def test_bf16_is_used_where_cpu_and_manifest_have_it(tmp_path: Path) -> None:
    precision = opened(tmp_path, "openvino").backend.precision
    assert precision == ("bf16" if native_precision() == "bf16" else "fp32")
    assert opened(tmp_path, "openvino", precision="fp32").backend.precision == "fp32"
    assert opened(tmp_path, "cpu").backend.precision == "fp32"


def test_threads_may_be_set(tmp_path: Path) -> None:
    for backend in ("cpu", "openvino"):
        one = opened(tmp_path, backend, budget=Budget(threads=1), precision="fp32")
        many = opened(tmp_path, backend, precision="fp32")
        np.testing.assert_allclose(
            one.network("labeller").run(BATCH), many.network("labeller").run(BATCH), atol=1e-5
        )


@pytest.mark.parametrize("backend", [CpuBackend(), OpenVinoBackend()], ids=lambda b: b.name)
def test_a_network_the_runtime_can_not_read_is_a_model_or_backend_error(
    tmp_path: Path, backend: CpuBackend | OpenVinoBackend
) -> None:
    spec = load_model_set(write_full_set(tmp_path / "set")).network("segmenter")
    with pytest.raises((NotOnnx, OpenFailed)) as caught:
        backend.open(spec, b"no network at all", "auto", Budget())
    assert caught.value.exit_code in (4, 5)
    unknown = tiny_segmenter().replace(b"Conv", b"Bonv")
    with pytest.raises((NotOnnx, OpenFailed), match="Bonv"):
        backend.open(spec, unknown, "auto", Budget())


@pytest.mark.parametrize("name", ["cpu", "openvino"])
def test_whatever_the_runtime_raises_while_running_is_mapped(tmp_path: Path, name: str) -> None:
    """Every exception class of the runtime's own becomes RunFailed, or a smaller batch."""
    network = opened(tmp_path, name).network("segmenter")
    kinds = set(_exceptions()) - {MemoryError} if name == "cpu" else {RuntimeError}
    assert len(kinds) > 5 or name == "openvino"
    for kind in kinds:

        def broken(*_: object, kind: type[Exception] = kind, **__: object) -> None:
            raise kind("the device\nis gone.")

        holder = type("Holder", (), {"run": broken, "infer": broken})()
        setattr(network, "_session" if name == "cpu" else "_request", holder)
        with pytest.raises(RunFailed, match=f"'{name}' failed .*the device is gone\\)"):
            network.run(BATCH[:1])


def test_running_out_of_memory_is_recognised(tmp_path: Path) -> None:
    for name, attribute, message in (
        ("cpu", "_session", "bfc_arena.cc:360 Failed to allocate memory for requested buffer"),
        ("openvino", "_request", "std::bad_alloc"),
    ):
        network = opened(tmp_path, name).network("segmenter")
        real, calls = getattr(network, attribute), []

        def limited(*arguments: object, real=real, message=message, calls=calls, **more: object):
            feed = next(a for a in arguments if isinstance(a, dict))
            calls.append(len(feed["image"]))
            if calls[-1] > 1:
                raise RuntimeError(message)
            return (real.run if hasattr(real, "run") else real.infer)(*arguments, **more)

        members = {"run": staticmethod(limited), "infer": staticmethod(limited)}
        members["get_tensor"] = staticmethod(getattr(real, "get_tensor", None))
        setattr(network, attribute, type("Limited", (), members)())
        assert network.run(BATCH).shape == (5, 3, 8, 8, 8)
        assert calls == [2, 1, 1, 1, 1, 1]
        assert len(network.warnings) == 1


def test_a_missing_gpu_is_told_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "find_gpu", lambda: "no NVIDIA driver (libcuda.so.1 was not found)")
    for backend in (CudaBackend(), TensorRtBackend()):
        state = backend.availability()
        assert not state.available
        assert state.reason == "no NVIDIA driver (libcuda.so.1 was not found)"


def test_what_a_gpu_lacks_is_told_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which a user would mend it: package, TensorRT, driver, CUDA."""
    missing = {"libcudnn.so.9", "cudnn64_9.dll", *nvidia.tensorrt_libraries()}

    def first_missing(names: tuple[str, ...]) -> str | None:
        return next((name for name in names if name in missing), None)

    monkeypatch.setattr(nvidia, "find_gpu", lambda: GPU)
    monkeypatch.setattr(nvidia, "first_missing", first_missing)
    cuda, tensorrt = CudaBackend(), TensorRtBackend()
    if "CUDAExecutionProvider" not in _providers():
        assert "built without it" in cuda.availability().reason
        return
    assert "cudnn" in cuda.availability().reason
    assert "nvinfer" in tensorrt.availability().reason
    assert "tensorrt-cu13" in tensorrt.availability().remedy
    missing.clear()
    assert cuda.availability().available
    assert cuda.availability().device == "Test GPU (compute capability 7.5, 8 GiB)"
    old = nvidia.Gpu("Old", 8.0, (7, 5), (12, 4))
    monkeypatch.setattr(nvidia, "find_gpu", lambda: old)
    assert "serves CUDA 12.4" in cuda.availability().reason
    assert cuda.availability().remedy == "update the driver"


def _providers() -> list[str]:
    import onnxruntime

    return onnxruntime.get_available_providers()


@pytest.mark.skipif(HAS_GPU, reason="needs a machine without a GPU")
def test_a_session_that_silently_went_to_the_cpu_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if "CUDAExecutionProvider" not in _providers():
        pytest.skip("needs onnxruntime-gpu")
    models = load_model_set(write_full_set(tmp_path / "set"))
    monkeypatch.setattr(nvidia, "find_gpu", lambda: GPU)
    monkeypatch.setattr(nvidia, "first_missing", lambda _: None)
    for name in ("cuda", "tensorrt"):
        with pytest.raises((RanElsewhere, OpenFailed)) as caught:
            open_models(models, name)
        assert caught.value.exit_code == 5
    used = open_models(models, "auto").backend
    assert used.used in ("openvino", "cpu")
    assert [name for name, _ in used.skipped] == ["tensorrt-rtx", "tensorrt", "cuda"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(HAS_GPU, reason="needs a machine without a GPU")
@pytest.mark.parametrize("name", ["cuda", "tensorrt", "tensorrt-rtx"])
def test_named_gpu_backends_end_with_exit_code_5(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackendUnavailable, match=f"'{name}' can't be used") as caught:
        opened(tmp_path, name)
    assert isinstance(caught.value, BackendError)
    assert caught.value.exit_code == 5


SCRIPT = """
import sys, numpy as np
from vfx_edge.backends import open_models, probe_backends
from vfx_edge.errors import BackendError
from vfx_edge.manifest import load_model_set
probe_backends()
for name in ("auto", "cpu", "openvino", "cuda", "tensorrt"):
    try:
        with open_models(load_model_set(sys.argv[1]), name) as models:
            models.network("segmenter").run(np.zeros((1, 1, 8, 8, 8), np.float32))
    except BackendError:
        pass
"""


def in_a_process(code: str, *arguments: str, before: tuple[str, ...] = ()) -> str:
    """All that a fresh Python writes to either stream."""
    command = [*before, sys.executable, "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout + done.stderr


def test_not_a_word_from_any_runtime(tmp_path: Path) -> None:
    write_set(tmp_path / "set", {"segmenter": tiny_segmenter()})
    assert in_a_process(SCRIPT, str(tmp_path / "set")) == ""


def test_not_a_word_where_the_gpu_can_not_be_discovered(tmp_path: Path) -> None:
    """Virtual machines and containers whose display device is no PCI one (onnxruntime 26763)."""
    fake = "mount -t tmpfs none /sys/class && mkdir -p /sys/class/drm/card0/device && "
    fake += 'echo odd > /sys/class/drm/card0/device/vendor && exec "$@"'
    strange = ("unshare", "-rm", "sh", "-c", fake, "sh")
    try:
        plain = in_a_process("import onnxruntime", before=strange)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a user namespace")
    if not plain:
        pytest.skip("this onnxruntime says nothing there by itself")
    write_set(tmp_path / "set", {"segmenter": tiny_segmenter()})
    assert in_a_process(SCRIPT, str(tmp_path / "set"), before=strange) == ""
