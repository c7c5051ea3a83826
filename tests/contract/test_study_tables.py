"""The study's own tables by the real command: labels.csv and files of answers in, figures out.

The counts are those of Foreman et al. 2024; no network runs, so no CT is needed.
"""

import csv
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.contract.conftest import Answer, call

MALIGNANT, OSTEOPOROTIC = "malignant", "osteoporotic"
LABELS = (MALIGNANT, OSTEOPOROTIC)
# split -> (malignant, osteoporotic): all; those that approach 1 has right; of approach 2 and its
# third tier those told apart rightly, wrongly, and the uncertain ones with p above and below 0.5
COUNTS = {
    "test": {"all": (49, 37), "one": (38, 32), "right": (34, 26), "wrong": (2, 4),
             "above": (6, 0), "below": (7, 7)},
    "external": {"all": (35, 30), "one": (26, 20), "right": (25, 14), "wrong": (4, 7),
                 "above": (3, 2), "below": (3, 7)},
}  # fmt: skip
READERS = {
    "2years": {"test": (33, 26), "external": (23, 22)},
    "4years": {"test": (35, 26), "external": (24, 22)},
    "7years": {"test": (42, 32), "external": (25, 21)},
}
NUMBER = r"(\d\.\d\d)"


def other(label: str) -> str:
    return LABELS[1 - LABELS.index(label)]


def cases(split: str) -> Iterable[tuple[str, str, int, int]]:
    """Study, label, its number among those of the label, and which label: 0 or 1."""
    for side, label in enumerate(LABELS):
        for number in range(COUNTS[split]["all"][side]):
            yield f"{split}-{label}-{number:02}", label, number, side


def told_apart(split: str, label: str, number: int, side: int) -> tuple[float, str]:
    """p(malignant) of approach 2, and the tier that the thresholds of approach 3 make of it."""
    towards = 0.97 if label == MALIGNANT else 0.02
    away = 0.03 if label == MALIGNANT else 0.93
    parts = (("right", towards, label), ("wrong", away, other(label)),
             ("above", 0.7, "uncertain"), ("below", 0.3, "uncertain"))  # fmt: skip
    for part, p, tier in parts:
        if number < (of := COUNTS[split][part][side]):
            return p, tier
        number -= of
    raise AssertionError("more cases than counts")


def write(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study as a department would have it: one fracture of each of 151 patients."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "data").mkdir()
    labels, one, two = [], [], []
    every = [(split, *case) for split in COUNTS for case in cases(split)]
    for split, study, label, number, side in every:
        said = [label if number < of[split][side] else other(label) for of in READERS.values()]
        labels.append((study, f"p-{study}", "L1", label, split, *said))
        right = number < COUNTS[split]["one"][side]
        one.append((study, "L1", 0.8 if right == (side == 0) else 0.3))
        two.append((study, "L1", *told_apart(split, label, number, side)))
    header = ("study", "patient", "level", "label", "split")
    readers = [f"reader_{name}" for name in READERS]
    write(folder / "data" / "labels.csv", (*header, *readers), labels)
    write(folder / "one.csv", ("study", "level", "p_malignant"), one)
    write(folder / "two.csv", ("study", "level", "p_malignant", "tier"), two)
    return folder


@pytest.fixture(scope="module")
def answer(home: Path) -> Answer:
    files = ("--predictions", "approach 1=one.csv", "--predictions", "approach 2=two.csv")
    found = call("evaluate", "data", "-o", "out", *files, cwd=home)
    assert (found.code, found.stderr) == (0, "")
    return found


@pytest.fixture(scope="module")
def terminal(answer: Answer) -> dict[str, str]:
    """What is printed, by the set that it is of."""
    _, test, external = re.split(r"^ (?=Test set|External test set)", answer.stdout, flags=re.M)
    return {"test": test, "external": external}


@pytest.fixture(scope="module")
def page(home: Path, answer: Answer) -> dict[str, str]:
    """The page's text without tags, by the heading of the set that it stands under."""
    assert answer.code == 0
    text = (home / "out" / "evaluation.html").read_text("utf-8")
    parts = re.split(r"<h2>(?:Test set|External test set)</h2>", text)
    words = (html.unescape(re.sub(r"<[^>]+>", " ", part)) for part in parts)
    _, test, external = (re.sub(r"\s+", " ", part) for part in words)
    return {"test": test, "external": external}


TABLES = [
    ("test", "approach 1", (70, 86), None, None, "0.82"),
    ("external", "approach 1", (46, 65), None, None, "0.70"),
    ("test", "approach 2", (73, 86), None, None, "0.85"),
    ("external", "approach 2", (49, 65), None, None, "0.75"),
    ("test", "approach 2, told apart", (60, 66), 94, 87, "0.91"),
    ("external", "approach 2, told apart", (39, 50), 86, 67, "0.76"),
]


@pytest.mark.parametrize(
    ("split", "name", "right", "sensitivity", "specificity", "balanced"), TABLES
)
def test_the_approaches_stand_on_the_terminal(
    terminal: dict[str, str], split: str, name: str, right: tuple[int, int],
    sensitivity: int | None, specificity: int | None, balanced: str,
) -> None:  # fmt: skip
    count, of = right
    line = next(x for x in terminal[split].splitlines() if re.match(rf" {name} +{of} ", x))
    assert f"({count}/{of})" in line
    shares = [int(share) for share in re.findall(r"(\d+)%", line)]
    assert sensitivity in (None, shares[1])
    assert specificity in (None, shares[2])
    assert re.findall(NUMBER, line)[0] == balanced


@pytest.mark.parametrize(
    ("split", "name", "right", "sensitivity", "specificity", "balanced"), TABLES
)
def test_the_approaches_stand_on_the_page(
    page: dict[str, str], split: str, name: str, right: tuple[int, int],
    sensitivity: int | None, specificity: int | None, balanced: str,
) -> None:  # fmt: skip
    count, of = right
    row = re.search(rf"{name} {of} cases: .*?{count} of {of} .*?{of} cases", page[split])
    assert row, "no such row"
    shares = [int(share) for share in re.findall(r"(\d+)\s%", row[0])]
    assert sensitivity in (None, shares[1])
    assert specificity in (None, shares[2])
    assert re.findall(NUMBER, row[0])[0] == balanced


@pytest.mark.parametrize(
    ("split", "uncertain", "readers"),
    [("test", "20 of 86", ["0.69", "0.71", "0.86"]),
     ("external", "15 of 65", ["0.70", "0.71", "0.71"])],
)  # fmt: skip
def test_so_do_the_uncertain_ones_and_the_readers(
    terminal: dict[str, str], page: dict[str, str], split: str, uncertain: str, readers: list[str]
) -> None:
    assert f"approach 2: {uncertain} uncertain" in terminal[split]
    assert re.search(rf"uncertain, of those answered \d+\s% {uncertain}", page[split])
    lines = [line for line in terminal[split].splitlines() if line.startswith(" reader ")]
    assert [re.findall(NUMBER, line)[0] for line in lines] == readers
    rows = [re.search(rf"{name}, all cases .*?{NUMBER}", page[split]) for name in READERS]
    assert [row[1] for row in rows if row] == readers
