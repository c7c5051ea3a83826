"""Answers that somebody has changed, results of others, and what a record may hold."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.scoring.played_studies import dataset, wanted
from vfx_edge.crew.records import FOLDER, Records, key_of
from vfx_edge.scoring.answers import Answer, Failed, Known, Seen
from vfx_edge.scoring.results import ResultMissing, result_of
from vfx_edge.scoring.run import evaluate

GOOD = Answer((Seen("L1", p_malignant=0.9, p_osteoporotic=0.1),), (Known("L1", True, 0),), "")
CHANGES: dict[str, dict[str, Any]] = {
    "a chance of 2": {"seen": [{"level": "L1", "p_malignant": 2}]},
    "both chances": {"seen": [{"level": "L1", "p_malignant": 0.9, "p_osteoporotic": 0.9}]},
    "no level": {"seen": [{"level": "<b>L1</b>"}]},
    "no tier": {"seen": [{"level": "L1", "tier": "Doe^Jane"}]},
    "no reason": {"seen": [{"level": "L1", "reason": "Doe^Jane"}]},
    "nowhere": {"seen": [{"level": "L1", "lps_mm": [1e300, 0, 0]}]},
    "no known level": {"known": [{"level": "X9", "whole": True}]},
    "a finding that is not there": {"known": [{"level": "L1", "whole": True, "finding": 1}]},
    "the last but one finding": {"known": [{"level": "L1", "whole": True, "finding": -1}]},
    "no verdict": {"tier": "perhaps"},
    "no sentence": {"failure": "a\x1b[31mb"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_record_that_cant_be_ours_is_asked_again(tmp_path: Path, change: dict[str, Any]) -> None:
    records = Records(tmp_path, "set", Answer)
    records.write("s", "key", GOOD)
    assert records.read("s", "key") == GOOD
    path = records.path("s")
    content = json.loads(path.read_bytes())
    content["outcome"] |= change
    path.write_text(json.dumps(content), encoding="utf-8")
    assert records.read("s", "key") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_a_pipe_is_no_record(tmp_path: Path) -> None:
    path = Records(tmp_path, "set", Answer).path("s")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert Records(tmp_path, "set", Answer).read("s", "key") is None


def test_changed_records_give_the_same_rows(tmp_path: Path) -> None:
    once = wanted(dataset(tmp_path / "data", {"a": "is good", "b": "is good"}), tmp_path / "out")
    first = evaluate(once).rows
    (record,) = (tmp_path / "out" / FOLDER).glob("*/a-*.json")
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace('"p_malignant":0.9', '"p_malignant":9'), encoding="utf-8")
    assert record.read_text(encoding="utf-8") != text
    assert evaluate(once).rows == first


def test_a_failure_names_no_file_of_the_study(tmp_path: Path) -> None:
    """Whatever the error itself keeps to itself."""
    data = dataset(tmp_path / "data", {"a": "names its file"})
    (row,) = evaluate(wanted(data, tmp_path / "out")).rows.studies
    assert row.failure == "a file of the study is damaged: send a file of the study anew."


def test_an_answer_that_cant_be_told_costs_its_study_alone(tmp_path: Path) -> None:
    studies = {"a": "says inf", "b": "is good"}
    a, b = evaluate(wanted(dataset(tmp_path / "data", studies), tmp_path / "out")).rows.studies
    assert "ended in a bug" in a.failure
    assert b.failure == ""


def test_an_answer_in_itself_is_checked() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"seen": [], "known": [{"level": "L1", "whole": True, "finding": 0}],
                         "tier": ""}, Answer)  # fmt: skip


@pytest.mark.parametrize("name", ["../s", "/etc", "ü" * 200, "😀" * 199, "loop", "a/../../s"])
def test_results_are_looked_for_in_their_folder_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "result.json").write_text("{}", encoding="utf-8")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "loop").symlink_to("loop")
    with pytest.raises(ResultMissing):
        result_of(tmp_path / "results", name)


def test_a_folder_of_more_than_a_study_is_not_walked_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.crew.records.MAX_FILES", 3)
    for place in range(4):
        folder = tmp_path / str(place)
        folder.mkdir()
        for name in range(2):
            (folder / str(name)).touch()
    walked = 0
    walk = os.walk

    def counting(top: Path) -> Any:
        nonlocal walked
        for step in walk(top):
            walked += 1
            yield step

    monkeypatch.setattr(os, "walk", counting)
    assert key_of([tmp_path], {})
    assert walked == 3


def test_failed_is_kept(tmp_path: Path) -> None:
    records = Records(tmp_path, "set", Answer)
    records.write("s", "key", Failed("no CT."))
    assert records.read("s", "key") == Failed("no CT.")
