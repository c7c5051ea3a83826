"""A set that verifies, runs: networks that are whole and must not pass, each with its sentence."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper
from typer.testing import CliRunner

from export.manifests import update_hashes, write_folder
from tests.fake_backend import FakeBackend
from tests.tiny_models import (
    conv_weights,
    tiny_classifier,
    tiny_network,
    tiny_segmenter,
    write_full_set,
    write_set,
)
from vfx_edge.backends import Array, open_models
from vfx_edge.backends.errors import BudgetTooSmall
from vfx_edge.backends.proof import prove, refusals
from vfx_edge.cli.models import app
from vfx_edge.errors import ModelError
from vfx_edge.manifest import NetworkSpec, load_model_set

CUBE = [8, 8, 8]


def node(kind: str, *inputs: str, **more: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [more.pop("out", "logits")], **more)


def clf(*tail: NodeProto, **more: Any) -> bytes:
    return tiny_classifier(tail=tail, **more)


def halving(shape: list[Any], channels: int = 1) -> bytes:
    """A convolution of stride two, and what the file says of its answer's shape."""
    weights = {"w": conv_weights(3, channels=channels)}
    conv = node("Conv", "image", "w", pads=[1] * 6, strides=[2] * 3)
    return tiny_network([conv], weights, ["n", channels, *CUBE], shape)


IN_TRAINING = (
    helper.make_node(
        "BatchNormalization", ["means", "one", "nil", "nil", "one"], ["logits", "m", "v"],
        training_mode=1,
    ),
)  # fmt: skip
BROKEN: list[tuple[str, bytes, dict[str, str], str]] = [
    # what its role demands
    ("classifier", clf(), {'"osteoporotic"': '"benign"'}, "'osteoporotic'"),
    ("segmenter", tiny_segmenter(), {"channels = 2": "channels = 1"}, "'channels' is 1 .* be 2"),
    ("locator", tiny_segmenter(channels=2), {"channels = 1": "channels = 2"}, "is 2 and must be 1"),
    ("classifier", clf(), {"threshold_malignant = 0.85": ""}, "'threshold_malignant' is missing"),
    ("classifier", clf(), {"malignant = 0.85": "malignant = 85"}, "85 and must be a number from 0"),
    ("locator+labeller", tiny_segmenter(classes=5), {}, "answer for each voxel, another one"),
    # what the file says of itself
    ("locator", tiny_segmenter(batch=1), {}, "batches of 1, the manifest says 1 to 4"),
    ("locator", tiny_segmenter(batch=2), {}, "batches of 2, the manifest says 1 to 4"),
    ("classifier", clf(opset=8), {}, "opset 8, 9 to 24 are known"),
    ("classifier", clf(opset=26), {}, "opset 26, 9 to 24 are known"),
    ("classifier", tiny_segmenter(classes=2), {}, r"\?x2x8x8x8, the manifest says \?x2\)"),
    ("labeller", tiny_segmenter(), {}, r"\?x3x8x8x8, the manifest says \?x3\)"),
    ("finder", tiny_classifier(classes=3), {}, r"\?x3, the manifest says \?x3x8x8x8\)"),
    ("finder", halving(["n", 3, 4, 4, 4]), {}, r"\?x3x4x4x4, the manifest says \?x3x8x8x8\)"),
    # what only its answers say
    ("finder", halving(["n", 3, "z", "y", "x"]), {}, "answers 1x3x4x4x4, .* 1x3x8x8x8 is right"),
    ("classifier", clf(classes=4, answer=["n", "k"]), {}, "it answers 1x4, .* 1x2 is right"),
    ("classifier", clf(node("Magic", "means", domain="own")), {}, "no backend .* cpu: .*Magic"),
    ("classifier", clf(node("Log", "nil"), nil=-np.ones((1, 2), np.float32)), {}, "NaN"),
    ("classifier", clf(node("Softmax", "means")), {}, '"softmax" would be applied again'),
    ("classifier", clf(node("Add", "means", "ten"), ten=np.full((1, 2), 10, np.float32)),
     {"softmax": "none"}, "9.* which are no probabilities; .* activation"),
    ("classifier", clf(node("Reshape", "means", "s"), s=np.array([1, 2])), {}, "1 to 4 .* 2 fail"),
    ("classifier", clf(*IN_TRAINING, one=np.ones(2, np.float32), nil=np.zeros(2, np.float32)), {},
     "on those beside it or on chance"),
    ("classifier", clf(node("RandomNormalLike", "means", out="r"), node("Add", "r", "means")), {},
     r"hangs on chance \(RandomNormalLike\), as if"),
]  # fmt: skip


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a set that fills every role."""
    monkeypatch.setenv("VFX_EDGE_MODELS", str(tmp_path))
    return write_full_set(tmp_path / "whole").name


def verified(folder: Path, *options: str) -> tuple[str, BaseException | None]:
    """What `models verify` prints, and what it ends with."""
    done = CliRunner().invoke(app, ["verify", str(folder), *options])
    return done.output, None if isinstance(done.exception, SystemExit) else done.exception


def edited(folder: Path, changes: dict[str, str]) -> Path:
    path = folder / "manifest.toml"
    text = path.read_text("utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    update_hashes(path)
    return folder


@pytest.mark.parametrize(("role", "onnx", "changes", "says"), BROKEN, ids=[b[3] for b in BROKEN])
def test_what_would_fail_in_a_study_is_refused(
    tmp_path: Path, role: str, onnx: bytes, changes: dict[str, str], says: str
) -> None:
    folder = edited(write_set(tmp_path / "set", {role: onnx}), changes)
    _, error = verified(folder)
    assert isinstance(error, ModelError), error
    assert re.search(says, str(error))
    assert "\n" not in str(error)
    assert re.search(r": (correct the manifest|export it again)", str(error))


def test_what_is_right_is_proven_on_every_backend_that_is_here(tmp_path: Path, whole: str) -> None:
    said, error = verified(tmp_path / whole)
    assert error is None
    assert said.count("ok, answered in fp32 on openvino, in fp32 on cpu") == 5
    assert re.search(r"^whole +digest [0-9a-f]{64}$", said, re.MULTILINE)


def test_files_alone_can_be_compared(tmp_path: Path) -> None:
    said, error = verified(
        write_set(tmp_path / "set", {"finder": tiny_classifier()}), "--hashes-only"
    )
    assert error is None
    assert "answered" not in said
    assert "classes never read: body" in said


def test_a_set_that_leaves_a_role_open_is_refused(tmp_path: Path) -> None:
    said, error = verified(write_set(tmp_path / "set", {"locator": tiny_segmenter()}))
    assert "ok, answered" in said
    assert "'set' has no finder" in str(error)


def test_a_backend_that_refuses_is_named_and_another_one_taken(tmp_path: Path, whole: str) -> None:
    """OpenVINO knows no determinants."""
    eye = np.eye(2, dtype=np.float32)[None]
    nodes = node("Det", "eye", out="d"), node("Mul", "means", "d")
    folder = write_set(tmp_path / "set", {"classifier": clf(*nodes, eye=eye)}, base=whole)
    said, error = verified(folder)
    assert error is None
    assert "ok, answered in fp32 on cpu" in said
    assert re.search("refused by openvino: .*Det", said)
    with open_models(load_model_set(folder), "auto", roles=["classifier"]) as models:
        assert models.backend.used == "cpu"


def test_the_fp16_file_must_be_the_same_network(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"classifier": clf()}, precisions=("fp16",))
    half = {"[network.input]": 'file_fp16 = "half.onnx"\n[network.input]'}
    (folder / "half.onnx").write_bytes(clf(seed=9))
    said, error = verified(edited(folder, half))
    assert "REFUSED" in said
    assert re.search(
        r"half\.onnx does not .*\(it answers otherwise than classifier\.onnx", str(error)
    )


def test_a_card_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    def other(spec: NetworkSpec, batch: Array) -> Array:
        return np.full(spec.answer_shape(len(batch)), [[9, -9]], np.float32)

    spec = load_model_set(write_set(tmp_path / "set", {"classifier": clf()})).network("classifier")
    proofs = prove(spec, backends={"card": FakeBackend(other), "cpu": FakeBackend()})
    (refused,) = refusals(spec, proofs)
    assert refused.backend == "card"
    assert "otherwise than 'cpu', by 0.50" in str(refused.problem)


def test_a_network_too_large_for_this_machine_is_not_the_sets_fault(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"classifier": clf()})
    _, error = verified(edited(folder, {"opt = 2": "opt = 2\nactivation_mib = 100000"}))
    assert isinstance(error, BudgetTooSmall)


def test_an_export_that_would_fail_in_a_study_writes_nothing(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"finder": halving(["n", 3, "z", "y", "x"])})
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    new = tmp_path / "new"
    with pytest.raises(ModelError, match=f"^{re.escape(str(new / 'finder.onnx'))} does not fit"):
        write_folder(new, files)
    assert not new.exists()
