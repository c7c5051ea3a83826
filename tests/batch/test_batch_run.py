"""A batch over worker processes: what is killed, resumed, refused, and what the summary says."""

import csv
import json
from pathlib import Path

import psutil
import pytest
from pyarrow import parquet

from tests.batch.played_batch import GOOD, asked, folder_of, wanted
from vfx_edge.batch.outcomes import Done
from vfx_edge.batch.run import NoBatch, OtherBatch, Shard, State, run, states_of
from vfx_edge.batch.summary import write_summary
from vfx_edge.crew.outcomes import Failed
from vfx_edge.crew.records import Records
from vfx_edge.fracture_task import Options
from vfx_edge.manifest import load_model_set

SET = load_model_set("default")
ABOUT = {
    "model": "default",
    "shard": "",
    "problems": [{"place": "line 3", "why": "does not exist", "lost": True}],
    "seconds": 1.0,
    "ended_at": "now",
    "workers": 1,
}


def outcomes(states: list[State]) -> list[str]:
    return sorted("done" if isinstance(s.outcome, Done) else str(s.outcome) for s in states)


def test_a_killed_worker_costs_no_study_and_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    found = folder_of(data, {"a": "is good", "b": "dies once", "c": "is refused"})
    states = run(found, SET, wanted(out))
    refused = "a file of the study holds no CT: send another study."
    assert outcomes(states) == [str(Failed(refused)), "done", "done"]
    assert asked(data) == {"a": 1, "b": 2, "c": 1}
    assert run(found, SET, wanted(out)) == states
    (out / "studies" / found.studies[0].name / "result.json").unlink()
    run(found, SET, wanted(out))
    assert sum(asked(data).values()) == 5
    with pytest.raises(OtherBatch, match="levels"):
        run(found, SET, wanted(out, options=Options(levels="L1")))
    assert states_of(out)[1] == states


def test_a_stop_loses_nothing_and_leaves_no_process(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    found = folder_of(data, {"a": "is good", "b": "is good", "c": "is good"})
    before = set(psutil.Process().children())

    def stop(done: int, _every: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(found, SET, wanted(out), stop)
    assert set(psutil.Process().children()) <= before
    assert outcomes(states_of(out)[1]) == ["None", "done", "done"]
    assert outcomes(run(found, SET, wanted(out))) == ["done"] * 3
    results = list(out.glob("studies/*/result.json"))
    assert len(results) == 3


def test_shards_share_all_studies_and_none_twice() -> None:
    names = [f"1.2.{number}" for number in range(200)]
    shards = [{name for name in names if Shard(i, 3).has(name)} for i in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == sorted(names)
    assert all(40 < len(shard) < 95 for shard in shards)


@pytest.mark.parametrize("lost", [True, False])
def test_the_page_says_all_is_done_only_where_no_path_is_lost(tmp_path: Path, lost: bool) -> None:
    problems = [{"place": "line 4", "why": "is not as it should be", "lost": lost}]
    page = write_summary(tmp_path, [State("1.2", GOOD)], ABOUT | {"problems": problems})
    text = page.read_text("utf-8")
    assert ("None failed" in text, "count" in text, "Failures" in text) == (not lost, lost, lost)


def test_the_summary_has_a_row_a_study_in_both_tables_and_on_the_page(tmp_path: Path) -> None:
    states = [State("1.2", GOOD), State("1.3", Failed("<b>no</b> CT")), State("1.4", None)]
    page = write_summary(tmp_path, states, ABOUT)
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["state"] for row in rows] == ["done", "failed", "open"]
    same = parquet.read_table(tmp_path / "summary.parquet").to_pylist()
    assert [str(row["seconds"] or "") for row in same] == [row["seconds"] for row in rows]
    assert same[0]["levels"] == "L1"
    assert same[1]["tier"] is None
    text = page.read_text("utf-8")
    assert "1 of 3 studies done" in text
    assert "&lt;b&gt;no&lt;/b&gt; CT" in text
    assert "<script" not in text


@pytest.mark.parametrize(
    "text",
    [
        '{"schema":"vfx-edge/batch/1"}',
        '{"schema":"vfx-edge/batch/1","about":[1],"studies":3,"model":{},"problems":7}',
        '{"schema":"vfx-edge/batch/1","about":{},"studies":[["a"]],"model":"m","problems":[]}',
        "[" * 200_000,
    ],
)
def test_a_batch_json_that_is_none_is_no_batch(tmp_path: Path, text: str) -> None:
    (tmp_path / "batch.json").write_text(text, encoding="utf-8")
    with pytest.raises(NoBatch):
        states_of(tmp_path)


def _as_stranger(out: Path, **facts: object) -> None:
    about = {"schema": "vfx-edge/batch/1", "model": "m", "about": {}, "studies": [], "problems": []}
    (out / "batch.json").write_text(json.dumps(about | facts), encoding="utf-8")


@pytest.mark.parametrize("name", ["../../etc", "=cmd()", "1.2\n", "..", "/1.2", "Doe^Jane", "<b>"])
def test_a_summary_names_no_study_that_a_stranger_made_up(tmp_path: Path, name: str) -> None:
    _as_stranger(tmp_path, studies=["1.2", name])
    with pytest.raises(NoBatch):
        states_of(tmp_path)


def test_what_a_stranger_wrote_into_records_is_text_in_every_table(tmp_path: Path) -> None:
    """No formula, no HTML, no line of its own; and a record of another study is none."""
    evil = "=HYPERLINK(1)<script>alert(1)</script>"
    _as_stranger(
        tmp_path,
        model=evil,
        studies=["1.2", "1.3", "1.3", "1.4"],
        problems=[{"place": evil, "why": evil, "lost": False}],
    )
    records = Records(tmp_path, "batch", Done, "records")
    records.write("1.2", "key", Failed(evil))
    records.write("1.3", "key", Failed("two\nlines"))
    records.path("1.4").write_bytes(records.path("1.2").read_bytes())
    facts, states = states_of(tmp_path)
    assert [state.outcome for state in states] == [Failed(evil), None, None]
    page = write_summary(tmp_path, states, ABOUT | facts)
    assert "<script" not in page.read_text("utf-8")
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["reason"] == f"'{evil}"
