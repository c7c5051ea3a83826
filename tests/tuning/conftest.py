"""The command, and a set whose answers are calibrated."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tiny_models import write_full_set
from vfx_edge.cli import answer, app
from vfx_edge.manifest import ModelManifest, load_model_set


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["vfx-edge", "calibrate", *map(str, words)])
        code = answer(app, "vfx-edge")
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def source(tmp_path: Path) -> ModelManifest:
    return load_model_set(write_full_set(tmp_path / "ours"))
