"""The ONNX files stand: checked, whole, of a free batch, and always the same bytes."""

import hashlib
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

pytest.importorskip("torch")

import torch

from export.finishing import NoNumbers
from export.to_onnx import OPSET, compare
from vfx_edge.backends.onnx_file import read_outline
from vfx_edge.manifest import load_model_set

ROOT = Path(__file__).resolve().parents[2]
ONE_EXPORT = """
import hashlib, torch
from export.finishing import halved
from export.to_onnx import onnx_bytes
from tests.export.nets import TinyNet
torch.manual_seed(5)
data = onnx_bytes(TinyNet(), torch.zeros(2, 1, 16, 16, 16), "hu", "parts")
print(hashlib.sha256(data + halved(data, "tiny")).hexdigest())
"""


def test_two_processes_write_the_same_bytes() -> None:
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_EXPORT],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONHASHSEED": seed, "PATH": "", "OMP_NUM_THREADS": "1"},
        )
        for seed in ("1", "2")
    ]
    first, second = (job.communicate()[0].split()[-1] for job in jobs)
    assert first == second
    assert len(first) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize("suffix", ["", ".fp16"])
def test_a_file_is_whole_and_says_what_the_manifest_says(published: Path, suffix: str) -> None:
    path = published / f"classifier{suffix}.onnx"
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    outline = read_outline(path.read_bytes(), path)
    assert outline.opset == OPSET
    assert not outline.external_data
    assert [t.shape for t in outline.inputs] == [(None, 1, 70, 70, 70)]
    assert [t.shape for t in outline.outputs] == [(None, 2)]
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def test_the_fp16_file_is_half_as_long_and_the_manifest_knows_it(published: Path) -> None:
    spec = load_model_set(published).network("classifier")
    half = spec.read_half()
    assert half is not None
    assert 0.4 < len(half) / len(spec.read()) < 0.6


def test_a_network_that_answers_nan_is_told_from_one_that_cannot_be_written() -> None:
    convolution = torch.nn.Conv3d(1, 2, 1)
    broken = torch.nn.Sequential(convolution, torch.nn.Flatten(2))
    with torch.no_grad():
        convolution.weight.fill_(float("inf"))
    with pytest.raises(NoNumbers, match="take another checkpoint"):
        compare(broken, b"", torch.randn(1, 1, 4, 4, 4), "mine")
