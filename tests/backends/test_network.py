"""What every network does the same way, tried on a Python function."""

from pathlib import Path

import numpy as np
import pytest

from tests.fake_backend import FakeBackend, FakeNetwork, Function
from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import Array, Budget
from vfx_edge.backends.budget import batch_limit, divide, patch_mib
from vfx_edge.backends.errors import BudgetTooSmall, OnnxInvalid, PrecisionUnavailable, RunFailed
from vfx_edge.backends.network import activate, pick_precision
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
    assert batch_limit(spec, Budget(), gpu=True) == 24  # three quarters of 16 GiB
    assert batch_limit(spec, Budget(gpu_gib=100), gpu=True) == 64
    with pytest.raises(BudgetTooSmall, match="about 512 MiB and the memory budget leaves 256 MiB"):
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
        assert sum(share.gpu_gib for share in shares) == pytest.approx(gib - 1)
        assert {share.host_gib for share in shares} == {Budget().host_gib}
    small, large = divide(specs, Budget(gpu_gib=100))
    assert batch_limit(specs[0], small, gpu=True) == 1
    assert batch_limit(specs[1], large, gpu=True) == 64
    with pytest.raises(BudgetTooSmall, match="one patch of 'tiny locator'"):
        batch_limit(specs[0], divide(specs, Budget(gpu_gib=2))[0], gpu=True)


def test_a_precision_needs_the_manifests_leave(tmp_path: Path) -> None:
    nets = {"finder": tiny_segmenter()}
    folder = write_set(tmp_path / "set", nets, precisions=("fp32", "bf16"))
    spec = load_model_set(folder).network("finder")
    assert pick_precision("x", spec, "auto", ("fp16", "bf16", "fp32")) == "bf16"
    assert pick_precision("x", spec, "auto", ("fp16", "fp32")) == "fp32"
    assert pick_precision("x", spec, "fp32", ("bf16", "fp32")) == "fp32"
    for wanted, supported in (("fp16", ("fp16", "fp32")), ("bf16", ("fp32",))):
        with pytest.raises(PrecisionUnavailable, match=f"in {wanted}: .* may run in fp32"):
            pick_precision("x", spec, wanted, supported)


def test_activations() -> None:
    raw = np.array([[[1000.0], [0.0]], [[0.0], [np.log(3)]]], np.float32)
    wanted = np.array([[1, 0], [0.25, 0.75]])
    np.testing.assert_allclose(activate(raw, "softmax")[:, :, 0], wanted, atol=1e-6)
    wanted = np.array([[1, 0.5], [0.5, 0.75]])
    np.testing.assert_allclose(activate(raw, "sigmoid")[:, :, 0], wanted)
    assert activate(raw, "none") is raw
    assert raw[0, 0, 0] == 1000  # left as it was
