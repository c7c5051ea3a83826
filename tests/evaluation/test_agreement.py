"""Kappa and ICC, against scikit-learn, statsmodels, pingouin and Shrout and Fleiss 1979."""

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics
from statsmodels.stats import inter_rater

from tests.evaluation.made import EXACT, answered
from tests.examples import examples
from vfx_edge.evaluation.agreement import IccKind, cohen_kappa, fleiss_kappa, icc

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
"""Their table 2: four judges, six targets."""
PINGOUINS = {
    "ICC(2,1)": "ICC(A,1)",
    "ICC(3,1)": "ICC(C,1)",
    "ICC(2,k)": "ICC(A,k)",
    "ICC(3,k)": "ICC(C,k)",
}


@given(answered())
@examples(25)
def test_kappa_and_its_error_are_what_others_say(table: NDArray[np.int_]) -> None:
    one, other = table.T.tolist()
    for weights, wt in ((None, None), ("linear", "linear"), ("quadratic", "quadratic")):
        found = cohen_kappa(one, other, weights, (0, 1, 2))  # type: ignore[arg-type]
        if len({*one, *other}) == 1:
            assert found is None
            continue
        counts = metrics.confusion_matrix(one, other, labels=(0, 1, 2))
        with np.errstate(invalid="ignore", divide="ignore"):  # of its test against 0
            peer = inter_rater.cohens_kappa(counts, wt=wt)
        assert found is not None
        assert found.value == pytest.approx(peer.kappa, abs=EXACT)
        sklearns = metrics.cohen_kappa_score(one, other, labels=(0, 1, 2), weights=weights)
        assert found.value == pytest.approx(sklearns, abs=EXACT)
        if found.low is not None:
            n = len(table)
            error = peer.std_kappa * (n / (n - 1)) ** 0.5
            reach = stats.t.ppf(0.975, n - 1) * error / (1 - peer.kappa**2)
            ends = np.tanh(np.arctanh(peer.kappa) + np.array([-reach, reach]))
            assert (found.low, found.high) == pytest.approx(tuple(ends), abs=EXACT)


def test_a_patients_cases_that_are_the_same_count_once() -> None:
    rng = np.random.default_rng(2)
    one = rng.integers(0, 3, 40)
    other = np.where(rng.random(40) < 0.7, one, rng.integers(0, 3, 40))
    twice = np.repeat(np.arange(40), 2)
    alone = cohen_kappa(one.tolist(), other.tolist(), "linear")
    pairs = one[twice].tolist(), other[twice].tolist()
    shared = cohen_kappa(*pairs, "linear", patients=twice)
    assert alone is not None
    assert shared is not None
    assert (shared.value, shared.low, shared.high) == pytest.approx(
        (alone.value, alone.low, alone.high), abs=EXACT
    )
    assert shared.method == "large sample over 40 patients, Fisher's z scale, Student's t"
    both = [fleiss_kappa(np.stack([one, other], 1)[of].tolist(), resamples=40, patients=who)
            for of, who in ((np.arange(40), None), (twice, twice))]  # fmt: skip
    assert both[0] == both[1]


def test_icc_over_patients_is_the_jackknife() -> None:
    rng = np.random.default_rng(3)
    level = rng.normal(size=(60, 1))
    table, patients = level + rng.normal(0, 0.5, (60, 2)), np.repeat(np.arange(60), 2)
    found = icc(np.repeat(table, 2, 0), patients=patients)
    assert found is not None
    left = [icc(np.repeat(np.delete(table, i, 0), 2, 0)) for i in range(60)]
    moved = np.arctanh([one.value for one in left if one])
    error = (59 / 60 * ((moved - moved.mean()) ** 2).sum()) ** 0.5
    reach = stats.t.ppf(0.975, 59) * error * np.array([-1, 1])
    ends = np.tanh(np.arctanh(found.value) + reach)
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=EXACT)
    assert found.method.startswith("jackknife over 60 patients")
    # each case twice tells no more than once
    alone = icc(table)
    assert alone is not None
    assert ends == pytest.approx([alone.low, alone.high], abs=0.03)
    assert icc(table, patients=range(60)) == alone
    one_patient = icc(table[:2], patients=[0, 0])
    assert one_patient is not None
    assert one_patient.low is None


def test_kappa_needs_something_to_agree_on() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["malignant"] * 9, ["malignant"] * 9) is None
    same = cohen_kappa(["a", "b", "a"], ["a", "b", "a"])
    assert same is not None
    assert (same.value, same.low) == (1.0, None)
    assert fleiss_kappa([["a", "a"], ["a", "a"]]) is None
    with pytest.raises(ValueError, match="each reader"):
        fleiss_kappa([["a", "b"], ["a"]])


@given(answered(readers=4))
@examples(15)
def test_fleiss_kappa_is_statsmodels(table: NDArray[np.int_]) -> None:
    found = fleiss_kappa(table.tolist(), resamples=20)
    if len(np.unique(table)) == 1:
        assert found is None
        return
    assert found is not None
    peer = inter_rater.fleiss_kappa(inter_rater.aggregate_raters(table)[0])
    assert found.value == pytest.approx(peer, abs=EXACT)


def test_icc_of_shrout_and_fleiss() -> None:
    """Their table 4."""
    wanted = {"ICC(1,1)": 0.17, "ICC(2,1)": 0.29, "ICC(3,1)": 0.71,
              "ICC(1,k)": 0.44, "ICC(2,k)": 0.62, "ICC(3,k)": 0.91}  # fmt: skip
    for kind, value in wanted.items():
        found = icc(SHROUT_FLEISS, kind)  # type: ignore[arg-type]
        assert found is not None
        assert round(found.value, 2) == value


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pingouin's own insides
@pytest.mark.parametrize("seed", range(6))
def test_icc_and_its_interval_are_pingouins(seed: int) -> None:
    import pandas as pd  # seconds, in each process that only collects this file
    import pingouin

    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(3, 20)), int(rng.integers(2, 5))
    table = (
        SHROUT_FLEISS if not seed else rng.normal(size=(n, 1)) * seed / 2 + rng.normal(size=(n, k))
    )
    n, k = table.shape
    rows = {
        "case": np.repeat(np.arange(n), k),
        "rater": np.tile(np.arange(k), n),
        "x": table.ravel(),
    }
    options = pingouin.options
    before = {key: options[key] for key in options}
    options.update({key: None for key in options if key.startswith("round")})
    peer = pingouin.intraclass_corr(pd.DataFrame(rows), "case", "rater", "x").set_index("Type")
    options.update(before)
    for kind in get_args(IccKind):
        found, wanted = icc(table, kind), peer.loc[PINGOUINS.get(kind, kind)]
        assert found is not None
        assert found.value == pytest.approx(wanted["ICC"], abs=EXACT)
        if found.low is not None:
            assert (found.low, found.high) == pytest.approx(tuple(wanted["CI95"]), abs=EXACT)


def test_icc_needs_spread_and_no_gaps() -> None:
    level = np.arange(5.0)[:, None]
    same = icc(level + np.zeros(3))
    assert same is not None
    assert same.value == pytest.approx(1)
    assert (same.low, same.high) == (None, None)
    assert icc(np.ones((5, 3))) is None
    assert icc(level) is None
    shifted = icc(level + np.array([0.0, 1.0]), "ICC(3,1)")
    assert shifted is not None
    assert shifted.value == pytest.approx(1)
    for kind in get_args(IccKind):
        crossed: Any = icc([[1.0, 0.0], [0.0, 1.0]], kind)
        assert crossed is None or np.isfinite(crossed.value)
    with pytest.raises(ValueError, match="gaps"):
        icc([[1.0, np.nan], [2.0, 3.0]])
