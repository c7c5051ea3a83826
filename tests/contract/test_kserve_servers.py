"""Servers of others: NVIDIA Triton and Seldon's MLServer, each over what `export repository` writes
of the shipped set; killed and begun again in the middle of a batch."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc", reason="needs the extra kserve")

from export.repository import write_repository
from tests.contract.conftest import Command
from tests.serving import PYTHON, SERVERS, Server
from tests.tiny_models import tiny_segmenter, write_full_set, write_set
from vfx_edge.backends import open_models
from vfx_edge.backends.errors import ServedOtherwise
from vfx_edge.manifest import load_model_set
from vfx_edge.study import BackendRequest

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs the servers that make servers installs"),
]
BATCH = np.random.default_rng(3).normal(size=(7, 1, 8, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("name", SERVERS)
def test_the_same_numbers_also_of_one_that_was_killed_and_came_back(
    name: str, tmp_path: Path
) -> None:
    models = load_model_set(write_full_set(tmp_path / "set"))
    write_repository(models.directory, tmp_path / "models", "cpu")
    with open_models(models, "cpu") as local:
        wanted = {role: local.network(role).run(BATCH) for role in ("finder", "classifier")}
    with (
        SERVERS[name](tmp_path / "models", tmp_path) as server,
        open_models(models, BackendRequest.of(f"kserve={server.url}")) as there,
    ):
        for role, answer in wanted.items():
            np.testing.assert_array_equal(there.network(role).run(BATCH), answer)
        assert there.backend.device.startswith(name)
        other = load_model_set(write_set(tmp_path / "o", {"finder": tiny_segmenter(seed=5)}))
        request = BackendRequest.of(f"kserve={server.url}")
        with pytest.raises(ServedOtherwise, match="does not serve 'tiny-finder"):
            open_models(other, request, roles=("finder",))
        server.kill()
        threading.Timer(0.5, server.start).start()
        np.testing.assert_array_equal(there.network("finder").run(BATCH), wanted["finder"])


@pytest.mark.parametrize("name", SERVERS)
def test_a_whole_study_is_the_same_without_networks_here(
    name: str, tmp_path: Path, vfx: Command, phantom: Path
) -> None:
    write_repository("default", tmp_path / "models", "cpu")
    here = vfx(
        "run", phantom, "--out", tmp_path / "here", "--backend", "cpu", "--precision", "fp32"
    )
    assert here.code == 0
    with SERVERS[name](tmp_path / "models", tmp_path) as server:
        asked = f"kserve={server.url}"
        there = vfx("run", phantom, "--out", tmp_path / "there", "--backend", asked)
    assert (there.code, there.stderr) == (0, "")
    wanted, found = (_read(tmp_path / one / "result.json") for one in ("here", "there"))
    assert _answer(found) == _answer(wanted)
    used = found["run"]["backend"]["server"]
    hashes = {model["sha256"] for model in found["run"]["models"]}
    assert {model["model"].rpartition("-")[2] for model in used["models"]} >= hashes
    assert found["run"]["peak_rss_mib"] < wanted["run"]["peak_rss_mib"]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _answer(result: dict[str, Any]) -> dict[str, Any]:
    """All but how it came about."""
    return {key: value for key, value in result.items() if key != "run"}


def killed_once(server: Server, out: Path, at: int) -> None:
    """When so many results are there."""
    while len(list(out.glob("studies/*/result.json"))) < at:
        threading.Event().wait(0.05)
    server.kill()
    server.start()


def test_a_batch_whose_server_is_killed_loses_nothing(
    tmp_path: Path, vfx: Command, phantom: Path
) -> None:
    cts = tmp_path / "cts"
    vfx("phantom", cts, "--studies", "4", "--levels", "T12-L2")
    write_repository("default", tmp_path / "models", "cpu")
    more = ("--workers", "1", "--outputs", "json")
    local = ("--backend", "cpu", "--precision", "fp32")
    assert vfx("batch", cts / "rawdata", "-o", tmp_path / "here", *local, *more).code == 0
    with SERVERS["mlserver"](tmp_path / "models", tmp_path) as server:
        out = tmp_path / "there"
        killer = threading.Thread(target=killed_once, args=(server, out, 1))
        killer.start()
        asked = f"kserve={server.url}"
        ended = vfx("batch", cts / "rawdata", "-o", out, "--backend", asked, *more)
        killer.join()
    assert ended.code == 0, ended.stderr
    for path in (tmp_path / "here").glob("studies/*/result.json"):
        same = out / path.relative_to(tmp_path / "here")
        assert _answer(_read(same)) == _answer(_read(path))
