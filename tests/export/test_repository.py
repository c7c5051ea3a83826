"""`python -m export repository`: what a server loads says what the manifest says."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tritonclient.grpc", reason="needs the extra kserve")
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.repository import (
    ClientMissing,
    NoHalfOnCpu,
    NotAllowed,
    write_repository,
)
from tests.tiny_models import tiny_segmenter, write_full_set, write_set
from vfx_edge.backends.kserve_names import HASH, model_name
from vfx_edge.manifest import load_model_set


def configured(path: Path) -> Any:
    return text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())


@pytest.mark.parametrize(
    ("device", "precision"), [("gpu", "fp32"), ("gpu", "fp16"), ("cpu", "fp32")]
)
def test_a_repository_says_what_the_manifest_says(
    tmp_path: Path, device: str, precision: str
) -> None:
    models = load_model_set(write_full_set(tmp_path / "set", precisions=("fp32", "fp16")))
    out = tmp_path / "repository"
    made = write_repository(models.directory, out, device, precision, instances=2)
    assert made == [model_name(spec, precision) for spec in models.networks]
    for spec in models.networks:
        folder = out / model_name(spec, precision)
        onnx = (folder / "1" / "model.onnx").read_bytes()
        assert hashlib.sha256(onnx).hexdigest() == spec.sha256
        found = configured(folder / "config.pbtxt")
        assert (found.name, found.backend) == (folder.name, "onnxruntime")
        assert found.parameters[HASH].string_value == spec.sha256
        assert found.max_batch_size == spec.batch.max
        assert tuple(found.input[0].dims) == spec.shape(1)[1:]
        assert tuple(found.output[0].dims) == spec.answer_shape(1)[1:]
        (group,) = found.instance_group
        kinds = {"gpu": group.KIND_GPU, "cpu": group.KIND_CPU}
        assert (group.count, group.kind) == (2, kinds[device])
        warm = [sample.batch_size for sample in found.model_warmup]
        assert warm == ([spec.batch.min, spec.batch.max] if device == "gpu" else [spec.batch.min])
        assert tuple(found.model_warmup[0].inputs[spec.input.name].dims) == spec.shape(1)[1:]
        accelerators = found.optimization.execution_accelerators.gpu_execution_accelerator
        modes = [one.parameters["precision_mode"] for one in accelerators]
        assert modes == ([precision.upper()] if device == "gpu" else [])


def test_a_network_of_one_batch_is_not_batched_by_the_server(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter(batch=2)})
    text = (folder / "manifest.toml").read_text("utf-8")
    fixed = text.replace(
        "[network.batch]\nmax = 4\nopt = 2", "[network.batch]\nmin = 2\nmax = 2\nopt = 2"
    )
    assert fixed != text
    (folder / "manifest.toml").write_text(fixed, encoding="utf-8")
    (name,) = write_repository(folder, tmp_path / "out", "gpu")
    found = configured(tmp_path / "out" / name / "config.pbtxt")
    assert found.max_batch_size == 0
    assert tuple(found.input[0].dims) == (2, 1, 8, 8, 8)
    assert not found.HasField("dynamic_batching")


def test_several_sets_share_a_repository_and_openvinos_list_has_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = write_repository(write_set(tmp_path / "a", {"finder": tiny_segmenter(seed=1)}), out)
    names += write_repository(write_set(tmp_path / "b", {"finder": tiny_segmenter(seed=2)}), out)
    listed = json.loads((out / "ovms.json").read_text("utf-8"))["model_config_list"]
    assert [one["config"]["name"] for one in listed] == sorted(names)
    hints = {one["config"]["plugin_config"]["INFERENCE_PRECISION_HINT"] for one in listed}
    assert hints == {"f32"}
    assert len(set(names)) == 2, "two networks of one name have two names there"
    assert all((out / one["config"]["base_path"] / "1" / "model.onnx").is_file() for one in listed)


def test_what_can_not_be_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = write_full_set(tmp_path / "set"), tmp_path / "out"
    with pytest.raises(NoHalfOnCpu, match="--device gpu"):
        write_repository(folder, out, "cpu", "fp16")
    with pytest.raises(NotAllowed, match="'tiny locator' to be computed in fp16"):
        write_repository(folder, out, "gpu", "fp16")
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(ClientMissing, match=r"vfx-edge\[kserve\]"):
        write_repository(folder, out)
    assert not out.exists()
