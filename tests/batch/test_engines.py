"""A batch by actors of Ray and by jobs of submitit, both on this machine: what is killed there."""

import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.batch.played_batch import asked, folder_of, wanted
from tests.batch.played_engine import engine
from tests.batch.test_batch_run import outcomes
from tests.waiting import eventually
from vfx_edge.batch.engine import EngineNotInstalled, check_installed
from vfx_edge.batch.ray_actors import NoRay, Ray
from vfx_edge.batch.ray_watch import MARK
from vfx_edge.batch.run import run, states_of
from vfx_edge.batch.slurm_jobs import BadSlurmSetting, Settings, settings_of
from vfx_edge.crew.outcomes import Failed
from vfx_edge.manifest import load_model_set
from vfx_edge.parallel import environment, own_environment

SET = load_model_set("default")
REFUSED = str(Failed("a file of the study holds no CT: send another study."))
THOROUGH = pytest.mark.thorough
BOTH = pytest.mark.parametrize("name", ["ray", "slurm"])


def jobs_of(out: Path) -> list[Path]:
    """Files of jobs that are not over."""
    return list(out.glob("records/*/jobs/*"))


def started(name: str, data: Path, out: Path, tmp_path: Path) -> "subprocess.Popen[bytes]":
    """The same in a process of its own; what it starts is known by its folder for scratch files."""
    temporary = tmp_path / "t"
    temporary.mkdir(exist_ok=True)
    with environment({"TMPDIR": str(temporary)}):
        words = [sys.executable, "-m", "tests.batch.played_engine", name, str(data), str(out)]
        return subprocess.Popen(words, env=own_environment())


def alive(tmp_path: Path) -> list[psutil.Process]:
    """What `started` has begun and is still there."""
    found = []
    for process in psutil.process_iter():
        try:
            running = process.status() != psutil.STATUS_ZOMBIE
            if running and process.environ().get("TMPDIR") == str(tmp_path / "t"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def cluster_folders(tmp_path: Path) -> set[Path]:
    """Of the Ray clusters that `started` has begun."""
    found = set()
    for process in alive(tmp_path):
        with suppress(psutil.Error):
            found.add(process.environ().get(MARK))
    return {Path("/tmp", name) for name in found if name}


def test_a_killed_job_costs_no_study_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    found = folder_of(data, {"a": "kills its job once", "b": "is good", "c": "is refused"})
    before = set(psutil.Process().children(recursive=True))
    states = run(found, SET, wanted(out, engine=engine("slurm")))
    assert outcomes(states) == [REFUSED, "done", "done"]
    assert asked(data) == {"a": 2, "b": 1, "c": 1}
    assert set(psutil.Process().children(recursive=True)) <= before
    assert jobs_of(out) == []
    again = run(found, SET, wanted(out, engine=engine("slurm"), retry_failed=True))
    assert again == states
    assert asked(data) == {"a": 2, "b": 1, "c": 2}


@THOROUGH
def test_a_killed_actor_costs_no_study(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    studies = {"a": "dies once", "b": "is good", "c": "is refused", "d": "is good"}
    folder_of(data, studies)
    assert started("ray", data, out, tmp_path).wait() == 0
    assert outcomes(states_of(out)[1]) == [REFUSED, "done", "done", "done"]
    assert asked(data) == {"a": 2, "b": 1, "c": 1, "d": 1}
    assert eventually(lambda: not alive(tmp_path))


@THOROUGH
@BOTH
def test_ctrl_c_ends_all_that_was_begun(tmp_path: Path, name: str, receives_ctrl_c: None) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    folder_of(data, {"a": "is good", "b": "hangs once"})
    driver = started(name, data, out, tmp_path)
    assert eventually(lambda: asked(data).get("b") and "done" in outcomes(states_of(out)[1]))
    driver.send_signal(signal.SIGINT)
    assert driver.wait() != 0
    assert eventually(lambda: not alive(tmp_path))
    assert jobs_of(out) == []
    assert started(name, data, out, tmp_path).wait() == 0
    assert outcomes(states_of(out)[1]) == ["done", "done"]
    assert asked(data) == {"a": 1, "b": 2}


@THOROUGH
@BOTH
def test_a_killed_driver_loses_nothing_and_nothing_is_done_twice(tmp_path: Path, name: str) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    folder_of(data, {"a": "is good", "b": "hangs once", "c": "is good", "d": "is good"})
    driver = started(name, data, out, tmp_path)
    assert eventually(lambda: asked(data).get("b") and "done" in outcomes(states_of(out)[1]))
    folders = cluster_folders(tmp_path)
    assert len(folders) == (name == "ray")
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders), "others look into it"
    driver.kill()
    driver.wait()
    if name == "ray":  # its cluster ends with it; jobs go on, until the next start
        assert eventually(lambda: not alive(tmp_path))
        assert not any(folder.exists() for folder in folders)
    assert started(name, data, out, tmp_path).wait() == 0
    assert outcomes(states_of(out)[1]) == ["done"] * 4
    assert eventually(lambda: not alive(tmp_path))
    assert jobs_of(out) == []
    counts = asked(data)
    assert counts["b"] == 2
    assert max(counts[one] for one in "acd") <= 2
    assert sum(counts.values()) <= 6, "what was done is done once; what was begun, twice at most"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"chunk": "0"}, "chunk is 0"),
        ({"cluster": "cloud"}, "cluster is 'cloud'"),
        ({"cluster": "local", "walltime": "3"}, "walltime"),
        ({"cluster": "local", "timeout_min": "long"}, "timeout_min"),
    ],
)
def test_a_setting_that_submitit_does_not_know_is_refused(told: dict[str, str], words: str) -> None:
    with pytest.raises(BadSlurmSetting, match=words):
        settings_of(told)


def test_settings_are_numbers_where_they_look_like_it() -> None:
    told = {"cluster": "local", "chunk": "7", "mem_gb": "2.5", "slurm_partition": "gpu"}
    assert settings_of(told) == Settings(7, "local", {"mem_gb": 2.5, "slurm_partition": "gpu"})


def test_a_cluster_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    found = folder_of(tmp_path / "data", {"a": "is good"})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NoRay, match=f"at {address}"):
            run(found, SET, wanted(tmp_path / "out", engine=Ray(address)))


def test_a_missing_library_is_one_sentence_with_the_command_that_brings_it() -> None:
    with pytest.raises(EngineNotInstalled, match=r"pip install 'vfx-edge\[ray\]'"):
        check_installed("ray", "no_such_library")
