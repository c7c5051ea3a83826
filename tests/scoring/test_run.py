"""An evaluation over worker processes: what dies, is stopped or changed, and what is kept."""

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.played_studies import PATIENT, asked, dataset, wanted
from tests.waiting import eventually
from vfx_edge.crew.records import FOLDER, Records
from vfx_edge.errors import ModelError
from vfx_edge.scoring.answers import Answer, Failed
from vfx_edge.scoring.run import SameName, Source, evaluate

STUDIES = {
    "good": "is good",
    "dead": "dies",
    "bug": "has a bug",
    "refused": "is refused",
    "lost": "loses the backend",
    "last": "is good",
}


def test_a_study_that_fails_costs_no_other_one(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", STUDIES)
    rows = evaluate(wanted(data, tmp_path / "out")).rows
    reasons = {row.study: row.failure for row in rows.studies}
    assert [name for name, why in reasons.items() if not why] == ["good", "last"]
    assert "signal 9" in reasons["dead"]
    assert "ValueError, played_studies.py line" in reasons["bug"]
    assert reasons["refused"] == "a file of the study holds no CT: send another study."
    assert PATIENT not in "".join(reasons.values())
    failed = {row.study: (row.label, row.reason) for row in rows.vertebrae if row.reason}
    assert failed == dict.fromkeys(("dead", "bug", "refused", "lost"), ("malignant", "failed"))
    assert {row.p_malignant for row in rows.vertebrae if not row.reason} == {0.9}


def test_after_a_backend_was_lost_the_next_study_has_a_process_that_begins_anew(
    tmp_path: Path,
) -> None:
    data = dataset(tmp_path / "data", {"moved": "goes on elsewhere", "next": "is good"})
    rows = evaluate(wanted(data, tmp_path / "out")).rows
    assert not any(row.failure for row in rows.studies)
    assert len({one.path.with_suffix(".pid").read_text() for one in data.studies}) == 2


def test_only_what_is_missing_or_changed_is_asked_again(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", STUDIES)
    once = wanted(data, tmp_path / "out")
    first = evaluate(once).rows
    assert asked(data) == [1] * 6
    assert evaluate(once).rows == first
    assert asked(data) == [1] * 6
    data.studies[0].path.write_text("is good, and otherwise", encoding="utf-8")
    (record,) = (tmp_path / "out" / FOLDER).glob("*/last-*.json")
    record.write_bytes(record.read_bytes()[:-20])
    assert evaluate(once).rows == first
    assert asked(data) == [2, 1, 1, 1, 1, 2]
    evaluate(replace(once, retry_failed=True))
    assert asked(data) == [2, 2, 2, 2, 2, 2]
    evaluate(replace(once, masks="given"))
    assert asked(data) == [3] * 6


def test_what_was_answered_survives_a_stop(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", ENDLESS)
    before = set(psutil.Process().children())

    def stop(_name: str, done: int, _every: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(wanted(data, tmp_path / "out"), stop)
    assert set(psutil.Process().children()) <= before
    data.studies[2].path.write_text("is good", encoding="utf-8")
    rows = evaluate(wanted(data, tmp_path / "out")).rows
    assert not any(row.failure for row in rows.studies)
    assert asked(data)[:2] == [1, 1]


ENDLESS = {"one": "is good", "two": "is good", "endless": "hangs"}
KILLED = """
import sys
from pathlib import Path
from tests.scoring.played_studies import dataset, wanted
from tests.scoring.test_run import ENDLESS
from vfx_edge.scoring.run import evaluate
folder = Path(sys.argv[1])
evaluate(wanted(dataset(folder / "data", ENDLESS), folder / "out"))
"""


def test_a_kill_loses_no_answer_and_leaves_no_process(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", ENDLESS)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    kept = tmp_path / "out" / FOLDER

    def hangs() -> bool:
        return asked(data)[2] == 1 and len(list(kept.glob("*/*.json"))) == 2

    assert eventually(lambda: hangs() or process.poll() is not None)
    assert process.poll() is None
    workers = psutil.Process(process.pid).children()
    assert workers
    process.kill()
    process.wait()
    assert eventually(lambda: not any(worker.is_running() for worker in workers))
    data.studies[2].path.write_text("is good", encoding="utf-8")
    rows = evaluate(wanted(data, tmp_path / "out")).rows
    assert not any(row.failure for row in rows.studies)
    assert asked(data) == [1, 1, 2]


def test_a_worker_killed_from_outside_is_followed_by_another(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", {"endless": "hangs", "next": "is good"})

    def kill_once_it_hangs() -> None:
        eventually(lambda: asked(data)[0])
        for child in psutil.Process().children():
            child.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_once_it_hangs)
    killer.start()
    rows = evaluate(wanted(data, tmp_path / "out")).rows
    killer.join()
    assert [bool(row.failure) for row in rows.studies] == [True, False]


def test_several_workers_share_the_studies(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", {str(number): "is good" for number in range(5)})
    rows = evaluate(wanted(data, tmp_path / "out", workers=3)).rows
    assert [row.study for row in rows.studies] == ["0", "1", "2", "3", "4"]
    assert asked(data) == [1] * 5


def test_networks_that_cant_be_opened_end_the_run(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", {"one": "is good"})
    with pytest.raises(ModelError):
        evaluate(wanted(data, tmp_path / "out", models=(Source("", str(tmp_path / "absent")),)))


def test_two_approaches_need_two_names(tmp_path: Path) -> None:
    data = dataset(tmp_path / "data", {"one": "is good"})
    twice = (Source("", "default"), Source("", "default"))
    with pytest.raises(SameName):
        evaluate(wanted(data, tmp_path / "out", models=twice))
    named = (Source("mine", "default"), Source("theirs", "default"))
    rows = evaluate(wanted(data, tmp_path / "out", models=named)).rows
    assert [row.model for row in rows.studies] == ["mine", "theirs"]


NAMES = st.text(max_size=300) | st.sampled_from(["../x", "..", "CON", "a/b", "a\\b", "a", "A", ""])


@given(st.lists(NAMES, min_size=2, max_size=4, unique=True))
def test_a_studys_name_leads_nowhere_else(names: list[str]) -> None:
    folder = Path("/evaluation")
    paths = [Records(folder, "default", Answer).path(name) for name in names]
    home = folder / FOLDER
    assert all(path.parent.parent == home for path in paths)
    assert len({path.name.lower() for path in paths}) == len(names)
    assert all(path.name.isascii() and len(path.name) < 120 for path in paths)


def test_a_name_that_is_none_keeps_its_answer(tmp_path: Path) -> None:
    records = Records(tmp_path, "default", Answer)
    for number, name in enumerate(("../x", "CON", "a/b", "a-b", "Ä\n")):
        records.write(name, "key", Failed(str(number)))
    assert records.read("a/b", "key") == Failed("2")
    assert records.read("a-b", "key") == Failed("3")
    assert records.read("a/b", "other key") is None
