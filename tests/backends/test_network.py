"""What every network does the same way, tried on a Python function."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fake_backend import FakeBackend, FakeNetwork, Function
from tests.fake_card import AMPERE, SMALL, Machine
from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import Array, Budget, nvidia
from vfx_edge.backends.budget import RESERVE_GIB, batch_limit, divide, patch_mib, settled
from vfx_edge.backends.errors import (
    BudgetTooSmall,
    OnnxInvalid,
    PrecisionUnavailable,
    RunFailed,
    one_line,
)
from vfx_edge.backends.network import activate, pick_precision
from vfx_edge.backends.onnxruntime_gpu import TensorRtBackend
from vfx_edge.manifest import NetworkSpec, load_model_set


@pytest.fixture
def spec(tmp_path: Path) -> NetworkSpec:
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()})
    return load_model_set(folder).network("finder")


def opened(spec: NetworkSpec, function: Function) -> FakeNetwork:
    return FakeBackend(function).open(spec, b"", "auto", Budget())


def three(batch: Array) -> Array:
    return np.concatenate([batch, 2 * batch, 3 * batch], axis=1)


def patches(count: int) -> Array:
    return np.random.default_rng(count).normal(size=(count, 1, 8, 8, 8)).astype(np.float32)


def with_batch(spec: NetworkSpec, folder: Path, lines: str) -> NetworkSpec:
    manifest = folder / "manifest.toml"
    text = manifest.read_text("utf-8").replace("max = 4\nopt = 2", lines)
    manifest.write_text(text, "utf-8")
    return load_model_set(folder).network("finder")


def test_a_big_batch_is_split_and_put_together_again(spec: NetworkSpec) -> None:
    sizes = []

    def function(_: NetworkSpec, batch: Array) -> Array:
        sizes.append(len(batch))
        return three(batch)

    batch = patches(5)
    np.testing.assert_array_equal(opened(spec, function).run(batch), three(batch))
    assert sizes == [2, 2, 1]  # the manifest's opt


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((1, 1, 8, 8, 8), np.float64),
        np.zeros((1, 1, 8, 8, 7), np.float32),
        np.zeros((1, 2, 8, 8, 8), np.float32),
        np.zeros((0, 1, 8, 8, 8), np.float32),
        np.zeros((1, 8, 8, 8), np.float32),
    ],
)
def test_a_wrong_array_is_our_own_bug(spec: NetworkSpec, batch: Array) -> None:
    with pytest.raises(ValueError, match="takes float32"):
        opened(spec, lambda _, b: three(b)).run(batch)


def test_views_are_made_contiguous(spec: NetworkSpec) -> None:
    batch = patches(2)[:, :, ::-1].transpose(0, 1, 4, 3, 2)

    def function(_: NetworkSpec, part: Array) -> Array:
        assert part.flags.c_contiguous
        return three(part)

    np.testing.assert_array_equal(opened(spec, function).run(batch), three(batch))


def test_out_of_memory_halves_the_batch_and_says_so(spec: NetworkSpec) -> None:
    def function(_: NetworkSpec, batch: Array) -> Array:
        if len(batch) > 1:
            raise MemoryError
        return three(batch)

    network = opened(spec, function)
    batch = patches(4)
    np.testing.assert_array_equal(network.run(batch), three(batch))
    assert network.batch_limit == 1
    (line,) = network.warnings
    assert "ran out of memory with 2 patches of 'tiny finder'" in line
    network.run(batch)
    assert len(network.warnings) == 1  # it remembers


def test_out_of_memory_with_one_patch_is_an_error(spec: NetworkSpec) -> None:
    def function(_: NetworkSpec, batch: Array) -> Array:
        raise MemoryError

    with pytest.raises(RunFailed, match="out of memory with 1 patch"):
        opened(spec, function).run(patches(1))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_an_error(spec: NetworkSpec, bad: float) -> None:
    def function(_: NetworkSpec, batch: Array) -> Array:
        answer = three(batch)
        answer[0, 1, 2, 3, 4] = bad
        return answer

    with pytest.raises(RunFailed, match="infinities or NaN"):
        opened(spec, function).run(patches(1))


def test_an_answer_of_other_classes_is_an_error(spec: NetworkSpec) -> None:
    """Of the file, not of the backend."""
    with pytest.raises(OnnxInvalid, match=r"it answers 1x1x8x8x8, .* 1x3x8x8x8 is right"):
        opened(spec, lambda _, batch: batch).run(patches(1))


def test_the_smallest_batch_is_filled_up(spec: NetworkSpec, tmp_path: Path) -> None:
    spec = with_batch(spec, tmp_path / "set", "min = 4\nopt = 4\nmax = 4")
    sizes = []

    def function(_: NetworkSpec, batch: Array) -> Array:
        sizes.append(len(batch))
        return three(batch)

    batch = patches(5)
    np.testing.assert_array_equal(opened(spec, function).run(batch), three(batch))
    assert sizes == [4, 4]


def test_batches_follow_the_budget(spec: NetworkSpec, tmp_path: Path) -> None:
    assert patch_mib(spec) == 8**3 * 96 * 4 / 2**20
    spec = with_batch(spec, tmp_path / "set", "opt = 8\nmax = 64\nactivation_mib = 512")
    assert patch_mib(spec) == 512
    assert batch_limit(spec, Budget(), gpu=False) == 1  # the least: more gains nothing there
    assert batch_limit(spec, Budget(gpu_gib=16), gpu=True) == 24  # three quarters of it
    assert batch_limit(spec, Budget(gpu_gib=100), gpu=True) == 64
    with pytest.raises(BudgetTooSmall, match=r"needs about 512 MiB .* is 256 MiB: use a smaller"):
        batch_limit(spec, Budget(host_gib=1), gpu=False)


def test_networks_that_are_open_together_share_the_budget(tmp_path: Path) -> None:
    nets = {"locator": tiny_segmenter(), "finder": tiny_segmenter()}
    folder = write_set(tmp_path / "set", nets)
    manifest = folder / "manifest.toml"
    head, first, second = manifest.read_text("utf-8").split("[[network]]")
    first = first.replace("max = 4", "max = 1\nactivation_mib = 1000")
    second = second.replace("max = 4", "max = 64\nactivation_mib = 500")
    first, second = (part.replace("opt = 2", "opt = 1") for part in (first, second))
    manifest.write_text("[[network]]".join((head, first, second)), "utf-8")
    specs = load_model_set(folder).networks
    for gib in (4.0, 16.0, 100.0):
        shares = divide(specs, Budget(gpu_gib=gib))
        assert sum(share.gpu_gib or 0 for share in shares) == pytest.approx(gib - 1)
        assert {share.host_gib for share in shares} == {Budget().host_gib}
    small, large = divide(specs, Budget(gpu_gib=100))
    assert batch_limit(specs[0], small, gpu=True) == 1
    assert batch_limit(specs[1], large, gpu=True) == 64
    with pytest.raises(BudgetTooSmall, match=r"'tiny locator' needs about .* GPU memory"):
        batch_limit(specs[0], divide(specs, Budget(gpu_gib=2))[0], gpu=True)


@pytest.mark.parametrize(
    ("gib", "batches", "of_tensorrt"),
    [
        (16, (16, 16, 48, 16, 16), (4, 4, 16, 4, 8)),
        (5, (6, 6, 18, 6, 6), (4, 4, 16, 4, 4)),
        (3, (2, 2, 7, 2, 2), (2, 2, 4, 2, 2)),
        (2, (1,) * 5, (1,) * 5),
    ],
)
def test_small_cards_are_served_by_smaller_batches(
    gib: float, batches: tuple[int, ...], of_tensorrt: tuple[int, ...]
) -> None:
    """The shipped set, by what is free on the card."""
    specs = load_model_set().networks
    shared = list(zip(specs, divide(specs, Budget(gpu_gib=gib - RESERVE_GIB)), strict=True))
    assert tuple(batch_limit(*both, gpu=True) for both in shared) == batches
    assert tuple(TensorRtBackend()._limit(*both) for both in shared) == of_tensorrt


@pytest.mark.parametrize(
    ("free", "asked", "taken", "said"),
    [
        (7.5, None, 7.0, False),
        (139.0, None, 16.0, False),
        (None, None, 7.5, False),  # the driver doesn't tell: all that the card has
        (0.2, None, 0.0, False),
        (5.0, 4.0, 4.0, False),
        (5.0, 5.0, 5.0, False),  # a person's word goes before the reserve
        (5.0, 6.0, 5.0, True),
    ],
)
def test_the_budget_is_what_is_free(
    monkeypatch: pytest.MonkeyPatch, free: float | None, asked: float | None, taken: float,
    said: bool,
) -> None:  # fmt: skip
    gpu = nvidia.Gpu("RTX", max(free or 0.0, 8.0), (8, 6), (13, 0))
    monkeypatch.setattr(nvidia, "find_gpu", lambda device: gpu)
    monkeypatch.setattr(nvidia, "free_gib", lambda device: free if device == 1 else 99.0)
    budget = settled(Budget(gpu_gib=asked, device=1))
    assert budget.gpu_gib == pytest.approx(taken)
    assert ("6 GiB of GPU memory may be used and 5.0 GiB are free on RTX" in budget.note) == said
    notes = [share.note for share in divide(load_model_set().networks, budget)]
    assert notes == [budget.note, "", "", "", ""]


def test_free_is_what_the_driver_says_of_this_very_card(machine: Machine) -> None:
    """NVML counts the cards the other way round."""
    machine.play(AMPERE, replace(SMALL, free_gib=5.0), nvml_order=(1, 0))
    assert settled(Budget()).gpu_gib == 15.0
    assert settled(Budget(device=1)).gpu_gib == 4.5
    assert settled(Budget(device=2)) == Budget(device=2), "there is none"


def test_a_precision_needs_the_manifests_leave(tmp_path: Path) -> None:
    nets = {"finder": tiny_segmenter()}
    folder = write_set(tmp_path / "set", nets, precisions=("fp32", "bf16"))
    spec = load_model_set(folder).network("finder")
    assert pick_precision("x", spec, "auto", ("fp16", "bf16", "fp32")) == "bf16"
    assert pick_precision("x", spec, "auto", ("fp16", "fp32")) == "fp32"
    assert pick_precision("x", spec, "fp32", ("bf16", "fp32")) == "fp32"
    for wanted, supported in (("fp16", ("fp16", "fp32")), ("bf16", ("fp32",))):
        with pytest.raises(PrecisionUnavailable, match=f"in {wanted} .* may run in fp32"):
            pick_precision("x", spec, wanted, supported)
    with pytest.raises(PrecisionUnavailable, match=r"any precision .* allows .*: use another"):
        pick_precision("x", spec, "auto", ("tf32",))


def test_activations() -> None:
    raw = np.array([[[1000.0], [0.0]], [[0.0], [np.log(3)]]], np.float32)
    wanted = np.array([[1, 0], [0.25, 0.75]])
    np.testing.assert_allclose(activate(raw, "softmax")[:, :, 0], wanted, atol=1e-6)
    wanted = np.array([[1, 0.5], [0.5, 0.75]])
    np.testing.assert_allclose(activate(raw, "sigmoid")[:, :, 0], wanted)
    assert activate(raw, "none") is raw
    assert raw[0, 0, 0] == 1000  # left as it was


def test_a_result_does_not_say_on_which_computer_a_runtime_failed() -> None:
    """ONNX Runtime's own words for an error of CUDA."""
    words = "CUDA failure 719: unspecified launch\x1b[2J failure ; GPU=0 ; hostname=console-3 ; "
    words += "file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc ; line=129"
    assert one_line(words) == "CUDA failure 719: unspecified launch [2J failure"
