import numpy as np
import pytest
import statsmodels.api as sm

from vfx_edge.evaluation.temperature import fit_temperature, log_odds


def answers(count: int, factor: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cases whose log odds are right, and the network that says `factor` times them."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 2, count)
    truth = rng.random(count) < 1 / (1 + np.exp(-odds))
    p = 1 / (1 + np.exp(-odds * factor))
    return np.stack([1 - p, p], 1), truth


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5, 8.0])
def test_it_is_the_logistic_regression_of_the_truth_on_the_log_odds(factor: float) -> None:
    p, truth = answers(400, factor, seed=int(factor * 10))
    found = fit_temperature(p, truth)
    peer = sm.Logit(truth, log_odds(p)[:, None]).fit(disp=False, tol=1e-14)
    assert found == pytest.approx(1 / peer.params[0], rel=1e-9)


def test_it_finds_how_much_too_sure_a_network_is() -> None:
    p, truth = answers(20_000, 2.5, seed=1)
    assert fit_temperature(p, truth) == pytest.approx(2.5, rel=0.05)


def test_gaps_and_saturated_answers_do_no_harm() -> None:
    p, truth = answers(400, 1.0, seed=2)
    with_gaps = np.concatenate([p, [[np.nan, 0.5], [0.5, np.nan]]])
    assert fit_temperature(with_gaps, np.append(truth, [True, False])) == fit_temperature(p, truth)
    certain = np.array([[0, 1], [1, 0], [0, 1], [0.4, 0.6]])
    saturated = fit_temperature(certain, [True, False, False, True])
    assert saturated is not None
    assert saturated > 5


@pytest.mark.parametrize(
    ("p_malignant", "truth"),
    [
        ([0.1, 0.9], [False, True]),
        ([0.9, 0.1], [False, True]),
        ([0.5, 0.5], [False, True]),
        ([], []),
    ],
    ids=["all right", "all wrong", "a half", "no case"],
)
def test_where_no_temperature_is_the_likeliest_there_is_none(
    p_malignant: list[float], truth: list[bool]
) -> None:
    assert fit_temperature([[1 - p, p] for p in p_malignant], truth) is None
