"""Signs and maps of every study, where the service's settings ask for them; off without."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fake_backend import no_networks
from vfx_edge.fracture_task import Options
from vfx_edge.job import Job
from vfx_edge.service.analyse import chain, child
from vfx_edge.service.settings import SettingsInvalid, load_settings
from vfx_edge.study import BackendRequest


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """What the chain was asked to do, without networks."""
    found: list[Job] = []
    monkeypatch.setattr("vfx_edge.manifest.load_model_set", lambda *_: None)
    monkeypatch.setattr("vfx_edge.backends.open_models", lambda *_, **__: no_networks())
    monkeypatch.setattr(chain, "roles", lambda *_: ())
    monkeypatch.setattr(chain, "run_job", lambda job, _models: found.append(job))
    return found


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [("", Options()), ("signs = true\nexplain = true\n", Options(signs=True, explain=True))],
)
def test_the_settings_reach_every_study(
    tmp_path: Path, jobs: list[Job], lines: str, wanted: Options
) -> None:
    """Through the first line of the process's input, and a job's own."""
    config = tmp_path / "service.toml"
    config.write_text(lines)
    order: dict[str, Any] = child.order_of(load_settings(config, {"spool": tmp_path}))
    does = child._open_chain(json.loads(json.dumps(order)))
    does(child.job_of(child.line_of(Job(tmp_path / "ct", tmp_path / "out"))))
    (job,) = jobs
    assert job.options == wanted


def test_another_tasks_options_are_its_own(tmp_path: Path, jobs: list[Job]) -> None:
    does = chain.OpenChain(BackendRequest(), "default", None, Options(signs=True))  # type: ignore[arg-type]
    does(Job(tmp_path, task="another"))
    assert jobs[0].options is None


def test_what_is_neither_true_nor_false_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "service.toml"
    config.write_text('explain = "perhaps"\n')
    with pytest.raises(SettingsInvalid, match="explain"):
        load_settings(config, {"spool": tmp_path})
