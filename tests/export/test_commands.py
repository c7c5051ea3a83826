"""`python -m export` from outside: help at once, and a sentence and a code for what is wrong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from export.manifests import update_hashes
from tests.export.conftest import Run
from vfx_edge.manifest import load_model_set

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (*("tum", "nnunet", "totalsegmentator", "network", "monai", "onnx", "engine", "parity"),)
HELP = """
import sys
sys.argv = ["export", *sys.argv[1:]]
from export.__main__ import app
from vfx_edge.cli import answer
code = answer(app, "python -m export")
heavy = {"torch", "onnx", "onnxruntime", "openvino", "SimpleITK", "scipy"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_has_examples_and_imports_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP, *words, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shown = re.search(
        rf"python -m export {' '.join(words)}.*", done.stdout.partition("Examples:")[2]
    )
    assert shown, done.stdout
    assert "--out" not in words or "-o" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Missing command"),
        (["torch"], "No such command"),
        (["tum", "model.tar"], "Missing option '--out'"),
        (["tum", "model.tar", "-o", "x", "--mask", "bones"], "use one of box, vertebra, none"),
        (["network", "net.pt2"], "give either --template FILE and --role ROLE, or --manifest FILE"),
        (["parity", "default", "--no-phantom"], "nothing to compare on"),
        (["parity", "default", "--random", "2", "--checkpoint", "x"], "add --role, one of locator"),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_2(words: list[str], says: str, run: Run) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("python -m export: ")
    assert err.count("\n") == 1
    assert says in err


def changed(published: Path, tmp_path: Path, what: str) -> Path:
    """The set with one thing wrong."""
    folder = tmp_path / "wrong"
    folder.mkdir()
    for path in published.iterdir():
        os.link(path, folder / path.name)
    manifest, network = folder / "manifest.toml", folder / "classifier.onnx"
    text, data = manifest.read_text("utf-8"), network.read_bytes()
    manifest.unlink()
    if what in ("hash", "opset", "cut"):
        network.unlink()
        later = onnx.load_from_string(data)
        later.opset_import[0].version = 99
        other = {"hash": data[:-1] + b"\0", "cut": data[:5000], "opset": later.SerializeToString()}
        network.write_bytes(other[what])
    elif what == "size":
        network.unlink()
        with network.open("wb") as file:
            file.truncate(3 << 30)  # a hole: it takes no room
    edits = {
        "input name": ('name = "crop"', 'name = "picture"'),
        "output name": ('name = "cause"', 'name = "answer"'),
        "shape": ("patch_zyx = [70, 70, 70]", "patch_zyx = [64, 64, 64]"),
        "classes": ('["osteoporotic", "malignant"]', '["osteoporotic", "malignant", "unknown"]'),
        "orientation": ('"IAL"', '"IAX"'),
        "fp16 hash": ('sha256_fp16 = "', 'sha256_fp16 = "00'),
    }
    old, new = edits.get(what, ("", ""))
    assert old in text
    manifest.write_text(text.replace(old, new, 1), "utf-8")
    if what in ("opset", "cut"):
        update_hashes(manifest)
    return folder


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("hash", "classifier.onnx has changed"),
        ("size", "which no usable ONNX network is"),
        ("cut", "is no usable ONNX network"),
        ("opset", "opset 99"),
        ("input name", "no input 'picture', there is 'crop'"),
        ("output name", "no output 'answer', there is 'cause'"),
        ("shape", "'crop' is ?x1x70x70x70, the manifest says ?x1x64x64x64"),
        ("classes", "'cause' is ?x2, the manifest says ?x3"),
        ("orientation", "orientation 'IAX'"),
        ("fp16 hash", "and must be 64 hexadecimal digits"),
    ],
)
def test_a_set_that_is_wrong_is_refused_before_anything_runs(
    what: str, says: str, published: Path, tmp_path: Path, run: Run
) -> None:
    folder = changed(published, tmp_path, what)
    code, out, err = run("parity", folder, "--no-phantom", "--random", "1", "--no-card")
    assert says in err
    assert (code, out, err.count("\n")) == (4, "", 1)


def test_overwriting_a_set_keeps_what_is_no_part_of_one(
    published: Path, model_tar: Path, tmp_path: Path, run: Run
) -> None:
    mine = shutil.copytree(published, tmp_path / "mine")
    (mine / "notes.txt").write_text("ask her about the weights")
    (mine / "float.onnx").write_bytes(b"which no set names")
    manifest = mine / "manifest.toml"
    file = next(iter(load_model_set(mine).networks)).path
    manifest.write_text(manifest.read_text("utf-8").replace(f'"{file.name}"', '"old.onnx"'))
    file.rename(mine / "old.onnx")
    assert run("tum", model_tar, "-o", tmp_path / "mine", "--overwrite")[0] == 0
    names = {path.name for path in (tmp_path / "mine").iterdir()}
    assert names == {path.name for path in published.iterdir()} | {"notes.txt", "float.onnx"}
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    code, _, err = run("tum", model_tar, "-o", tmp_path / "link", "--overwrite")
    assert (code, "it is a link" in err) == (6, True)


def test_a_set_is_not_overwritten_unasked_and_nothing_else_ever(
    published: Path, model_tar: Path, tmp_path: Path, run: Run
) -> None:
    before = {path: path.read_bytes() for path in published.iterdir()}
    code, _, err = run("tum", model_tar, "-o", published)
    assert (code, "add --overwrite" in err) == (6, True)
    assert before == {path: path.read_bytes() for path in published.iterdir()}
    (tmp_path / "manifest.toml").write_text("[of.another.program]")
    code, _, err = run("tum", model_tar, "-o", tmp_path, "--overwrite")
    assert (code, "something that is no model set lies there" in err) == (6, True)
    assert [path.read_text("utf-8") for path in tmp_path.iterdir()] == ["[of.another.program]"]
