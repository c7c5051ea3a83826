"""Every case of the corpus: read as it should be, or refused in the sentence it should be."""

import os
import sys
from pathlib import Path

import pytest

from tests.hostile.corpus import CASES
from tests.hostile.verdicts import verdicts

if sys.platform == "win32":
    pytest.skip("the corpus has pipes, sockets and names in bytes", allow_module_level=True)

OPEN = frozenset(filter(None, (Path(__file__).parent / "open.txt").read_text("utf-8").split("\n")))
"""Cases that are known to fail."""
HERE = {
    title
    for title, case in CASES.items()
    if not case.slow and not (case.without_root and os.geteuid() == 0)
}


@pytest.fixture(scope="module")
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What is wrong with each case that is asked for."""
    mine = [item for item in request.session.items if item.path == Path(__file__)]
    parameters = [getattr(item, "callspec", None) for item in mine]
    asked = [one.params["title"] for one in parameters if one is not None]
    return dict(verdicts(asked, tmp_path_factory.mktemp("corpus")))


@pytest.mark.parametrize(
    "title",
    [
        pytest.param(title, marks=[pytest.mark.xfail(reason="open")] * (title in OPEN))
        for title in sorted(HERE)
    ],
)
def test_case(title: str, found: dict[str, list[str]]) -> None:
    assert found[title] == []


def test_the_corpus_is_large_and_every_open_case_is_one_of_it() -> None:
    assert len(CASES) >= 300
    assert CASES.keys() >= OPEN
