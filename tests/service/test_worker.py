"""The outcome of a job, by what went wrong; and its reason."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.service.stores import Store
from tests.service.studies import PATIENT, write_study
from tests.waiting import HANG_S
from vfx_edge.errors import BackendError, InputError, ModelError
from vfx_edge.files import OutputDiskFull, write_text
from vfx_edge.job import Job
from vfx_edge.outputs.dicom.write import DicomRefused
from vfx_edge.service.analyse.chain import (
    AnalysisDied,
    AnalysisInterrupted,
    AnalysisLackedMemory,
)
from vfx_edge.service.analyse.turns import Turns
from vfx_edge.service.queue_loop import Done, GivenUp, Interrupted, Outcome, RetryLater
from vfx_edge.service.settings import Destination, Settings
from vfx_edge.service.store.identifiers import pseudonym
from vfx_edge.service.store.queue import SUPERSEDED, Entry
from vfx_edge.service.store.results import missing_results
from vfx_edge.service.store.spool import Received
from vfx_edge.service.worker import Worker


class NoCt(InputError):
    """The real ones name paths too."""


class Lost(BackendError):
    """A GPU that has gone."""


class Swapped(ModelError):
    """A file of the model set is not what it was: no study's fault."""


class Place(Store):
    """A spool with one study in it, whose results go to A and B."""

    study = ""
    config: Settings

    def process(
        self, chain: Callable[[Job], object], turns: Turns | None = None, **facts: Any
    ) -> Outcome:
        """What becomes of the first job; `facts`: of its entry."""
        entry = self.jobs.entries()[0]
        worker = Worker(self.config, self.spool, self.jobs, self.sends, chain, turns)
        return worker.process(Entry(**{**vars(entry), "attempts": 1, **facts}))

    def one_more(self) -> Received:
        """A further image of the study comes; the job that follows."""
        return self.complete(self.study, "99")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "spool")
    place.study = write_study(tmp_path / "made")
    for file in (tmp_path / "made").iterdir():
        place.receive(place.study, file.stem, content=file.read_bytes())
    place.complete(place.study)
    to = [Destination(name=name, ae_title=name, host="127.0.0.1") for name in ("A", "B")]
    place.config = place.settings(destinations=tuple(to), job_attempts=3)
    return place


def fine(job: Job) -> None:
    assert job.out is not None
    write_text(job.out / "sr.dcm", "an object")
    write_text(job.out / "result.json", json.dumps({"series": {"study_uid": "1.2.3"}}))


def given_up(outcome: Outcome) -> str:
    """The reason."""
    assert isinstance(outcome, GivenUp)
    return outcome.reason


def raising(error: BaseException) -> Callable[[Job], None]:
    def chain(job: Job) -> None:
        assert job.out is not None
        write_text(job.out / "sr.dcm", "half of it")
        raise error

    return chain


def test_results_are_made_once_and_sent_to_every_destination(place: Place) -> None:
    assert place.process(fine) == Done(study=pseudonym("1.2.3"))
    assert [entry.destination for entry in place.sends.entries()] == ["A", "B"]
    again = place.process(raising(AssertionError("analysed twice")))  # killed before it was settled
    assert again == Done(study=pseudonym("1.2.3"))
    assert len(place.sends.entries()) == 2


def test_without_dicom_results_nothing_is_sent(place: Place) -> None:
    def chain(job: Job) -> None:
        assert job.out is not None
        write_text(job.out / "report.html", "")

    assert isinstance(place.process(chain), Done)
    assert place.sends.entries() == []


@pytest.mark.parametrize(
    ("error", "first", "last"),
    [
        (NoCt("there is no CT: send another."), GivenUp, GivenUp),
        (Lost("the GPU has gone: look for it."), RetryLater, GivenUp),
        (Swapped("the model was swapped: put it back."), RetryLater, RetryLater),
        (MemoryError(), RetryLater, GivenUp),
        (ValueError("odd"), RetryLater, GivenUp),
        (OutputDiskFull(Path("x")), RetryLater, RetryLater),
        (OSError(28, "No space left on device"), RetryLater, RetryLater),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, BaseException) else "",
)
def test_what_failed_is_tried_again_as_long_as_that_can_help(
    place: Place, error: Exception, first: type, last: type
) -> None:
    assert isinstance(place.process(raising(error), attempts=1), first)
    assert isinstance(place.process(raising(error), attempts=3), last)
    given_up = place.process(raising(error), attempts=9, first_failed_at_s=1.0)
    assert isinstance(given_up, GivenUp)
    assert place.spool.results_of(place.jobs.entries()[0].job) is None


def test_a_shared_server_that_is_away_is_waited_for(place: Place) -> None:
    """For a night: no study has to be begun again by hand."""
    place.config = replace(place.config, backend="kserve=grpcs://gpu.example:8001")
    away = raising(Lost("the server does not answer: see whether it runs."))
    assert isinstance(place.process(away, attempts=30), RetryLater)
    assert isinstance(place.process(away, attempts=30, first_failed_at_s=1.0), GivenUp)


def test_a_nifti_is_not_asked_for_dicom_results(tmp_path: Path, place: Place) -> None:
    kinds = []
    place.config = replace(place.config, outputs=("json", "sr", "seg"))
    place.process(lambda job: kinds.append(job.kinds))
    (tmp_path / "a.nii.gz").write_bytes(b"x")
    place.spool.add_item(tmp_path / "a.nii.gz", "b" * 24, study="x")
    place.jobs.drop(place.jobs.entries()[0].key)
    place.jobs.put(Entry(key="b" * 24, job="b" * 24))
    place.process(lambda job: kinds.append(job.kinds))
    assert kinds == [("json", "sr", "seg"), ("json",)]


def test_the_wait_doubles_up_to_its_limit(place: Place) -> None:
    waits = [place.process(raising(OSError()), attempts=n) for n in (1, 2, 3, 40)]
    assert [one.wait_s for one in waits if isinstance(one, RetryLater)] == [10, 20, 40, 600]


def test_reasons_name_no_file_of_the_study_and_no_word_of_a_bug(
    tmp_path: Path, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "drop"
    write_study(folder)
    (folder / "0.dcm").rename(folder / f"{PATIENT}.dcm")
    place.spool.add_item(folder, "a" * 24, study="abc")
    place.jobs.drop(place.jobs.entries()[0].key)
    place.jobs.put(Entry(key="a" * 24, job="a" * 24))

    def chain(job: Job) -> None:
        (file,) = job.path.glob("Muster*")
        raise NoCt(f"{file} in {job.path} ({file.name}) is none: send another.")

    outcome = place.process(chain)
    assert isinstance(outcome, GivenUp)
    assert outcome.reason == (
        "a file of the study in the study (a file of the study) is none: send another."
    )
    bug = place.process(raising(ValueError(PATIENT)))
    assert isinstance(bug, RetryLater)
    assert bug.reason.startswith("A bug in vfx-edge (ValueError, test_worker.py line")
    assert "test_worker.py" in caplog.text
    assert PATIENT not in caplog.text + bug.reason


def test_only_its_own_deaths_set_a_study_aside(place: Place) -> None:
    died = raising(AnalysisDied("SIGFPE"))
    assert place.process(died, crashes=1) == RetryLater(
        "The analysis died 2 times of this study (SIGFPE): it is tried again.", 20, died=True
    )
    assert "died 3 times" in given_up(place.process(died, crashes=2, attempts=3))
    by_others = raising(AnalysisInterrupted())
    assert place.process(by_others, crashes=2, attempts=99) == Interrupted(10)


def test_a_study_that_lacks_memory_beside_another_is_analysed_by_itself(place: Place) -> None:
    """Only what it lacks by itself is held against it."""
    turns, tried = Turns(), 0

    def lacking(job: Job) -> None:
        nonlocal tried
        tried += 1
        neighbours_end.set()
        raise AnalysisLackedMemory(NoCt("the scan is too large: give fewer slices."))

    def neighbour() -> None:
        with turns.beside_others():
            begun.set()
            neighbours_end.wait(HANG_S)

    begun, neighbours_end = threading.Event(), threading.Event()
    thread = threading.Thread(target=neighbour, daemon=True)
    thread.start()
    assert begun.wait(HANG_S)
    assert "too large" in given_up(place.process(lacking, turns))
    assert tried == 2
    assert "too large" in given_up(place.process(lacking, turns))
    assert tried == 3, "nobody was beside it"


def test_images_that_are_gone_are_a_reason(place: Place) -> None:
    place.spool.delete_images(place.jobs.entries()[0].job)
    assert "send the study again" in given_up(place.process(fine))


def test_images_that_lack_the_others_are_not_analysed(place: Place) -> None:
    job = place.jobs.entries()[0].job
    place.spool.delete_images(job)
    late = place.one_more()
    assert "send the whole study again" in given_up(
        place.process(raising(AssertionError("analysed")), key=late.job, job=late.job)
    )


def test_what_the_headers_do_not_allow_is_left_out_and_the_rest_goes(place: Place) -> None:
    """A verdict must not wait for a segmentation that can't be made."""
    place.config = replace(place.config, outputs=("json", "sr", "seg", "sc"))
    asked: list[tuple[str, ...]] = []

    def chain(job: Job) -> None:
        assert job.out is not None
        assert job.kinds is not None
        asked.append(job.kinds)
        for kind in ("seg", "sc"):
            if kind in job.kinds:
                raise DicomRefused(job.out / f"{kind}.dcm", "odd")
        fine(job)

    assert isinstance(place.process(chain), Done)
    assert asked == [("json", "sr", "seg", "sc"), ("json", "sr", "sc"), ("json", "sr")]
    results = place.spool.results_of(place.jobs.entries()[0].job)
    assert results is not None
    words = missing_results(results)
    assert words.startswith("seg.dcm can't be made from this series")
    assert "sc.dcm can't be made" in words
    assert str(place.spool.root) not in words
    assert len(place.sends.entries()) == 2


def test_a_received_file_is_not_named_in_a_reason(place: Place) -> None:
    """Its name is a UID, and that leads to the patient."""
    file = next(place.spool.input_of(place.jobs.entries()[0].job).iterdir())
    outcome = place.process(raising(NoCt(f"in holds no CT, {file.name} is none: send another.")))
    assert outcome == GivenUp("The study holds no CT, a file of the study is none: send another.")


def test_more_images_between_the_last_look_and_the_queueing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window of milliseconds, in which both sets would go out."""
    entry = place.jobs.entries()[0]
    real = place.sends.put

    def put(send: Entry) -> bool:
        if not place.spool.incoming() and len(place.spool.jobs()) == 1:
            place.one_more()
        return real(send)

    monkeypatch.setattr(place.sends, "put", put)
    assert place.process(fine) == Done(SUPERSEDED)
    assert {send.state for send in place.sends.entries() if send.job == entry.job} == {"done"}


@pytest.mark.parametrize("sent", [True, False])
def test_a_second_report_names_the_first_that_an_archive_has(place: Place, sent: bool) -> None:
    place.process(fine)
    first = place.jobs.entries()[0]
    place.jobs.done(first.key)
    if sent:
        place.sends.done(f"{first.key}@A")
    second = place.one_more()
    named: list[Path | None] = []

    def chain(job: Job) -> None:
        named.append(job.previous_report)
        fine(job)

    place.process(chain, key=second.job, job=second.job)
    results = place.spool.results_of(first.job)
    assert results is not None
    assert named == [results / "sr.dcm" if sent else None]


def test_what_was_overtaken_by_more_images_is_not_sent(place: Place) -> None:
    def more_come(job: Job) -> None:
        fine(job)
        place.one_more()

    outcome = place.process(more_come)
    assert outcome == Done("more images came: a later job has them all")
    assert place.sends.entries() == []
    assert len(place.jobs.entries()) == 2
