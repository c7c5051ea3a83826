"""Which patients teach, which say when to stop, which are scored. Never is one in two parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vfx_edge.errors import InputError
from vfx_edge.labelled.dataset import Split

TEST_SHARE = 0.18
"""Of the patients, as in the study."""
VALIDATION_SHARE = 0.15
"""Of the others; the study does not say."""
FEWEST = 2
"""Patients of each class to learn from, below which there is nothing to train."""


class OneClass(InputError):
    """All labels say the same."""

    def __init__(self, there: str, missing: str) -> None:
        super().__init__(
            f"only '{there}' is labelled and nothing is '{missing}': a network learns to tell two "
            "classes apart, label vertebrae of the other one too"
        )


class TooFewPatients(InputError):
    """A part of the split lacks a class."""

    def __init__(self, part: str, lacking: str, count: int, needed: int) -> None:
        super().__init__(
            f"the {part} part has {count} patient{'' if count == 1 else 's'} with '{lacking}' and "
            f"needs {needed} or more: label more patients, or move some to '{part}' in the column "
            "split of labels.csv"
        )


@dataclass(frozen=True)
class Person:
    """A patient in what is trained on. classes: those of the patient's vertebrae."""

    name: str
    classes: frozenset[int]
    split: str = ""


def parts(people: Sequence[Person], seed: int) -> dict[str, Split]:
    """Patient -> part. The file's own split holds where there is one; what it leaves open is
    drawn, stratified by label: 18 % to test if it has no test, 15 % of the rest to validation."""
    given = {person.name: Split(person.split) for person in people if person.split}
    rest = [person for person in people if person.name not in given]
    drawn: dict[str, Split] = {}
    if not given:
        drawn |= dict.fromkeys(some(rest, TEST_SHARE, seed), Split.TEST)
    drawn |= {person.name: Split.TRAIN for person in rest if person.name not in drawn}
    whole = given | drawn
    if Split.VALIDATION not in whole.values():
        taught = [person for person in people if whole[person.name] is Split.TRAIN]
        chosen = some(taught, VALIDATION_SHARE, seed + 1)
        whole |= dict.fromkeys(chosen, Split.VALIDATION)
    return whole


def folds(people: Sequence[Person], count: int, seed: int) -> dict[str, int]:
    """Patient -> fold 0..count-1, each with its share of every label."""
    found: dict[str, int] = {}
    for members in _by_label(people).values():
        for name in _shuffled(members, seed + 2):
            found[name] = len(found) % count
    return found


def check(people: Sequence[Person], split: Mapping[str, Split], classes: Sequence[str]) -> None:
    """OneClass or TooFewPatients where nothing can be trained."""
    for number, name in enumerate(classes):
        if not any(number in person.classes for person in people):
            raise OneClass(classes[1 - number], name)
    for part, needed in ((Split.TRAIN, FEWEST), (Split.VALIDATION, 1)):
        for number, name in enumerate(classes):
            members = [p for p in people if split[p.name] is part and number in p.classes]
            if len(members) < needed:
                raise TooFewPatients(part.value, name, len(members), needed)


def _by_label(people: Sequence[Person]) -> dict[tuple[int, ...], list[str]]:
    found: dict[tuple[int, ...], list[str]] = {}
    for person in sorted(people, key=lambda p: p.name):
        found.setdefault(tuple(sorted(person.classes)), []).append(person.name)
    return dict(sorted(found.items()))


def some(people: Sequence[Person], share: float, seed: int) -> list[str]:
    """A share of each label's patients, at least one where there are three."""
    chosen = []
    for members in _by_label(people).values():
        count = max(round(share * len(members)), int(len(members) > FEWEST))
        chosen += _shuffled(members, seed)[:count]
    return chosen


def _shuffled(names: Sequence[str], seed: int) -> list[str]:
    return [names[int(i)] for i in np.random.default_rng(seed).permutation(len(names))]
