"""Readers: how well they tell the classes apart, how well they agree, and against the models."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from vfx_edge.evaluation.agreement import cohen_kappa, fleiss_kappa, icc
from vfx_edge.evaluation.roc import delong_test
from vfx_edge.scoring.about import About
from vfx_edge.scoring.calls import ORDER, SCORE, read_by
from vfx_edge.scoring.cases import ASKED, Cases, patient_of
from vfx_edge.scoring.parts import parts_of
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.shares import Json, estimate, figures

NO_KAPPA = "it takes cases that both called, of more than one kind"
NO_ICC = "it takes two cases that both called, and some variance"


def readers(cases: Cases, about: About) -> Json:
    """Reader -> the figures of the first reading, on all cases read and on those that the model
    told apart; uncertain: how many the reader left open; unread: how many were not read."""
    told_apart = cases.where(cases.told_apart)
    return {
        name: {**_reader(name, cases, about), "on_answered": _reader(name, told_apart, about)}
        for name in cases.readers()
    }


def _reader(name: str, cases: Cases, about: About) -> Json:
    told = read_by(name, cases)
    left_open = int((~told.named).sum())
    return {**figures(told, about), "uncertain": left_open, "unread": len(cases) - len(told.cases)}


def agreement(cases: Cases, about: About) -> Json:
    """Between readers, within each (its second reading), and of the model's tiers with each."""
    names = cases.readers()
    first = {name: cases.readings(name) for name in names}
    tier = ["" if one not in ASKED else one for one in cases.tier.tolist()]
    return {
        "between": [
            {"one": a, "other": b, **_pair(first[a], first[b], cases, about)}
            for a, b in combinations(names, 2)
        ],
        "within": [
            {"reader": name, **_pair(first[name], second, cases, about)}
            for name in names
            if any(second := cases.readings(name, 1))
        ],
        "with_model": [
            {"reader": name, **_pair(tier, first[name], cases, about)} for name in names
        ],
        "all_readers": _all_readers(list(first.values()), cases, about),
    }


def _pair(one: Sequence[str], other: Sequence[str], cases: Cases, about: About) -> Json:
    """Kappa of the three calls, plain and by their order, and the ICC of their scores. one, other:
    (n,) of the cases."""
    every = zip(one, other, cases.patients.tolist(), strict=True)
    both = [(a, b, patient) for a, b, patient in every if a and b]
    a, b, patients = [[case[i] for case in both] for i in range(3)]
    level = about.confidence
    table = [[SCORE[x], SCORE[y]] for x, y in zip(a, b, strict=True)]
    return {
        "n": len(both),
        "same": sum(x == y for x, y in zip(a, b, strict=True)),
        "kappa": estimate(cohen_kappa(a, b, None, ORDER, level, patients), NO_KAPPA),
        "kappa_linear": estimate(cohen_kappa(a, b, "linear", ORDER, level, patients), NO_KAPPA),
        "icc": estimate(icc(table, "ICC(2,1)", level, patients) if table else None, NO_ICC),
    }


def _all_readers(calls: Sequence[Sequence[str]], cases: Cases, about: About) -> Json | None:
    """Fleiss' kappa over the cases that all called; None with fewer than three readers."""
    if len(calls) < 3:
        return None
    each = [case if all(case) else None for case in zip(*calls, strict=True)]
    shared = [case for case in each if case]
    patients = cases.where(np.array([bool(case) for case in each], bool)).patients
    found = fleiss_kappa(shared, about.confidence, about.resamples, patients) if shared else None
    return {"n": len(shared), "kappa": estimate(found, NO_KAPPA)}


def comparisons(models: Mapping[str, Cases], about: About) -> list[Json]:
    """The areas under the ROC curves of each two models, and of each model and each reader, on the
    cases that both have (DeLong, paired)."""
    found = [
        _compared(a, b, _scores(models[a]), _scores(models[b]), models[a], about)
        for a, b in combinations(models, 2)
    ]
    for model, cases in models.items():
        parts = parts_of(model, cases)
        found += [
            _compared(a, b, _scores(parts[a]), _scores(parts[b]), parts[a], about)
            for a, b in combinations(parts, 2)
        ]
        for name in cases.readers():
            read = read_by(name, cases)
            own = dict(zip(map(_key, read.cases.rows), read.score.tolist(), strict=True))
            found.append(_compared(model, f"reader {name}", _scores(cases), own, cases, about))
    return found


Key = tuple[str, str]


def _key(row: VertebraRow) -> Key:
    return row.study, row.level


def _scores(cases: Cases) -> dict[Key, float]:
    own = cases.where(cases.has_p)
    return dict(zip(map(_key, own.rows), own.p.tolist(), strict=True))


def _compared(
    one: str,
    other: str,
    a: Mapping[Key, float],
    b: Mapping[Key, float],
    cases: Cases,
    about: About,
) -> Json:
    shared = cases.where(np.array([_key(row) in a and _key(row) in b for row in cases.rows], bool))
    keys = [_key(row) for row in shared.rows]
    head = {"one": one, "other": other, "n": len(keys)}
    test = delong_test(
        [a[key] for key in keys], [b[key] for key in keys], shared.truth,
        None if shared.one_each else shared.patients, about.confidence,
    ) if keys else None  # fmt: skip
    if test is None:
        why = "it takes shared cases of both classes"
        return {**head, "auc_one": None, "auc_other": None, "difference": estimate(None, why),
                "z": None, "p_value": None}  # fmt: skip
    return {**head, "auc_one": test.auc_one, "auc_other": test.auc_other,
            "difference": estimate(test.difference, ""), "z": test.z,
            "p_value": test.p_value}  # fmt: skip


def model_agreement(models: Mapping[str, Cases], about: About) -> list[Json]:
    """How alike each two models answer: kappa of their tiers, ICC of their p(malignant)."""
    return [_models(a, b, models[a], models[b], about) for a, b in combinations(models, 2)]


def _models(a: str, b: str, one: Cases, other: Cases, about: About) -> Json:
    rows = {_key(row): row for row in other.rows}
    pairs = [(row, rows[_key(row)]) for row in one.rows if _key(row) in rows]
    both = [(x, y) for x, y in pairs if x.tier in ASKED and y.tier in ASKED]
    p = [
        (x.p_malignant, y.p_malignant, patient_of(x))
        for x, y in pairs
        if x.p_malignant is not None and y.p_malignant is not None
    ]
    kappa = cohen_kappa([x.tier for x, _ in both], [y.tier for _, y in both], "linear", ORDER,
                        about.confidence, [patient_of(x) for x, _ in both])  # fmt: skip
    alike = icc([case[:2] for case in p], "ICC(2,1)", about.confidence,
                [patient for *_, patient in p]) if p else None  # fmt: skip
    return {
        "one": a, "other": b, "n": len(both), "same": sum(x.tier == y.tier for x, y in both),
        "kappa_linear": estimate(kappa, NO_KAPPA),
        "n_probabilities": len(p),
        "icc": estimate(alike, NO_ICC),
    }  # fmt: skip
