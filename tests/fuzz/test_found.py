"""What the fuzzer found once, and what it begins with: replayed without it."""

import sys
from collections.abc import Iterator

import pytest

from tests.fuzz.dicom_mutation import mutator
from tests.fuzz.target import Work
from tests.fuzz.targets import TARGETS

if sys.platform == "win32":
    pytest.skip("the harnesses work in POSIX folders", allow_module_level=True)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.close()


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_and_what_is_right_end_as_they_may(name: str, work: Work) -> None:
    attempt = TARGETS[name].open(work)
    for path in TARGETS[name].found():
        attempt(path.read_bytes())
    for seed in TARGETS[name].seeds():
        attempt(seed)


@pytest.mark.parametrize("name", ["dicom-file", "dicom-folder"])
def test_a_hundred_mutations_of_one_element_end_as_they_may(name: str, work: Work) -> None:
    target = TARGETS[name]
    attempt = target.open(work)
    mutate = mutator(folder=name == "dicom-folder")
    data = target.seeds()[0]
    for number in range(100):
        attempt(mutate(data, target.longest, number))
