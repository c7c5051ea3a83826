"""The real runtimes: same numbers as plain arithmetic, named errors, not a word of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from scipy.ndimage import correlate

from tests.fake_backend import FakeBackend
from tests.tiny_models import conv_weights, tiny_segmenter, write_full_set, write_set
from tests.waiting import HANG_S
from vfx_edge.backends import Array, Budget, OpenModels, nvidia, open_models
from vfx_edge.backends.errors import (
    BackendUnavailable,
    OnnxInvalid,
    OpenFailed,
    RunFailed,
)
from vfx_edge.backends.network import CheckedNetwork
from vfx_edge.backends.onnxruntime_backend import CpuBackend, OrtNetwork, exceptions
from vfx_edge.backends.onnxruntime_gpu import CudaBackend, TensorRtBackend
from vfx_edge.backends.openvino_backend import OpenVinoBackend, native_precision
from vfx_edge.errors import BackendError
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.study import BackendRequest

ROOT = Path(__file__).resolve().parents[2]
BATCH = np.random.default_rng(3).normal(size=(5, 1, 8, 8, 8)).astype(np.float32)
HAS_GPU = isinstance(nvidia.find_gpu(), nvidia.Gpu)
GPU = nvidia.Gpu("Test GPU", 8.0, (7, 5), (13, 0))


def convolution(_: NetworkSpec, batch: Array) -> Array:
    """What the tiny finder (seed 7) computes, by scipy."""
    weights = conv_weights(3, seed=7)[:, 0]
    return np.stack([[correlate(p[0], w, mode="constant") for w in weights] for p in batch])


def opened(tmp_path: Path, backend: str, precision: str = "auto", **options: Any) -> OpenModels:
    models = load_model_set(write_full_set(tmp_path / "set", precisions=("fp32", "bf16")))
    return open_models(models, BackendRequest(backend, precision), **options)


def test_all_runtimes_compute_the_same(tmp_path: Path) -> None:
    models = load_model_set(write_full_set(tmp_path / "set"))
    fakes = {"fake": FakeBackend(convolution)}
    fake = open_models(models, "fake", roles=("finder",), backends=fakes)
    wanted = fake.network("finder").run(BATCH)
    for backend in ("cpu", "openvino"):
        with open_models(models, backend) as real:
            assert (real.backend.used, real.backend.precision) == (backend, "fp32")
            answer = real.network("finder").run(BATCH)
            assert answer.dtype == np.float32
            np.testing.assert_allclose(answer, wanted, atol=2e-5)
            assert real.network("classifier").probabilities(BATCH).shape == (5, 2)


def test_an_answer_is_not_overwritten_by_the_next(tmp_path: Path) -> None:
    for backend in ("cpu", "openvino"):
        network = opened(tmp_path, backend).network("finder")
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
    spec = load_model_set(write_full_set(tmp_path / "set")).network("finder")
    with pytest.raises((OnnxInvalid, OpenFailed)) as caught:
        backend.open(spec, b"no network at all", "auto", Budget())
    assert caught.value.exit_code in (4, 5)
    unknown = tiny_segmenter().replace(b"Conv", b"Bonv")
    with pytest.raises((OnnxInvalid, OpenFailed), match="Bonv"):
        backend.open(spec, unknown, "auto", Budget())


@pytest.mark.parametrize("name", ["cpu", "openvino"])
def test_whatever_the_runtime_raises_while_running_is_mapped(tmp_path: Path, name: str) -> None:
    """Every exception class of the runtime's own becomes RunFailed, or a smaller batch."""
    network = opened(tmp_path, name).network("finder")
    kinds = set(exceptions()) - {MemoryError} if name == "cpu" else {RuntimeError}
    assert len(kinds) > 5 or name == "openvino"
    for kind in kinds:

        def broken(*_: object, kind: type[Exception] = kind, **__: object) -> None:
            raise kind("the device\nis gone.")

        holder = type("Holder", (), {"run": broken, "infer": broken})()
        setattr(network, "_session" if name == "cpu" else "_request", holder)
        with pytest.raises(RunFailed, match=f"'{name}' failed .*the device is gone\\)"):
            network.run(BATCH[:1])


class Limited:
    """A session or request of a runtime that has memory for one patch."""

    def __init__(self, real: Any, message: str) -> None:
        self._real, self._message = real, message
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        if name not in ("run", "infer"):
            return getattr(self._real, name)

        def limited(*arguments: Any, **more: Any) -> Any:
            self.sizes.extend(len(a["image"]) for a in arguments if isinstance(a, dict))
            if self.sizes[-1] > 1:
                raise RuntimeError(self._message)
            return getattr(self._real, name)(*arguments, **more)

        return limited


def test_running_out_of_memory_is_recognised(tmp_path: Path) -> None:
    for name, attribute, message in (
        ("cpu", "_session", "bfc_arena.cc:360 Failed to allocate memory for requested buffer"),
        ("openvino", "_request", "std::bad_alloc"),
    ):
        network = opened(tmp_path, name).network("finder")
        assert isinstance(network, CheckedNetwork)
        network.batch_limit = 2
        limited = Limited(getattr(network, attribute), message)
        setattr(network, attribute, limited)
        assert network.run(BATCH).shape == (5, 3, 8, 8, 8)
        assert limited.sizes == [2, 1, 1, 1, 1, 1]
        assert len(network.warnings) == 1


def test_the_limit_of_an_arena_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bounds the `cuda` backend, in the runtime's own words: its arena over the host's memory,
    with too little room for the answers to 32 patches."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    limits = {"max_mem": 32 * 3 * 8**3 * 4, "arena_extend_strategy": 1}
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(limits))
    real = onnxruntime.SessionOptions

    def limited() -> Any:
        options = real()
        options.add_session_config_entry("session.use_env_allocators", "1")
        return options

    monkeypatch.setattr(onnxruntime, "SessionOptions", limited)
    spec = load_model_set(write_full_set(tmp_path / "set")).network("finder")
    network = CpuBackend().open(spec, spec.read(), "fp32", Budget())
    network.batch_limit = 32
    batch = np.zeros((32, 1, 8, 8, 8), np.float32)
    assert network.run(batch).shape == (32, 3, 8, 8, 8)
    assert "ran out of memory with 32 patches" in network.warnings[0]


def test_bound_buffers_give_the_same_answer(tmp_path: Path) -> None:
    """What runs on a GPU, with buffers in the host's memory."""
    network = opened(tmp_path, "cpu").network("finder")
    assert isinstance(network, OrtNetwork)
    wanted = network.run(BATCH)
    calls: list[Array] = []
    network._session_run = calls.append  # type: ignore[method-assign, assignment]
    network._infer = lambda batch: network._bound_run(batch)  # type: ignore[method-assign]
    np.testing.assert_array_equal(network.run(BATCH), wanted)
    assert calls == []


@pytest.mark.parametrize(
    "message",
    [
        "bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 512",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUDNN failure 4002: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
    ],
)
def test_every_way_to_say_out_of_memory_halves_the_batch(tmp_path: Path, message: str) -> None:
    network = opened(tmp_path, "cpu").network("finder")
    assert isinstance(network, OrtNetwork)
    network.batch_limit = 2
    network._session = limited = Limited(network._session, message)
    assert network.run(BATCH[:2]).shape == (2, 3, 8, 8, 8)
    assert limited.sizes == [2, 1, 1]
    assert "ran out of memory with 2 patches" in network.warnings[0]


def test_a_missing_gpu_is_told_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    none = nvidia.NoGpu("no NVIDIA driver (libcuda.so.1 was not found)", "install one")
    monkeypatch.setattr(nvidia, "find_gpu", lambda *_: none)
    for backend in (CudaBackend(), TensorRtBackend()):
        state = backend.availability()
        assert not state.available
        assert state.reason == "no NVIDIA driver (libcuda.so.1 was not found)"


def _providers() -> list[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())


@pytest.mark.skipif(HAS_GPU, reason="needs a machine without a GPU")
def test_a_session_that_silently_went_to_the_cpu_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if "CUDAExecutionProvider" not in _providers():
        pytest.skip("needs onnxruntime-gpu")
    models = load_model_set(write_full_set(tmp_path / "set"))
    monkeypatch.setattr(nvidia, "find_gpu", lambda *_: GPU)
    monkeypatch.setattr(nvidia, "missing", lambda _: ())
    for name in ("cuda", "tensorrt"):
        with pytest.raises(OpenFailed) as caught:
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
            models.network("finder").run(np.zeros((1, 1, 8, 8, 8), np.float32))
    except BackendError:
        pass
"""


def in_a_process(code: str, *arguments: str, before: tuple[str, ...] = ()) -> str:
    """All that a fresh Python writes to either stream."""
    command = [*before, sys.executable, "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=True,
    )
    return done.stdout + done.stderr


def test_not_a_word_from_any_runtime(tmp_path: Path) -> None:
    write_set(tmp_path / "set", {"finder": tiny_segmenter()})
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
    write_set(tmp_path / "set", {"finder": tiny_segmenter()})
    assert in_a_process(SCRIPT, str(tmp_path / "set"), before=strange) == ""
