"""`vfx-edge doctor` and `vfx-edge models`, as people see them."""

import hashlib
import re
from pathlib import Path

from tests.contract.conftest import Command

BACKENDS = ("tensorrt", "tensorrt-rtx", "cuda", "openvino", "cpu")


def test_doctor_says_of_every_backend_whether_or_why_not(vfx: Command) -> None:
    answer = vfx("doctor")
    assert (answer.code, answer.stderr) == (0, "")
    for name in BACKENDS:
        line = re.search(rf"^  {re.escape(name)} +(.*)$", answer.stdout, re.MULTILINE)
        assert line, f"no line for {name}"
        assert re.match(r"available: \S|not available: \S", line[1])
    reasons = re.findall(r"not available: (?!as )(.*)", answer.stdout)
    remedies = re.findall(r"to have (?:it|them): (.*)", answer.stdout)
    assert len(remedies) == len(reasons), "what holds for several is said once"
    named = ("CPU", "GPU", "driver", "memory", "default", "hash and signature match")
    for word in (*named, "segmenter.onnx, segmenter.int8.onnx: ", "classes never read: body, arch"):
        assert word in answer.stdout


def test_models_list_show_verify(vfx: Command, default_models: Path) -> None:
    assert re.search(r"^default \S+ \(demonstration\): \S", vfx("models", "list").stdout, re.M)
    shown = vfx("models", "show").stdout
    for path in default_models.glob("*.onnx"):
        assert path.name in shown
        assert hashlib.sha256(path.read_bytes()).hexdigest() in shown
    assert (default_models / "card.md").read_text("utf-8").strip() in shown
    verified = vfx("models", "verify")
    assert verified.code == 0
    networks = [path for path in default_models.glob("*.onnx") if ".int8." not in path.name]
    assert verified.stdout.count(" ok, answered in ") == len(networks)
    assert "in int8 on openvino" in verified.stdout
    assert "NOT WHOLE" not in verified.stdout


def test_a_set_in_a_folder_is_shown_like_an_installed_one(
    vfx: Command, default_models: Path
) -> None:
    assert vfx("models", "show", default_models).stdout == vfx("models", "show").stdout
