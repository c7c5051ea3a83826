"""One random published classifier, exported once for all tests."""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

Run = Callable[..., tuple[int, str, str]]


def run_export(*arguments: object) -> tuple[int, str, str]:
    """`python -m export …` in this process: exit code, standard output, standard error."""
    from export.__main__ import app
    from vfx_edge.cli import answer

    out, err = io.StringIO(), io.StringIO()
    words = ["export", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", words),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = answer(app, "python -m export")
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="session")
def run() -> Run:
    return run_export


@pytest.fixture(scope="session")
def model_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the authors' training saves it, from several GPUs."""
    torch = pytest.importorskip("torch", reason="needs the extra `export`")
    from tests.export.nets import random_classifier

    torch = pytest.importorskip("torch", reason="needs the extra `export`")

    path = tmp_path_factory.mktemp("checkpoint") / "model.tar"
    state = random_classifier().state_dict()
    torch.save({"epoch": 7, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    return path


@pytest.fixture(scope="session")
def published(model_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model set of `model_tar`."""
    folder = tmp_path_factory.mktemp("models") / "published"
    code, _, err = run_export("tum", model_tar, "-o", folder)
    assert code == 0, err
    return folder
