"""The readers beside the classifier: numbers of a vertebra and its patient, and the fusion of all.

A set that has none of them is not touched: neither its results nor its speed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vfx_edge.backends import OpenModels
from vfx_edge.backends.protocol import Network
from vfx_edge.image import Image
from vfx_edge.manifest import FusionParameters, ModelManifest, RowParameters
from vfx_edge.manifest.roles import NETWORK, TABULAR
from vfx_edge.second_reader import CLINICAL, SIGN, ReaderAnswer
from vfx_edge.spine.classify import tier_by
from vfx_edge.study import NOTHING_KNOWN, Classified, Clinical, Finding, VertebraMask

FUSION = "fusion"
LEAST = 1e-6
"""Nearer to 0 and 1 no probability is taken: 32 bits tell no more."""


class Read(NamedTuple):
    """The findings, and what is to be said of features that nobody knew: sentences."""

    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()


def log_odds(p_osteoporotic: float, p_malignant: float) -> float:
    """ln(p(malignant) / p(osteoporotic)): what a fusion reads of an answer."""
    return math.log(max(p_malignant, LEAST) / max(p_osteoporotic, LEAST))


def asks_signs(manifest: ModelManifest) -> bool:
    """Whether the set's tabular network was taught measured signs."""
    if TABULAR not in manifest.roles:
        return False
    names = manifest.network(TABULAR).parameters_of(RowParameters).names
    return any(name.startswith(SIGN) for name in names)


def second_readers(
    image: Image,
    masks: Sequence[VertebraMask],
    findings: tuple[Finding, ...],
    models: OpenModels,
    given: Clinical,
    header: Clinical = NOTHING_KNOWN,
) -> Read:
    """What tabular network and fusion say of each fracture that the classifier answered. masks: of
    the findings, in their order. given: facts of the patient, which come before the header's.

    With a fusion its thresholds set the tier; where it can't be asked, the classifier's word stays.
    """
    if TABULAR not in models.manifest.roles:
        return Read(findings, (_unread(models.manifest.name),) if given.known else ())
    clinical = given.completed(header)
    tabular = models.network(TABULAR)
    fusion = models.network(FUSION) if FUSION in models.manifest.roles else None
    read: list[Finding] = []
    missed: dict[str, None] = {}
    for finding, mask in zip(findings, masks, strict=True):
        if isinstance(finding.assessment, Classified):
            row = row_of(finding, image, mask, clinical, tabular.spec.parameters_of(RowParameters))
            missed |= dict.fromkeys(row.missing)
            finding = replace(finding, assessment=_read(finding.assessment, row, tabular, fusion))
        read.append(finding)
    return Read(tuple(read), _remarks(tuple(missed), tabular))


@dataclass(frozen=True)
class FeatureRow:
    """values: in the network's order, NaN for none. missing: names of those that are not known.
    usable: whether the network may be asked without them."""

    values: tuple[float, ...]
    missing: tuple[str, ...]
    usable: bool


def row_of(
    finding: Finding,
    image: Image,
    mask: VertebraMask,
    clinical: Clinical,
    wanted: RowParameters,
) -> FeatureRow:
    """The features that the manifest names; radiomics are computed only where it names one.
    ExtraMissing where their library is not installed."""
    known = {**clinical.features, **_signs(finding)}
    if any(not name.startswith((CLINICAL, SIGN)) for name in wanted.names):
        known |= _radiomics(image, mask)
    return filled(known, wanted)


def filled(known: Mapping[str, float], wanted: RowParameters) -> FeatureRow:
    """The row of a network's features; the manifest's usual value where one is not known."""
    values, missing, usable = [], [], True
    for feature in wanted.features:
        value = float(known.get(feature.name, math.nan))
        if not math.isfinite(value):
            missing.append(feature.name)
            usable &= bool(feature.may_be_missing)
            value = feature.usual
        values.append(value)
    return FeatureRow(tuple(values), tuple(missing), usable)


def _signs(finding: Finding) -> dict[str, float]:
    return {
        f"{SIGN}{sign.name}": math.nan if sign.value is None else float(sign.value)
        for sign in finding.signs
    }


def _radiomics(image: Image, mask: VertebraMask) -> Mapping[str, float]:
    from vfx_edge.radiomics import features_of  # most runs do without

    return features_of(image, mask)


def _read(
    said: Classified, row: FeatureRow, tabular: Network, fusion: Network | None
) -> Classified:
    own = ReaderAnswer(NETWORK, said.p_osteoporotic, said.p_malignant)
    if not row.usable:
        return replace(said, parts=(own,))
    beside = ReaderAnswer(TABULAR, *asked(tabular, row.values), missing=row.missing)
    if fusion is None:
        return replace(said, parts=(own, beside))
    both = {a.name: log_odds(a.p_osteoporotic, a.p_malignant) for a in (own, beside)}
    wanted = fusion.spec.parameters_of(FusionParameters)
    fused = ReaderAnswer(FUSION, *asked(fusion, filled(both, wanted).values))
    p_osteoporotic, p_malignant = fused.p_osteoporotic, fused.p_malignant
    return replace(
        said,
        tier=tier_by(p_osteoporotic, p_malignant, wanted),
        p_osteoporotic=p_osteoporotic,
        p_malignant=p_malignant,
        possible=None,  # what a calibration rules out is of the network's answers
        parts=(own, beside, fused),
    )


def asked(network: Network, values: Sequence[float]) -> tuple[float, float]:
    """p(osteoporotic) and p(malignant) of one row."""
    answer = network.probabilities(np.array([values], np.float32))[0]
    by_class = dict(zip(network.spec.classes, np.clip(answer, 0, 1).tolist(), strict=True))
    return by_class["osteoporotic"], by_class["malignant"]


def _unread(name: str) -> str:
    return (
        f"The clinical data were not used: the set '{name}' has no tabular network; name one that "
        "has with --model."
    )


def _remarks(missed: Sequence[str], tabular: Network) -> tuple[str, ...]:
    if not missed:
        return ()
    wanted = tabular.spec.parameters_of(RowParameters)
    needed = [f.name for f in wanted.features if f.name in missed and not f.may_be_missing]
    shown = ", ".join((needed or missed)[:8]) + " …" * (len(needed or missed) > 8)
    if needed:
        what = f"was not asked where {shown} is not known, which it needs"
    else:
        what = f"took the usual values of its training for what is not known here: {shown}"
    clinical = any(name.startswith(CLINICAL) for name in missed)
    hint = "give them with --clinical" if clinical else "its answer says less there"
    return (f"The network '{tabular.spec.name}' {what}; {hint}.",)
