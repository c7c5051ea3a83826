"""What an nnU-Net's channels stand for: dataset.json's labels, or regions made of labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.nnunet_files import Reading
from vfx_edge.manifest import JointParameters
from vfx_edge.manifest.classes import meanings, several_problem, table_problem
from vfx_edge.study import Level

MAX_CLASSES = 255
AGAIN = "train it again with a label for each vertebra, or with regions that do not overlap"


@dataclass(frozen=True)
class Labels:
    """names: the dataset's own, by channel. regions: the labels of each channel, where the network
    was trained on regions: then a later channel is painted over an earlier one, background is what
    none covers, and no channel stands for it."""

    names: tuple[str, ...]
    regions: tuple[frozenset[int], ...] = ()

    @property
    def activation(self) -> str:
        return "sigmoid" if self.regions else "softmax"


def labels_of(read: Reading, dataset: Mapping[str, Any]) -> Labels:
    """As nnU-Net's label manager reads them; NotExportable for what it would not take."""
    table = read.table(dataset, "labels", "dataset.json")
    given = {str(k): _numbers(read, str(k), value) for k, value in table.items() if k != "ignore"}
    if given.get("background") != [0] or not 2 <= len(given) <= MAX_CLASSES:
        raise read.refused("dataset.json has no usable list of labels with 0 as background")
    if odd := [name for name in given if not name.isprintable() or not 0 < len(name.strip()) < 80]:
        raise read.refused(f"a label has the odd name {odd[0][:80]!r}", "rename it in dataset.json")
    if any(len(numbers) > 1 for numbers in given.values()):
        return _regions(read, given, dataset.get("regions_class_order"))
    by_number = {number: name for name, (number,) in given.items()}
    if len(by_number) < len(given):
        raise read.refused("two of its labels have the same number")
    return Labels(tuple(by_number[number] for number in sorted(by_number)))


def _numbers(read: Reading, name: str, value: Any) -> list[int]:
    try:
        return [int(one) for one in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError) as error:
        raise read.refused(f"the label '{name}' has no number") from error


def _regions(read: Reading, given: Mapping[str, list[int]], order: Any) -> Labels:
    """Without the background. order: the label that each region is painted with."""
    named = {name: frozenset(numbers) for name, numbers in given.items() if name != "background"}
    if not isinstance(order, list) or len(order) != len(named):
        raise read.refused("dataset.json has no 'regions_class_order' with a label a region")
    for label, (name, numbers) in zip(order, named.items(), strict=True):
        if label not in numbers or 0 in numbers:
            raise read.refused(f"the region '{name}' does not hold the label it is painted with")
    return Labels(tuple(named), tuple(named.values()))


def meant(read: Reading, labels: Labels, table: Mapping[str, str]) -> tuple[str, ...]:
    """What each channel means by [network.classes]; NotExportable where that can't be run."""
    kinds = [JointParameters]
    if problem := table_problem(labels.names, table, kinds):
        raise read.refused(problem, "correct --map")
    means = meanings(labels.names, table, with_levels=True)
    if not set(means) & set(Level):
        shown = [name for name in labels.names if name != "background"]
        why = f"its classes ({', '.join(shown):.80}) tell no vertebra from another"
        known = "say with --map NAME=L1 which level a class is, or " * (len(shown) > 1)
        raise read.refused(why, f"{known}train with a class for each level, such as vertebrae_L1")
    if problem := several_problem(labels.names, means, whole=not labels.regions, joint=True):
        raise read.refused(problem.partition(",")[0], "leave all but one out with --map NAME=")
    _check_painting(read, labels, means)
    return means


def _check_painting(read: Reading, labels: Labels, means: tuple[str, ...]) -> None:
    """What is painted over a vertebra later must be no part of it: it would leave a hole."""
    for i, region in enumerate(labels.regions):
        for j in range(i + 1, len(labels.regions)):
            if means[i] in set(Level) and region & labels.regions[j]:
                why = f"its region '{labels.names[j]}' covers a part of '{labels.names[i]}'"
                raise read.refused(why, AGAIN)
