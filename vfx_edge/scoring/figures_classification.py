"""Malignant against osteoporotic: the approaches side by side, the tiers, who did not answer."""

from collections.abc import Sequence

import numpy as np

from vfx_edge.labelled.dataset import Label
from vfx_edge.scoring.about import About
from vfx_edge.scoring.calls import by_tier, forced
from vfx_edge.scoring.cases import ASKED, FRACTURED, Cases, cases_of, counted, patient_of
from vfx_edge.scoring.figures_curves import calibration, decision_curve, roc
from vfx_edge.scoring.figures_readers import agreement, readers
from vfx_edge.scoring.figures_slices import of_slices
from vfx_edge.scoring.figures_subgroups import subgroups
from vfx_edge.scoring.parts import parts_of
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.shares import Json, figures, share, share_uncertain
from vfx_edge.study import Tier
from vfx_edge.vocabulary import Reason

TIERS = (*ASKED, Tier.NOT_ASSESSABLE.value)
TRUTHS = (*FRACTURED, Label.INTACT.value, Label.INTACT_LESION.value)
NO_TIER = "no_tier"


def told_apart_name(model: str) -> str:
    """The name of the approach with a third tier."""
    return f"{model}, told apart"


def classification(
    model: str, rows: Sequence[VertebraRow], about: About, with_subgroups: bool = True
) -> Json:
    """All that is said of one model set's answers to "why did it break?". rows: of this set."""
    cases = cases_of(rows, about.one_per_patient)
    return {
        "n": len(cases),
        "malignant": int(cases.truth.sum()),
        "osteoporotic": int((~cases.truth).sum()),
        "patients": len(set(cases.patients.tolist())),
        "not_cases": counted([row.label or "unlabelled" for row in rows
                              if row.label not in FRACTURED]),
        "approaches": approaches(model, cases, about),
        "tiers": tiers(cases, rows),
        "seen_intact": seen_intact(rows, about),
        **_third_tier(cases, about),
        "calibration": calibration(cases),
        "roc": roc(cases),
        "decision_curve": decision_curve(cases),
        "readers": readers(cases, about),
        "agreement": agreement(cases, about),
        "subgroups": subgroups(cases, about) if with_subgroups else {},
        **({"slices": told} if (told := of_slices(cases, about)) else {}),
    }  # fmt: skip


def approaches(model: str, cases: Cases, about: About, thorough: bool = True) -> Json:
    """Both ways to take the answers, side by side, and each reader of a set that has several."""
    return {
        model: figures(forced(cases), about, thorough),
        told_apart_name(model): figures(by_tier(cases), about, thorough),
        **{
            name: figures(forced(part), about, thorough)
            for name, part in parts_of(model, cases).items()
        },
    }


def tiers(cases: Cases, rows: Sequence[VertebraRow]) -> Json:
    """Tier -> counts by truth; the truth of a vertebra that is no case is counted beside."""
    own = [*cases.rows, *(row for row in rows if row.label in TRUTHS[2:])]
    return {
        tier: {truth: sum(row.tier == tier and row.label == truth for row in own)
               for truth in TRUTHS}
        for tier in TIERS
    }  # fmt: skip


def seen_intact(rows: Sequence[VertebraRow], about: About) -> Json:
    """What a classifier with the class intact says of that: the share seen intact of those asked,
    among fractured, intact and intact but diseased vertebrae."""
    groups = {"fractured": FRACTURED, **{truth: (truth,) for truth in TRUTHS[2:]}}
    found: dict[str, Json] = {}
    for name, truths in groups.items():
        own = [r for r in rows if r.label in truths and (r.tier in ASKED or _is_intact(r))]
        hits, patients = [_is_intact(r) for r in own], [patient_of(r) for r in own]
        found[name] = share(hits, patients, about, f"no vertebra labelled {name} was asked about")
    return found


def _is_intact(row: VertebraRow) -> bool:
    return row.reason == Reason.INTACT


def _why_silent(row: VertebraRow) -> str:
    """A program's p without a tier is an answer to all but the third tier."""
    plain = "not_asked" if row.p_malignant is None else NO_TIER
    return row.reason or row.tier or plain


def _third_tier(cases: Cases, about: About) -> Json:
    """How many stay uncertain, or without an answer; and what becomes of the malignant ones."""
    silent = cases.where(~np.isin(cases.tier, ASKED))
    malignant, osteoporotic = cases.where(cases.truth), cases.where(~cases.truth)
    no_malignant, no_osteoporotic = "there is no malignant case", "there is no osteoporotic case"

    def called(of: Cases, tier: Tier, why: str) -> Json:
        return share(of.tier == tier.value, of.patients, about, why)

    return {
        "share_uncertain": share_uncertain(cases, about),
        "unanswered": counted([_why_silent(row) for row in silent.rows]),
        "share_unanswered": share(
            ~np.isin(cases.tier, ASKED), cases.patients, about, "there is no case"
        ),
        "malignant_called_malignant": called(malignant, Tier.MALIGNANT, no_malignant),
        "malignant_called_osteoporotic": called(malignant, Tier.OSTEOPOROTIC, no_malignant),
        "osteoporotic_called_malignant": called(osteoporotic, Tier.MALIGNANT, no_osteoporotic),
    }
