"""What the pages about safety and security lean on is there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("SECURITY.md", "docs/safety.md", "docs/ihe.md", "docs/soup.md")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    part = text(page).split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_every_test_and_page_that_is_named_exists(page: str) -> None:
    for path, name in TEST.findall(text(page)):
        assert (ROOT / path).is_file(), path
        assert not name or f"def {name}(" in text(path), f"{path}::{name}"
    for name in re.findall(r"\]\((?!http)([^)#]+)", text(page)):
        assert ((ROOT / page).parent / name).exists(), name


def test_every_hazard_has_a_severity_a_control_and_a_test() -> None:
    hazards = rows("docs/safety.md", "Hazards")
    assert len(hazards) >= 15
    for number, (what, severity, cause, control, test) in enumerate(hazards, 1):
        assert what.startswith(f"H{number} ")
        assert severity in "1234"
        assert cause
        assert control
        assert TEST.search(test), what


def test_every_threat_has_a_control_and_a_test() -> None:
    threats = [row for row in rows("SECURITY.md", "Threats") if not row[0].startswith("**")]
    assert len(threats) >= 15
    for what, control, test in threats:
        assert control, what
        assert TEST.search(test), what


def test_the_soup_list_is_of_the_pinned_versions() -> None:
    """`make sbom` writes it: not a version in it is written by hand."""
    listed = dict(
        re.findall(r"^\| \*{0,2}([\w.-]+?)\*{0,2} \| (\S+) \|", text("docs/soup.md"), re.M)
    )
    found = {_plain(name): version for name, version in listed.items()}
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text("constraints.txt"), re.M))
    pins = {_plain(name): version for name, version in pinned.items()}
    differing = {n: (v, pins[n]) for n, v in found.items() if n in pins and v != pins[n]}
    assert not differing, "run make sbom"
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["service"]]
    names = {_plain(re.split(r"[^\w.-]", one)[0]) for one in wanted}
    assert names - found.keys() <= {"onnxruntime"}, "run make sbom"  # where there is no GPU build


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
