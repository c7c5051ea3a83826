"""All harnesses, by name."""

from tests.fuzz import dicom_targets, network_target, other_targets
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (dicom_targets, other_targets, network_target)
    for target in module.TARGETS
}
