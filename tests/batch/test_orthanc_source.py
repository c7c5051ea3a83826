"""Orthanc as the source of a batch: asked for studies, killed in the middle, and there again."""

from pathlib import Path

import pytest

from tests.batch.orthanc import IS_HERE, Archive
from tests.batch.played_fetch import MODULE, held
from tests.batch.small_images import image_bytes
from vfx_edge.batch.engine import Processes
from vfx_edge.batch.outcomes import Done
from vfx_edge.batch.remote import query_of, studies_at
from vfx_edge.batch.run import State, Wanted, run
from vfx_edge.crew.outcomes import Failed
from vfx_edge.manifest import load_model_set

pytestmark = pytest.mark.skipif(not IS_HERE, reason="needs Orthanc: make peers installs it")
SET = load_model_set("default")
STUDIES = [f"1.2.{number}" for number in range(10, 16)]


def reasons(states: list[State]) -> list[str]:
    return [state.outcome.reason for state in states if isinstance(state.outcome, Failed)]


def images(states: list[State]) -> dict[str, int]:
    return {s.study: s.outcome.slices for s in states if isinstance(s.outcome, Done)}


def test_studies_of_an_archive_that_is_killed_in_the_middle_are_all_done_in_the_end(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with Archive(tmp_path / "orthanc") as archive:
        for study in STUDIES:
            for number in range(1, 4):
                archive.store(image_bytes(study, f"{study}.{number}"))
        found = studies_at(archive.server(), query_of([]))
        assert [study.name for study in found.studies] == STUDIES
        assert found.problems == ()

        out.mkdir()
        for study in STUDIES[2:]:
            held(out, study).touch()

        def kill(done: int, _every: int) -> None:
            if done == 2:
                archive.kill()
                for study in STUDIES[2:]:
                    held(out, study).unlink()

        states = run(found, SET, Wanted(out, engine=Processes(MODULE)), kill)
        assert len(images(states)) == 2
        assert len(reasons(states)) == 4
        assert all("can't be reached" in reason for reason in reasons(states))
        archive.start()
        assert run(found, SET, Wanted(out, engine=Processes(MODULE))) == states
        again = Wanted(out, engine=Processes(MODULE), retry_failed=True)
        assert images(run(found, SET, again)) == dict.fromkeys(STUDIES, 3)
        results = {p.parent.name: p.read_text("ascii") for p in out.glob("studies/*/result.json")}
        assert results == {study: study for study in STUDIES}
        _a_study_that_grew_is_done_again(archive, out)


def _a_study_that_grew_is_done_again(archive: Archive, out: Path) -> None:
    archive.store(image_bytes(STUDIES[0], f"{STUDIES[0]}.4"))
    found = studies_at(archive.server(), query_of([f"StudyInstanceUID={STUDIES[0]}"]))
    assert [study.name for study in found.studies] == STUDIES[:1]
    states = run(found, SET, Wanted(out, engine=Processes(MODULE)))
    assert images(states) == {STUDIES[0]: 4}
