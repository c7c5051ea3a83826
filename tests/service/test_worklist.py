"""The worklist's rows: right after every change, and cheap while there is none."""

import json
import os
import re
import shutil
from pathlib import Path

import pydicom
import pytest

from tests.service.studies import write_slice
from tests.service.worklists import Desk, one_of_each, result
from vfx_edge.service.web.rendering import PageRenderer, Shown


def states(desk: Desk) -> list[str]:
    return [row.state for row in desk.worklist.rows()]


def count_reads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that the spool is asked for from now on."""
    asked: list[str] = []
    results_of = desk.spool.results_of

    def spied(job: str) -> Path | None:
        asked.append(job)
        return results_of(job)

    monkeypatch.setattr(desk.spool, "results_of", spied)
    return asked


def test_only_what_changed_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand finished studies are looked at twice a second."""
    one_of_each(desk)
    before = desk.worklist.rows()
    asked = count_reads(desk, monkeypatch)
    assert desk.worklist.rows() is before
    assert asked == []
    desk.jobs.done(f"{8:024x}")
    after = desk.worklist.rows()
    assert asked == [f"{8:024x}"]
    desk.sending(f"{4:024x}", "LATE")
    assert [one.destination for row in desk.worklist.rows() for one in row.sent][-1] == "LATE"
    assert asked[1:] == [f"{4:024x}"]
    assert {row.job for row in after} == {row.job for row in before}
    desk.receive("1.2.9", "1.2.9.1")
    assert states(desk).count("receiving") == 2


def test_what_is_dropped_and_comes_again_has_its_new_verdict(tmp_path: Path) -> None:
    """The same images make the same job."""
    desk = Desk(tmp_path, show_accession=True)
    for tier, number in (("malignant", "A-1"), ("none_suspected", "A-2")):
        job = desk.add(1)
        images = tmp_path / "studies" / job / "in"
        images.mkdir()
        write_slice(images / "a.dcm", "1.2", "1.2.3", 1)
        header = pydicom.dcmread(images / "a.dcm")
        header.AccessionNumber = number
        header.save_as(images / "a.dcm")
        assert states(desk) == ["waiting"]
        desk.judge(desk.take(), tier, ["L1"])
        (row,) = desk.worklist.rows()
        assert (row.state, row.accession) == (tier, number)
        desk.spool.delete(job)
        desk.jobs.drop(job)
    assert states(desk) == []


def test_it_is_seen_even_if_it_happens_between_two_looks(desk: Desk) -> None:
    job = desk.add(1)
    desk.judge(desk.take(), "malignant", [])
    assert states(desk) == ["malignant"]
    desk.spool.delete(job)
    desk.jobs.drop(job)
    desk.add(1)
    desk.judge(desk.take(), "uncertain", [])
    assert states(desk) == ["uncertain"]
    desk.jobs.retry(job)
    desk.judge(desk.take(), "none_suspected", [])
    assert states(desk) == ["none_suspected"]


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "Advice for none_suspected."),
     ("de", "Kein Verdacht auf Wirbelfraktur, T2–T4 (T5 nicht beurteilbar: Metall im")],
)  # fmt: skip
def test_an_incomplete_all_clear_stands_above_a_complete_one_and_says_why(
    language: str, said: str, desk: Desk
) -> None:
    for minutes_ago, unread in ((9, ("T5",)), (1, ())):
        desk.add(minutes_ago, minutes_ago)
        desk.judge(desk.take(), "none_suspected", [], unread=unread)
    assert states(desk) == ["incomplete", "none_suspected"]
    page = PageRenderer(language).rows(desk.worklist.rows()).html
    first, second = re.findall(r"<tr class.*?</tr>", page, re.DOTALL)
    assert said in first
    assert "#i-incomplete" in first
    assert "#i-none_suspected" in second
    assert "T2–T4" in first
    assert "T2–T4" in second


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "abc"), ("abc", ""), ("abc", "abc"), ("abc", "xabyc"), ("abcd", "bd"), ("abc", "aBc"),
     ("abcd", "xBcdy"), ("abc", "cab")],
)  # fmt: skip
def test_what_has_changed_makes_the_new_list_of_the_old(before: str, after: str) -> None:
    """As the page's script does it. A large letter: the same row with other words."""
    old, new = (Shown(one, {key.lower(): key for key in one}) for one in (before, after))
    change = json.loads(json.dumps(new.change(old)))
    rows = dict(old.rows)
    if "all" not in change:
        for key in change["gone"]:
            del rows[key]
        for html, below in change["put"]:
            items = list(rows.items())
            items.insert([*rows, None].index(below), (html.lower(), html))
            rows = dict(items)
        assert len(change["put"]) < len(new.rows), "no more than what changed"
    assert change.get("all", "".join(rows.values())) == after
    assert change["count"] == len(new.rows)
    assert new.change(None)["all"] == after


def test_what_could_not_be_read_is_said_beside_a_fracture_too(desk: Desk) -> None:
    desk.add(1)
    desk.judge(desk.take(), "osteoporotic", ["L1"], unread=("T5", "T6"))
    page = PageRenderer("en").rows(desk.worklist.rows()).html
    assert "T5–T6 could not be read: metal in or beside the vertebra" in page


def test_a_result_of_the_schema_before_is_still_listed(desk: Desk) -> None:
    job = desk.add(1)
    desk.judge(desk.take(), "none_suspected", [])
    old = result("none_suspected", [])
    del old["triage"]["coverage"], old["findings"]
    (desk.root / "studies" / job / "out" / "result.json").write_text(json.dumps(old))
    assert states(desk) == ["none_suspected"]


def test_results_that_somebody_took_away_or_changed_are_seen_in_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.worklist.CHECK_S", 0.0)
    job = desk.add(1)
    desk.judge(desk.take(), "malignant", [])
    assert states(desk) == ["malignant"]
    results = desk.root / "studies" / job / "out"
    (results / "new").write_text(json.dumps(result("uncertain", [])))
    os.replace(results / "new", results / "result.json")
    assert states(desk) == ["uncertain"]
    shutil.rmtree(results)
    assert states(desk) == ["failed"]


def test_a_broken_result_is_said_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vfx_edge.service.web.worklist.CHECK_S", 0.0)
    job = desk.add(1)
    desk.judge(desk.take(), "malignant", [])
    (desk.root / "studies" / job / "out" / "result.json").write_text("{")
    for _ in range(3):
        (row,) = desk.worklist.rows()
        assert (row.state, row.reason) == ("failed", "The result can't be read.")
    assert caplog.text.count("can't be read") == 1
