"""The page: headline, every figure with its counts, self-contained, and safe with odd names."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.scoring.cohorts import TWO, random_rows, study_rows
from vfx_edge.labelled.dataset import Problem
from vfx_edge.scoring.about import About
from vfx_edge.scoring.figures import evaluation
from vfx_edge.scoring.page import page
from vfx_edge.scoring.rows import StudyRow, VertebraRow

SET = {
    "name": TWO, "set": "default", "version": "3", "digest": "ab" * 32, "folder": "/secret/place",
    "thresholds": {"height_loss": 0.2, "malignant": 0.85, "osteoporotic": 0.95},
    "calibration": "spring",
}  # fmt: skip
ABOUT = About("a dataset", resamples=30, run={"version": "1.2.3", "model_sets": [SET]})
VOID = {"meta", "link", "br"}
EVIL = "<script>alert(1)</script>\"'&"


class Reader(HTMLParser):
    """Text of a page, its tags, its attributes; fails on a tag that is closed wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def words_of(html: str) -> str:
    return " ".join(" ".join(read(html).words).split())


@pytest.fixture(scope="module")
def study_page() -> str:
    return page(evaluation(*study_rows(), ABOUT))


def test_the_headlines_are_the_studys(study_page: str) -> None:
    words = words_of(study_page)
    for part in (
        "Told apart, and right: 60 of 66, 91 % (82–96 %).",
        "Told apart, and right: 39 of 50, 78 % (65–87 %).",
        "Uncertain, which leads to an MRI: 20 of 86, 23 %",
        "Uncertain, which leads to an MRI: 15 of 65, 23 %",
        "Malignant, but called osteoporotic: 2 of 49, 4 % (1–14 %).",
        f"{TWO}, told apart 66 cases: 36 malignant, 30 osteoporotic 91 % 60 of 66 82–96 "
        "94 % 34 of 36 82–98 87 % 26 of 30 70–95",
        "2 years, all cases 86 cases: 49 malignant, 37 osteoporotic 69 % 59 of 86",
    ):
        assert part in words.replace("\N{NO-BREAK SPACE}", " ")


def test_the_model_sets_stand_there_without_their_folders(study_page: str) -> None:
    words = words_of(study_page)
    assert "default 3; height loss from 0.2 on, malignant from 0.85 on" in words
    assert "calibration spring" in words
    assert "secret" not in study_page


def test_one_file_without_script_that_fetches_nothing(study_page: str) -> None:
    reader = read(study_page)
    assert not reader.tags & {"script", "iframe", "img", "object"}
    assert not {name for name in reader.attributes if name.startswith("on")}
    assert "default-src 'none'" in study_page
    assert not re.findall(r"(?:https?:)?//[a-z]", study_page)
    assert not re.findall(r"url\(|@import", study_page)


def test_whatever_a_stranger_named_is_text() -> None:
    rows, studies = random_rows(24, models=(EVIL,))
    odd: Callable[..., VertebraRow] = lambda row: replace(  # noqa: E731
        row, scanner=EVIL, sex=EVIL, gold_standard=EVIL, level=row.level, reason=EVIL,
        readings={EVIL: ("malignant", "uncertain")},
    )  # fmt: skip
    failed = [StudyRow(EVIL, EVIL, "p", "test", EVIL, EVIL, failure=EVIL)]
    about = replace(ABOUT, dataset=EVIL, problems=(Problem(3, EVIL),), run={EVIL: EVIL})
    html = page(evaluation([odd(row) for row in rows], [*studies, *failed], about))
    reader = read(html)
    assert "script" not in reader.tags
    assert "alert(1)" in "".join(reader.words)
    assert html.count("alert(1)") > 10


@pytest.mark.parametrize("cases", [0, 1, 2, 7])
def test_a_page_of_few_cases_says_what_is_missing(cases: int) -> None:
    words = words_of(page(evaluation(*random_rows(cases, seed=3), ABOUT)))
    assert "None" not in words
    assert "nan" not in words.lower().split()
    if cases == 0:
        assert "can't be scored" in words
        assert "Approaches side by side" not in words
    if cases == 2:
        assert "What could not be computed" in words
        assert "It takes cases of both classes." in words


def test_failures_and_problems_stand_there_and_no_patient() -> None:
    rows = [VertebraRow("m", "study-1", "Secret^Patient", "test", "L1", "malignant", row=2)]
    studies = [StudyRow("m", "study-1", "Secret^Patient", "test", "malignant", failure="No CT.")]
    about = replace(ABOUT, problems=(Problem(None, "labels.csv has no column split."),))
    found: Any = evaluation(rows, studies, about)
    html = page(found)
    assert "Secret" not in html
    words = words_of(html)
    assert "study-1 (m): No CT." in words
    assert "labels.csv has no column split." in words
    assert "not asked 1" in words


def test_probabilities_without_tiers_are_no_missing_answers() -> None:
    vertebrae, studies = study_rows()
    plain = [replace(row, tier="") for row in vertebrae]
    told = evaluation(plain, studies, ABOUT)
    cases = told["classification"]["n"]
    assert told["classification"]["unanswered"] == {"no_tier": cases}
    words = words_of(page(told))
    assert "Without an answer" not in words
    assert "It has probabilities and no tiers" in words
    assert "Malignant from p 0.5 on, right: " in words
