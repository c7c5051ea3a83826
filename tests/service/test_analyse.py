"""The analysing process: what comes back from it, and when it is started anew."""

import errno
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vfx_edge.errors import BackendError, InputError, ModelError
from vfx_edge.job import Job
from vfx_edge.outputs.dicom.write import DicomRefused
from vfx_edge.service.analyse.chain import (
    BEGIN_ANEW,
    AnalysisBug,
    AnalysisInterrupted,
    AnalysisLackedMemory,
    KindsRefused,
)
from vfx_edge.service.analyse.child import analyse
from vfx_edge.service.analyse.parent import ChildChain, NetworksNotOpened

NAME = "Müller^Änne"


class NoCt(InputError):
    """As the chain's own."""


class Lost(BackendError):
    """A GPU that has gone."""


class Damaged(ModelError):
    """A network that is not what it was."""


def opened(order: dict[str, Any]) -> Callable[[Job], object]:
    """In the process: a chain that does what the study's path says."""
    if order.get("model") == "damaged":
        raise Damaged("It is damaged: put it back.")
    if order.get("model") == "deadly":
        os.abort()
    return _chain


def _chain(job: Job) -> object:
    assert job.out is not None
    what = job.path.name
    print(f"a library prints {NAME}", flush=True)
    if what == "no ct":
        raise NoCt(f"{job.path} holds no CT: send another.")
    if what == "lost":
        raise Lost("It has gone.")
    if what == "refused":
        raise DicomRefused(job.out / "seg.dcm", "odd")
    if what == "full":
        raise OSError(errno.ENOSPC, f"no room for {NAME}")
    if what == "memory":
        raise MemoryError
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "bug":
        raise ValueError(NAME)
    (job.out / what).write_text(f"{os.getpid()} {job.kinds} {job.language} {job.previous_report}")
    return BEGIN_ANEW if what == "went on elsewhere" else None


@pytest.fixture
def chain() -> Iterator[ChildChain]:
    made = ChildChain({}, 60.0, __name__)
    yield made
    made.stop()


def test_errors_come_back_as_what_they_were_and_the_process_lives_on(
    chain: ChildChain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(what: str, **facts: Any) -> str:
        chain(Job(tmp_path / what, tmp_path, **facts))
        return (tmp_path / what).read_text()

    first = answer("ä\udcff", kinds=("json", "sr"), language="de", previous_report=tmp_path)
    pid = first.split()[0]
    assert first == f"{pid} ('json', 'sr') de {tmp_path}"
    with pytest.raises(InputError, match="no ct holds no CT: send another"):
        answer("no ct")
    with pytest.raises(KindsRefused) as refused:
        answer("refused")
    assert refused.value.kinds == ("seg",)
    with pytest.raises(OSError, match="No space left"):
        answer("full")
    with pytest.raises(AnalysisBug, match="ValueError, test_analyse"):
        answer("bug")
    assert "test_analyse.py" in caplog.text
    assert NAME not in caplog.text
    assert answer("again") == f"{pid} None en None"
    assert answer("went on elsewhere").split()[0] == pid
    assert answer("anew after that").split()[0] != pid
    with pytest.raises(BackendError, match="It has gone"):
        answer("lost")
    assert answer("anew").split()[0] != pid
    with pytest.raises(AnalysisLackedMemory, match="The memory was not enough") as lacked:
        answer("memory")
    assert isinstance(lacked.value.error, BackendError)


def test_a_kill_counts_only_where_the_kernel_had_no_memory_left(
    chain: ChildChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AnalysisInterrupted):
        chain(Job(tmp_path / "killed", tmp_path))
    numbers = itertools.count()
    monkeypatch.setattr("vfx_edge.service.analyse.parent._memory_kills", lambda: next(numbers))
    with pytest.raises(AnalysisLackedMemory, match="the memory ran out"):
        chain(Job(tmp_path / "killed", tmp_path))


def test_the_folder_that_one_stands_in_is_no_part_of_the_program(
    chain: ChildChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be that of a disc from elsewhere."""
    (tmp_path / "json.py").write_text("raise SystemExit('run by us')")
    monkeypatch.chdir(tmp_path)
    chain.open()


def test_networks_that_do_not_open_are_said() -> None:
    with pytest.raises(ModelError, match="put it back"):
        ChildChain({"model": "damaged"}, 60.0, __name__).open()
    with pytest.raises(NetworksNotOpened, match=r"SIGABRT.*--backend"):
        ChildChain({"model": "deadly"}, 60.0, __name__).open()


if __name__ == "__main__":
    analyse(opened)
