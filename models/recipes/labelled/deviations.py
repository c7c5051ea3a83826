"""What a training here does otherwise than the study that it follows (Foreman et al. 2024)."""

from models.recipes.labelled.report import Wanted
from models.recipes.labelled.shown import BEND_MM, BEND_NODES, DEGREES, ZOOM
from models.recipes.labelled.split import TEST_SHARE, VALIDATION_SHARE

Deviation = tuple[str, str, str]


def deviations(wanted: Wanted) -> list[Deviation]:
    """(what, in the study, here), of one training."""
    return [*_always(wanted), *_chosen(wanted)]


def _always(wanted: Wanted) -> list[Deviation]:
    schedule = wanted.schedule
    return [
        ("axes", "towards feet, front, left", "towards head, back, left: the network is taught "
         "anew, so that any will do"),
        ("outside the vertebra, and beyond the scan", "blanked; the code pads with the crop's mean",
         "-1024 HU, as in `vfx-edge run`"),
        ("centre of the crop", "centroid of the mask, rounded to a voxel",
         "centre of the vertebral body, between voxels"),
        ("crop", "64³ (paper) or 70³ (code)", "64³"),
        ("masks", "by three networks, all checked by hand", "experts' where there are any, else "
         "the chain's own, unchecked; counted above"),
        ("elastic grid, zoom", "named without amounts",
         f"{BEND_NODES}³ nodes moved by {BEND_MM:g} mm (standard deviation); ± {ZOOM:.0%}"),
        ("rotation", "± 10° in the sagittal plane", f"± {DEGREES:g}°, all angles alike"),
        ("early stopping", "on the validation loss, patience not told",
         f"after {schedule.patience} epochs without a lower one"),
        ("split", "by patient, 18 % held out; size of the validation part not told",
         f"by patient: the file's own, else {TEST_SHARE:.0%} held out and {VALIDATION_SHARE:.0%} "
         "of the others for validation"),
        ("vertebrae of a patient", "one fracture a patient in both tests", "all fractures that are "
         "labelled"),
        ("arithmetic", "not told", "bf16 in training, weights in fp32"),
    ]  # fmt: skip


def _chosen(wanted: Wanted) -> list[Deviation]:
    """What an option changed."""
    plan, schedule = wanted.plan, wanted.schedule
    found: list[Deviation] = []
    if plan.network == "slices":
        found.append(("network", "one that sees the whole crop", "a ResNet-50 that sees three "
                      "sagittal slices at a time, as in Li et al., another study"))  # fmt: skip
    if schedule.batch != 32:
        found.append(("batch", "32", str(schedule.batch)))
    if schedule.rate != 1e-4:
        found.append(("learning rate", "1e-4", f"{schedule.rate:g}"))
    if schedule.minutes is not None:
        found.append(("time", "as long as it took", f"at most {schedule.minutes:g} minutes"))
    if schedule.balance:
        found.append(("class weights", "none", "inverse to the classes' counts"))
    if not plan.masked:
        found.append(("mask", "all but the vertebra blanked", "none"))
    if plan.window != "study":
        found.append(("window", "-1000..3500 HU to 0..1.8", "-300..1200 HU to -2.2..3.8"))
    if plan.role == "detector":
        found.append(("question", "osteoporotic or malignant", "intact or fractured: the study "
                      "detects nothing"))  # fmt: skip
    if plan.recipe == "ours" and plan.role == "classifier":
        found.append(("answers", "two", "a third, unknown, by the distance from the crops taught"))
        found.append(("temperature, thresholds", "1; 0.85 and 0.95", "chosen for these crops"))
    if plan.recipe == "ours":
        found.append(("views", "one", "the mirror image too; the less sure answer holds"))
    return found
