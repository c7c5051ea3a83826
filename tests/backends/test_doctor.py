"""The doctor's findings: facts as data, problems as text, nothing raised."""

import os
from pathlib import Path

import pytest

from tests.tiny_models import tiny_segmenter, write_full_set, write_set
from vfx_edge.doctor import diagnose, inspect_set


def test_the_diagnosis_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFX_EDGE_MODELS", str(tmp_path) + os.pathsep)
    write_full_set(tmp_path / "whole")
    write_full_set(tmp_path / "broken")
    (tmp_path / "broken" / "manifest.toml").write_text("schema = 3")
    found = diagnose()
    assert found.auto in [state.name for state in found.backends if state.available]
    assert found.cpu.name
    assert 1 <= found.cpu.usable_cores <= found.cpu.logical_cores
    assert 0 < found.cpu.free_gib <= found.cpu.memory_gib
    assert len(found.gpu.cards) == len(found.gpu.free_gib) >= 1
    assert dict(found.packages)["numpy"]
    sets = {state.folder.name: state for state in found.model_sets}
    assert sets["whole"].problem == ""
    assert "schema" in sets["broken"].problem


def test_every_file_is_looked_at(tmp_path: Path) -> None:
    folder = write_full_set(tmp_path / "set")
    path = folder / "labeller.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    state = inspect_set(folder)
    problems = {network.files: network.problem for network in state.networks}
    assert [file for file, problem in problems.items() if problem] == [("labeller.onnx",)]
    assert "has changed" in problems[("labeller.onnx",)]
    assert state.problem == problems[("labeller.onnx",)]


def test_an_incomplete_set_is_found(tmp_path: Path) -> None:
    state = inspect_set(write_set(tmp_path / "set", {"locator": tiny_segmenter()}))
    assert state.problem == "no network fills the role finder, labeller, segmenter, classifier"
