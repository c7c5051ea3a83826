"""Every code that the DICOM results use, in one place; docs/dicom.md explains the private ones.

Standard codes come from pydicom's copy of PS3.16. What has no verified code there is coded in the
private scheme 99VFXEDGE, never by a standard code that comes near: "malignant fracture suspected"
by a program is no diagnosis of a metastasis.
"""

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from vfx_edge.outputs.vertebra_status import Status
from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Level, Tier
from vfx_edge.vocabulary import Reason

SCHEME = "99VFXEDGE"
SCHEME_NAME = "vfx-edge codes"
_LONGEST_MEANING = 64

VERTEBRA: Code = codes.SCT.Vertebra
SUSPECTED: Code = codes.SCT.Suspected
UNDETERMINED: Code = codes.SCT.Undetermined
CT_PROCEDURE: Code = codes.LN.CTUnspecifiedBodyRegion
CENTER: Code = codes.DCM.Center
RECOMMENDATION: Code = codes.DCM.Recommendation
CONCLUSION: Code = codes.DCM.Conclusion
COMMENT: Code = codes.DCM.Comment
MM: Code = codes.UCUM.Millimeter
PERCENT: Code = codes.UCUM.Percent
SOURCE = Code("260753009", "SCT", "Source")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
LANGUAGES = {"en": Code("en", "RFC5646", "English"), "de": Code("de", "RFC5646", "German")}

_OWN: dict[str, dict[str, str]] = {
    # what is asked
    "TRIAGE": {"en": "Triage tier of the study", "de": "Dringlichkeitsstufe der Studie"},
    "FRACTURE": {"en": "Vertebral fracture", "de": "Wirbelfraktur"},
    "SUSPECTED_BY": {"en": "Fracture suspected by", "de": "Frakturverdacht durch"},
    "GENANT": {"en": "Genant grade", "de": "Genant-Grad"},
    "ASSESSMENT": {"en": "Cause of fracture by classifier", "de": "Frakturursache (Klassifikator)"},
    "WHY_ASSESSMENT": {"en": "Reason for no classification", "de": "Grund: nicht klassifiziert"},
    "WHY_MEASUREMENT": {"en": "Reason for no measurement", "de": "Grund: nicht gemessen"},
    "WHY_UNREAD": {"en": "Reason for no judgement", "de": "Grund: nicht beurteilt"},
    "COVERAGE": {"en": "Vertebrae wholly in view", "de": "Ganz erfasste Wirbel"},
    "LEVEL_ASSESSED": {"en": "Vertebra judged", "de": "Wirbel beurteilt"},
    "LEVEL_CUT": {
        "en": "Vertebra cut off by the edge of the scan",
        "de": "Wirbel vom Bildrand abgeschnitten",
    },
    "LEVEL_UNREAD": {
        "en": "Vertebra in view that could not be judged",
        "de": "Erfasster Wirbel, nicht beurteilbar",
    },
    "INTENDED_USE": {"en": "Intended use of the model", "de": "Zweckbestimmung des Modells"},
    # what is measured
    "HEIGHT_ANTERIOR": {"en": "Anterior height of vertebral body", "de": "Vorderkantenhöhe"},
    "HEIGHT_MIDDLE": {"en": "Middle height of vertebral body", "de": "Mittlere Höhe"},
    "HEIGHT_POSTERIOR": {"en": "Posterior height of vertebral body", "de": "Hinterkantenhöhe"},
    "HEIGHT_LOSS": {"en": "Height loss of vertebral body", "de": "Höhenverlust des Wirbelkörpers"},
    "P_LEVEL": {"en": "Probability of the level", "de": "Wahrscheinlichkeit der Benennung"},
    "P_FRACTURE": {
        "en": "Probability: fracture, by network",
        "de": "Wahrscheinlichkeit: Fraktur (Netz)",
    },
    "P_MALIGNANT": {"en": "Probability: malignant", "de": "Wahrscheinlichkeit: maligne"},
    "P_OSTEOPOROTIC": {
        "en": "Probability: osteoporotic",
        "de": "Wahrscheinlichkeit: osteoporotisch",
    },
    "PART_MALIGNANT": {
        "en": "Probability by one reader: malignant",
        "de": "Wahrscheinlichkeit (Einzelantwort): maligne",
    },
    "PART_OSTEOPOROT": {
        "en": "Probability by one reader: osteoporotic",
        "de": "Wahrscheinlichkeit (Einzelantwort): osteoporotisch",
    },
    "SIGN_OUTSIDE": {"en": "Sign outside the norm", "de": "Zeichen außerhalb der Norm"},
    "P_INTACT": {"en": "Probability: intact", "de": "Wahrscheinlichkeit: intakt"},
    # findings at a vertebra, and the classifier's answers
    "NOT_CLASSIFIED": {"en": "Not classified", "de": "Nicht klassifiziert"},
    "NOT_SUSPECTED": {"en": "Not suspected", "de": "Kein Verdacht"},
    "BY_HEIGHTS": {"en": "Loss of height", "de": "Höhenverlust"},
    "BY_NETWORK": {"en": "Network for fractures", "de": "Netz für Frakturen"},
    "BY_BOTH": {
        "en": "Loss of height and network for fractures",
        "de": "Höhenverlust und Netz für Frakturen",
    },
    "COMPLETE": {"en": "All judged", "de": "Alle beurteilt"},
    "INCOMPLETE": {"en": "Not all judged", "de": "Nicht alle beurteilt"},
    "GENANT_0": {"en": "Grade 0 (none)", "de": "Grad 0 (keine)"},
    "GENANT_1": {"en": "Grade 1 (mild)", "de": "Grad 1 (leicht)"},
    "GENANT_2": {"en": "Grade 2 (moderate)", "de": "Grad 2 (mäßig)"},
    "GENANT_3": {"en": "Grade 3 (severe)", "de": "Grad 3 (schwer)"},
    # levels that SNOMED CT as PS3.16 uses it has no code for
    "T13": {"en": "T13 vertebra", "de": "T13 vertebra"},
    "L6": {"en": "L6 vertebra", "de": "L6 vertebra"},
    # reasons whose words in the report are too long
    "SPACING_WRONG": {
        "en": "The distances stored in the file cannot be right",
        "de": "Die gespeicherten Abstände können nicht stimmen",
    },
    "VALUES_WRONG": {
        "en": "The numbers cannot be Hounsfield units of a body",
        "de": "Zahlenwerte sind keine Hounsfield-Einheiten eines Körpers",
    },
    "UNLIKE_TRAINING": {
        "en": "Unlike the fractures the model was taught",
        "de": "Anders als die Frakturen, die das Modell gelernt hat",
    },
    "OTHER": {"en": "Other reason", "de": "Anderer Grund"},
}
REASONS: dict[str, str] = {
    Reason.TRUNCATED: "TRUNCATED",
    Reason.METAL: "METAL",
    Reason.LOW_CONFIDENCE: "LOW_CONFIDENCE",
    Reason.IMPLAUSIBLE_SPACING: "SPACING_WRONG",
    Reason.IMPLAUSIBLE_VALUES: "VALUES_WRONG",
    Reason.IMPLAUSIBLE_SLICES: "SLICES_WRONG",
    Reason.IMPLAUSIBLE_SPINE: "SPINE_WRONG",
    Reason.SPACING_TOO_COARSE: "SPACING_COARSE",
    Reason.OUT_OF_DISTRIBUTION: "UNLIKE_TRAINING",
    Reason.NOT_FOUND: "NOT_FOUND",
    Reason.NO_FRACTURE_SUSPECTED: "UNREMARKABLE",
    Reason.INTACT: "INTACT",
    Reason.NO_NEIGHBOURS: "NO_NEIGHBOURS",
    Reason.NO_NORM_FOR_LEVEL: "NO_NORM",
    Reason.NOT_OUTLINED: "NOT_OUTLINED",
    Reason.LEVEL_OUTSIDE_MODEL_RANGE: "OUTSIDE_RANGE",
    Reason.NOT_REQUESTED: "NOT_REQUESTED",
}
"""Reason in result.json -> code value."""
SIGN_VALUES: dict[str, str] = {
    "convexity": "SIGN_CONVEX",
    "cortical_gap": "SIGN_GAP",
    "paravertebral_tissue": "SIGN_BESIDE",
    "canal_tissue": "SIGN_CANAL",
    "gas": "SIGN_GAS",
    "pedicle_left": "SIGN_PEDICLE_L",
    "pedicle_right": "SIGN_PEDICLE_R",
    "core_density": "SIGN_DENSITY",
    "core_sclerotic": "SIGN_SCLEROTIC",
    "core_lytic": "SIGN_LYTIC",
    "fracture_line": "SIGN_LINE",
    "fracture_line_tilt": "SIGN_LINE_TILT",
}
"""Sign -> code value."""

READER_VALUES: dict[str, str] = {
    "network": "READER_NETWORK",
    "tabular": "READER_TABULAR",
    "fusion": "READER_FUSION",
}
"""Reader of a set -> code value."""


def _as_in_the_report(key: str) -> dict[str, str]:
    words = {language: Wording(language)(key) for language in LANGUAGES}
    return {language: text[0].upper() + text[1:] for language, text in words.items()}


PRIVATE: dict[str, dict[str, str]] = {
    **{value: _as_in_the_report(f"reason.{reason}") for reason, value in REASONS.items()},
    **{tier.upper(): _as_in_the_report(f"verdict.{tier}") for tier in Tier},
    **{
        status.upper(): _as_in_the_report(f"status.{status}")
        for status in (Status.SUSPECTED, Status.UNREMARKABLE, Status.NOT_EXAMINED)
    },
    **{value: _as_in_the_report(f"sign.{sign}") for sign, value in SIGN_VALUES.items()},
    **{value: _as_in_the_report(f"card.part_{part}") for part, value in READER_VALUES.items()},
    **_OWN,
}
"""Code value -> meaning in English and in German."""


def level_code(level: Level) -> Code:
    """SNOMED CT's code of the vertebra; private for T13 and L6, which have none there."""
    if level in (Level.T13, Level.L6):
        return Code(level.value, SCHEME, PRIVATE[level.value]["en"])
    code: Code = getattr(codes.SCT, f"{level.value}Vertebra")
    return code


def private(value: str, language: str = "en") -> Code:
    """A code of ours. The value never changes with the language, the meaning does."""
    return Code(value, SCHEME, PRIVATE[value][language])


def sign_code(name: str, language: str) -> Code:
    """A measured sign."""
    return private(SIGN_VALUES[name], language)


def reader_code(name: str, language: str) -> Code:
    """One of a set's readers."""
    return private(READER_VALUES[name], language)


def tier_code(tier: Tier, language: str) -> Code:
    """The study's verdict, or the classifier's answer for a vertebra."""
    return private(tier.value.upper(), language)


def status_code(status: Status, language: str) -> Code:
    """What is known of a vertebra, in one word."""
    return private(status.value.upper(), language)


def reason_code(reason: str, language: str) -> Code:
    """Why something could not be told; OTHER with the reason's own words where it has no code."""
    value = REASONS.get(reason)
    if value is None:
        return Code("OTHER", SCHEME, reason[:_LONGEST_MEANING] or PRIVATE["OTHER"][language])
    return private(value, language)
