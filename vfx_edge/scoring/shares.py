"""How well two classes are told apart, as JSON: each figure with its interval, counts and name."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vfx_edge.evaluation import intervals
from vfx_edge.evaluation.intervals import Estimate, Patients, bootstrap
from vfx_edge.evaluation.rates import Confusion, mean_of_shares
from vfx_edge.evaluation.roc import auc, auc_delong
from vfx_edge.scoring.about import About
from vfx_edge.scoring.calls import Told
from vfx_edge.scoring.cases import ASKED, Cases
from vfx_edge.study import Tier

Json = dict[str, Any]
SHARES = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
FIGURES = (*SHARES, "balanced_accuracy", "auc")
NO_CASE: Mapping[str, str] = {
    "accuracy": "there is no case",
    "sensitivity": "there is no malignant case",
    "specificity": "there is no osteoporotic case",
    "ppv": "no case was called malignant",
    "npv": "no case was called osteoporotic",
    "balanced_accuracy": "it takes cases of both classes",
    "auc": "it takes cases of both classes",
}


def estimate(found: Estimate | None, why: str, of: int | None = None) -> Json:
    """A figure as JSON; without a value it says why there is none. of: its cases, where the figure
    is no share of them."""
    if found is None:
        return {"value": None, "low": None, "high": None, "method": None,
                "count": None, "of": of, "why": f"{why[0].upper()}{why[1:]}."}  # fmt: skip
    return {"value": found.value, "low": found.low, "high": found.high, "method": found.method,
            "count": found.count, "of": of if found.of is None else found.of}  # fmt: skip


def share(hits: ArrayLike, patients: Patients, about: About, why: str) -> Json:
    """The share of hits (n,), with the interval asked for; patients: (n,) whose case it is."""
    return estimate(intervals.share(hits, patients, about.method, about.confidence), why)


def share_uncertain(cases: Cases, about: About) -> Json:
    """Of the cases that a tier answers, the third one included."""
    own = cases.where(np.isin(cases.tier, ASKED))
    uncertain = own.tier == Tier.UNCERTAIN.value
    return share(uncertain, own.patients, about, "no case was answered")


def figures(told: Told, about: About, thorough: bool = True) -> Json:
    """n, confusion and FIGURES. thorough: intervals by the bootstrap where cases are not
    independent or no formula is exact; else by formulas, for the many subgroups."""
    sure, table = told.only_named(), told.table
    return {
        "n": table.cases,
        "malignant": table.positive,
        "osteoporotic": table.negative,
        "patients": len(set(sure.cases.patients.tolist())),
        "ranked": len(told.cases),
        "confusion": asdict(table),
        **_shares(sure, about),
        "balanced_accuracy": estimate(
            _balanced(sure, about, thorough), NO_CASE["balanced_accuracy"], table.cases
        ),
        "auc": estimate(_auc(told, about, thorough), NO_CASE["auc"], len(told.cases)),
    }  # fmt: skip


def _shares(told: Told, about: About) -> Json:
    """told: each case is named."""
    truth, called = told.cases.truth, told.called
    right, every = called == truth, np.ones(len(truth), bool)
    among = {"accuracy": every, "sensitivity": truth, "specificity": ~truth, "ppv": called,
             "npv": ~called}  # fmt: skip
    return {
        name: share(right[of], told.cases.patients[of], about, NO_CASE[name])
        for name, of in among.items()
    }


def _balanced(told: Told, about: About, thorough: bool) -> Estimate | None:
    """By the bootstrap over patients; by square-and-add where that has no spread, or is spared."""
    truth, patients = told.cases.truth, told.cases.patients
    parts = (
        intervals.share(right, patients[of], about.method, about.confidence)
        for right, of in ((told.called[truth], truth), (~told.called[~truth], ~truth))
    )
    fallback = mean_of_shares(*parts)
    if fallback is None or (not thorough and told.cases.one_each):
        return fallback
    codes = told.called * 2 + truth

    def statistic(drawn: np.ndarray) -> float | None:
        tn, fn, fp, tp = np.bincount(codes[drawn], minlength=4).tolist()
        return Confusion(tp, fp, tn, fn).balanced_accuracy

    found = bootstrap(statistic, patients, confidence=about.confidence,
                      resamples=about.resamples, seed=about.seed)  # fmt: skip
    return fallback if found is None or found.low is None else found


def _auc(told: Told, about: About, thorough: bool) -> Estimate | None:
    """DeLong's interval where each patient has one case; else the bootstrap over patients, or,
    where that is spared, DeLong's over patients."""
    cases, score = told.cases, told.score
    if not len(cases):
        return None
    if cases.one_each:
        return auc_delong(score, cases.truth, confidence=about.confidence)
    if not thorough:
        return auc_delong(score, cases.truth, cases.patients, about.confidence)
    return bootstrap(
        lambda drawn: auc(score[drawn], cases.truth[drawn]), cases.patients,
        confidence=about.confidence, resamples=about.resamples, seed=about.seed,
    )  # fmt: skip
