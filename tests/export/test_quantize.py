"""`export quantize` on tiny networks: what is in 8 bits, what the manifest says, who takes it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from onnx import ModelProto, helper

from export import quantised_set
from export.quantising import Quantised
from export.quantize import quantise
from tests.tiny_models import conv_weights, tiny_network, write_set
from vfx_edge.backends import Budget, openvino_trial
from vfx_edge.backends.errors import EightBitsRefused
from vfx_edge.backends.half import stored_in
from vfx_edge.backends.openvino_backend import OpenVinoBackend, native_precision
from vfx_edge.backends.proof import prove
from vfx_edge.manifest import ManifestInvalid, NetworkSpec, load_model_set

MEASURED = "[network.int8]"


def two_convolutions() -> bytes:
    """(n, 2, 8, 8, 8) -> (n, 3, 8, 8, 8), subtracting what no file of ours may quantise."""
    weights = {
        "w": conv_weights(8, channels=2),
        "half": np.full(1, 0.5, np.float32),
        "v": conv_weights(3, channels=8),
    }
    nodes = [
        helper.make_node("Sub", ["image", "half"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["b"], pads=[1] * 6),
        helper.make_node("LeakyRelu", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "v"], ["logits"], pads=[1] * 6),
    ]
    return tiny_network(nodes, weights, ["n", 2, 8, 8, 8], ["n", 3, 8, 8, 8])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Quantised:
    """The segmenter of a tiny set, quantised."""
    folder = write_set(tmp_path_factory.mktemp("sets") / "mine", {"segmenter": two_convolutions()})
    text = (folder / "manifest.toml").read_text(encoding="utf-8")
    loose = text.replace("[network.precision]\n", "[network.precision]\nmin_dice = 0.9\n")
    (folder / "manifest.toml").write_text(loose, encoding="utf-8")
    spec = load_model_set(folder).network("segmenter")
    patches = np.random.default_rng(0).uniform(size=spec.shape(4)).astype(np.float32)
    return quantise(spec, patches, {"noise": patches})


@pytest.fixture
def quantised(made: Quantised, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkSpec:
    """The same in a set of its own, opened nowhere yet."""
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "cache"))
    source = load_model_set(made.spec.directory)
    with monkeypatch.context() as patch:
        patch.setattr("export.manifests.check_set", lambda folder: None)
        quantised_set.write(source, tmp_path / "new", [made])
    return load_model_set(tmp_path / "new").network("segmenter")


def kinds(onnx: bytes) -> list[str]:
    return [node.op_type for node in ModelProto.FromString(onnx).graph.node]


def test_convolutions_alone_are_in_8_bits(made: Quantised) -> None:
    assert made.holds
    assert stored_in(ModelProto.FromString(made.onnx)) == "int8"
    before = {"QuantizeLinear": 2, "DequantizeLinear": 4, "Sub": 1, "Conv": 2, "LeakyRelu": 1}
    assert {kind: kinds(made.onnx).count(kind) for kind in before} == before
    assert len(made.onnx) < 4 * len(made.spec.read())


def test_manifest_and_card_say_what_was_measured(quantised: NetworkSpec, made: Quantised) -> None:
    assert quantised.precision.allowed == ("fp32", "int8")
    assert quantised.int8 is not None
    assert quantised.int8.max_difference >= made.figures.max_difference
    assert "of 2 convolutions" in (quantised.directory / "card.md").read_text(encoding="utf-8")
    again = quantised_set.with_int8(quantised.manifest_path.read_text(encoding="utf-8"), made)
    assert again == quantised.manifest_path.read_text(encoding="utf-8")


def test_it_is_proven_in_a_child_and_named(quantised: NetworkSpec) -> None:
    proofs = {(one.backend, one.precision): one.problem for one in prove(quantised)}
    assert proofs["openvino", "int8"] is None
    with OpenVinoBackend().open(quantised, quantised.read(), "int8", Budget()) as network:
        nodes = network._request.get_compiled_model().get_runtime_model().get_ops()
    assert network.precision == "int8"
    assert {"i8", "u8"} & {n.get_rt_info()["runtimePrecision"].astype(str) for n in nodes}


def test_a_child_that_dies_leaves_the_float_network(
    quantised: NetworkSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_trial, "CHILD", "tests.export.crashing_child")
    backend, onnx = OpenVinoBackend(), quantised.read()
    with pytest.raises(EightBitsRefused, match=r"ended the process that tried it.*models verify"):
        backend.open(quantised, onnx, "int8", Budget())
    monkeypatch.setattr(openvino_trial, "answers", None)  # it is remembered: none is started
    assert quantised.int8_holds
    with backend.open(quantised, onnx, "auto", Budget()) as network:
        assert network.precision in ("fp32", "bf16", "fp16")


def test_a_child_that_could_not_try_says_nothing_of_the_file(
    quantised: NetworkSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend, onnx = OpenVinoBackend(), quantised.read()
    with monkeypatch.context() as patch:
        patch.setattr(openvino_trial, "CHILD", "tests.nowhere")
        with pytest.raises(EightBitsRefused):
            backend.open(quantised, onnx, "int8", Budget())
    no_folder = tmp_path / "file"
    no_folder.touch()
    monkeypatch.setenv("VFX_EDGE_CACHE", str(no_folder))  # nothing can be kept there
    with backend.open(quantised, onnx, "int8", Budget()) as network:
        assert network.precision == "int8"


def test_auto_takes_it_only_where_floats_are_slow(quantised: NetworkSpec) -> None:
    """bf16, where a CPU has it, is as fast."""
    with OpenVinoBackend().open(quantised, quantised.read(), "auto", Budget()) as network:
        assert (network.precision == "int8") == (native_precision() == "fp32")


@pytest.mark.parametrize("figure", ["max_difference = 0.9", "min_dice = 0.5", None])
def test_auto_wants_the_verdict(quantised: NetworkSpec, figure: str | None) -> None:
    text = quantised.manifest_path.read_text(encoding="utf-8")
    head, _, measured = text.partition(MEASURED)
    if figure is None:
        text = head
    else:
        key = figure.partition(" ")[0]
        lines = [figure if line.startswith(key) else line for line in measured.split("\n")]
        text = f"{head}{MEASURED}" + "\n".join(lines)
    quantised.manifest_path.write_text(text, encoding="utf-8")
    assert not load_model_set(quantised.directory).network("segmenter").int8_holds


def test_int8_without_its_file_is_refused(quantised: NetworkSpec) -> None:
    lines = quantised.manifest_path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("file_int8", "sha256_int8"))]
    quantised.manifest_path.write_text("".join(kept), encoding="utf-8")
    with pytest.raises(ManifestInvalid, match="'file_int8' is missing: python -m export quantize"):
        load_model_set(quantised.directory)


def test_what_changes_the_answers_stays_in_floats(
    made: Quantised, quantised: NetworkSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(made.spec.precision, max_probability_difference=0.0)
    patches = np.random.default_rng(1).uniform(size=made.spec.shape(1)).astype(np.float32)
    found = quantise(replace(made.spec, precision=strict), patches, {"noise": patches})
    assert (found.floats, found.holds) == (1, False)
    assert kinds(found.onnx).count("QuantizeLinear") == 1
    monkeypatch.setattr("export.manifests.check_set", lambda folder: None)
    older = load_model_set(quantised.directory)
    found = dataclasses.replace(found, spec=replace(quantised, precision=strict))
    quantised_set.write(older, tmp_path / "newer", [found])
    newer = load_model_set(tmp_path / "newer").network("segmenter")
    assert (newer.quantised, newer.int8, newer.precision.allowed) == (None, None, ("fp32",))
    assert not list(newer.directory.glob("*.int8.onnx"))
    assert quantised_set.NOT_ENOUGH in (newer.directory / "card.md").read_text(encoding="utf-8")
