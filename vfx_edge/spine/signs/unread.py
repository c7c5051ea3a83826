"""Vertebrae whose heights can't be read: gas or a gap may be why, and their signs are told."""

from collections.abc import Sequence

from vfx_edge.study import Finding, Measurement, VertebraMask
from vfx_edge.vocabulary import Reason


def unread(mask: VertebraMask, measured: Measurement) -> bool:
    """Whether a whole vertebra is outlined and yet not to be judged by its heights."""
    whole = mask.is_outlined and not mask.touches_edge and mask.vertebra.wholly_in_view
    return whole and measured.reason == Reason.LOW_CONFIDENCE and not measured.suspected_fracture


def said_of_unread(findings: Sequence[Finding]) -> tuple[str, ...]:
    """A sentence for each that is not judged and has signs outside their norm."""
    sentences = []
    for finding in findings:
        names = [sign.name for sign in finding.signs if sign.is_abnormal]
        if names and finding.measurement.reason == Reason.LOW_CONFIDENCE:
            sentences.append(
                f"The heights of {finding.vertebra.level} can't be judged, and signs of it lie "
                f"outside their norm ({', '.join(names)}): look at it."
            )
    return tuple(sentences)
