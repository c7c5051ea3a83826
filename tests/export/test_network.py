"""Any network: .pt2 and TorchScript to a set, by a manifest; and what hides in such a file."""

import io
import json
import re
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from export import network
from export.by_manifest import Misfit
from export.programs import Program
from tests.export.conftest import Run
from tests.export.filling import filled
from tests.export.nets import TinyNet, shaken
from vfx_edge.backends import open_models
from vfx_edge.manifest import load_model_set

PATCH = (8, 12, 16)


def example(channels: int = 1) -> torch.Tensor:
    return torch.randn(2, channels, *PATCH, generator=torch.Generator().manual_seed(2))


def save_pt2(network: torch.nn.Module, path: Path, channels: int = 1) -> None:
    free = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(network, (example(channels),), dynamic_shapes=(free,))
    torch.export.save(program, path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def save_script(network: torch.nn.Module, path: Path, channels: int = 1) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, example(channels)).save(str(path))


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return shaken(TinyNet(dense=False))


@pytest.fixture(scope="module")
def pt2(net: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "net.pt2"
    save_pt2(net, path)
    return path


@pytest.fixture(scope="module")
def script(net: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "net.pt"
    save_script(net, path)
    return path


CLASSIFIER = ("--role", "classifier")
ANSWERS = {"input.patch_zyx": PATCH, "output.classes": ["osteoporotic", "malignant", "unknown"]}


@pytest.mark.parametrize("kind", ["pt2", "script"])
def test_from_a_file_by_a_template_to_a_set_that_answers_the_same(
    kind: str, net: torch.nn.Module, request: pytest.FixtureRequest, tmp_path: Path, run: Run
) -> None:
    file, manifest = request.getfixturevalue(kind), tmp_path / "mine.toml"
    code, _, err = run("network", file, "--template", manifest, *CLASSIFIER)
    assert code == 0, err
    if kind == "pt2":
        assert "patch_zyx = [8, 12, 16]" in manifest.read_text("utf-8")
    code, out, err = run("network", file, "--manifest", manifest, "-o", tmp_path / "mine")
    assert (code, out) == (4, ""), "an unfilled template"
    assert str(manifest) in err
    filled(manifest, "classifier", ANSWERS)
    code, _, err = run("network", file, "--manifest", manifest, "-o", tmp_path / "mine")
    assert code == 0, err
    with open_models(load_model_set(tmp_path / "mine"), "cpu", roles=["classifier"]) as models:
        patches = torch.randn(3, 1, *PATCH)
        got = models.network("classifier").run(patches.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(got, net(patches).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("channels = 1", "channels = 2", "'channels' is 2 and must be 1"),
        ("[8, 12, 16]", "[16, 8, 8]", "it takes 1x8x12x16, the manifest says 1x16x8x8"),
        (', "unknown"', "", "it answers 2x3 to 2x1x8x12x16, the manifest names 2 classes"),
        ('"SPL"', '"SPS"', "orientation 'SPS'"),
        ("[[network]]", "[[networks]]", "it holds 0 [[network]] tables"),
        ("spacing_mm = 1.5", "spacing = 1.5", "'spacing' is unknown"),
    ],
)
def test_a_manifest_of_another_network_is_refused_in_its_own_name(
    old: str, new: str, says: str, pt2: Path, tmp_path: Path, run: Run
) -> None:
    manifest = tmp_path / "mine.toml"
    run("network", pt2, "--template", manifest, *CLASSIFIER)
    text = filled(manifest, "classifier", ANSWERS).read_text("utf-8")
    assert old in text
    manifest.write_text(text.replace(old, new, 1), "utf-8")
    code, _, err = run("network", pt2, "--manifest", manifest, "-o", tmp_path / "mine")
    assert (code, err.count("\n")) == (4, 1)
    assert says in err
    assert not (tmp_path / "mine").exists()


def test_what_was_not_filled_in_is_named(pt2: Path, tmp_path: Path, run: Run) -> None:
    manifest = tmp_path / "mine.toml"
    run("network", pt2, "--template", manifest, *CLASSIFIER)
    text = filled(manifest, "classifier", ANSWERS).read_text("utf-8")
    manifest.write_text(re.sub(r'licence = ".*"', 'licence = "<whose?>"', text), "utf-8")
    code, _, err = run("network", pt2, "--manifest", manifest, "-o", tmp_path / "mine")
    assert (code, "'licence' still holds the template's words" in err) == (4, True)


def test_a_template_counts_the_classes_and_says_what_a_second_channel_is(
    pt2: Path, tmp_path: Path, run: Run
) -> None:
    manifest = tmp_path / "mine.toml"
    run("network", pt2, "--template", manifest, "--role", "segmenter")
    text = " ".join(manifest.read_text("utf-8").replace("\n# ", " ").split())
    assert "Not likely a segmenter: the file says 1 channel, 3 classes for the whole patch" in text
    assert "+1 on the centre of the body to outline" in text


def rewritten(path: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The archive with members changed; None leaves one out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for entry in old.infolist():
            data = change(entry.filename.partition("/")[2], old.read(entry))
            if data is not None:
                new.writestr(entry.filename, data)
    return to


def in_program(edit: Callable[[dict], None]) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        program = json.loads(data)
        edit(program)
        return json.dumps(program).encode()

    return change


def another_function(program: dict) -> None:
    node = program["graph_module"]["graph"]["nodes"][-1]
    node["target"] = "torch.os.system"


def a_name(program: dict) -> None:
    """Torch writes a function with this argument, and executes that."""
    evil = "x=__import__('os').system('true')"
    text = json.dumps(program["graph_module"])
    assert '"name": "x"' in text
    program["graph_module"] = json.loads(text.replace('"name": "x"', f'"name": "{evil}"'))


def a_container(program: dict) -> None:
    entry = program["graph_module"]["module_call_graph"][0]["signature"]
    evil = '{"type": "collections.defaultdict", "context": "{}", "children_spec": []}'
    entry["in_spec"] = f"[1, {evil}]"


def an_expression(program: dict) -> None:
    text = json.dumps(program["graph_module"])
    evil, count = re.subn(r'"expr_str": "[^"]*"', '"expr_str": "exec(chr(1))"', text, count=1)
    assert count
    program["graph_module"] = json.loads(evil)


def pickled_weights(name: str, data: bytes) -> bytes:
    if name != "data/weights/model_weights_config.json":
        return data
    return data.replace(b'"use_pickle": false', b'"use_pickle": true', 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (in_program(another_function), "torch.os.system"),
        (in_program(an_expression), "exec(chr(1))"),
        (in_program(a_name), "x=__import__('os')"),
        (in_program(a_container), "collections.defaultdict"),
        (pickled_weights, "pickled weights"),
    ],
)
def test_a_pt2_that_does_more_than_arithmetic_is_refused(
    change: Callable[[str, bytes], bytes], says: str, pt2: Path, tmp_path: Path, run: Run
) -> None:
    evil = rewritten(pt2, tmp_path / "evil.pt2", change)
    code, _, err = run("network", evil, "--template", tmp_path / "t.toml", *CLASSIFIER)
    assert (code, err.count("\n")) == (4, 1)
    assert "would execute code" in err
    assert says in err


def test_so_is_one_with_a_pickle_or_a_library_inside(pt2: Path, tmp_path: Path, run: Run) -> None:
    for name in ("data/aotinductor/model/a.so", "data/constants/opaque_obj_0"):
        evil = tmp_path / "evil.pt2"
        evil.write_bytes(pt2.read_bytes())
        with zipfile.ZipFile(evil, "a") as archive:
            archive.writestr(f"net/{name}", b"\x7fELF")
        code, _, err = run("network", evil, "--template", tmp_path / "t.toml", *CLASSIFIER)
        assert (code, name in err) == (4, True)


class Writes(torch.nn.Module):
    """TorchScript may write files."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.path)
        return x


@pytest.mark.parametrize(
    "call",
    [
        r"torch.save",
        r'getattr(torch, "save")',
        r'getattr(ops.aten, "sa" "ve", None)',
        r"o = torch; o.save",
        r"o = ops; o.aten.save",
        r"o = ops.image; o.write_file",
    ],
)
def test_a_script_that_touches_files_is_refused(call: str, tmp_path: Path, run: Run) -> None:
    trap, plain, file = (tmp_path / name for name in ("written", "plain.pt", "evil.pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Writes(str(trap))).save(str(plain))
    *first, call = call.split("; ")
    lines = "".join(rf"\1{line}\n" for line in first)

    def change(_: str, data: bytes) -> bytes:
        return re.sub(rb"(?m)^( +)(.*)torch\.save\(", rf"{lines}\1\2{call}(".encode(), data)

    rewritten(plain, file, change)
    code, _, err = run("network", file, "--template", tmp_path / "t.toml", *CLASSIFIER)
    assert (code, err.count("\n")) == (4, 1)
    assert "would execute code" in err
    assert not trap.exists()


def test_other_files_are_no_networks(net: torch.nn.Module, tmp_path: Path, run: Run) -> None:
    weights, text, archive = (tmp_path / name for name in ("w.pt", "t.pt2", "z.pt2"))
    torch.save(net.state_dict(), weights)
    text.write_text("nothing")
    with zipfile.ZipFile(archive, "w") as empty:
        empty.writestr("readme", b"")
    cut = tmp_path / "cut.pt2"
    out = io.BytesIO()
    torch.save({}, out)
    cut.write_bytes(out.getvalue()[:-30])
    for file, says in (
        (weights, "it holds weights, and no network"),
        (text, "not a zip file; an ONNX file goes to python -m export onnx"),
        (archive, "an archive of something else"),
        (cut, "not a zip file"),
    ):
        code, _, err = run("network", file, "--template", tmp_path / "t.toml", *CLASSIFIER)
        assert (code, err.count("\n")) == (4, 1), err
        assert says in err


def test_one_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script may hold a loop without end, and PyTorch can't be stopped in the middle."""
    over = threading.Event()
    endless = Program(Path("endless.pt"), "TorchScript", lambda _: over.wait(), to_onnx, None)
    monkeypatch.setattr(network, "SECONDS", 0.01)
    try:
        with pytest.raises(Misfit, match=r"endless.pt .*gave no answer within 0 minutes"):
            network._asked(endless, example())
    finally:
        over.set()


def to_onnx(*_: object) -> bytes:
    raise AssertionError("nothing is exported")
