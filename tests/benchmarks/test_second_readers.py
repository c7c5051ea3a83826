"""A fusion gains where the network is blind, and loses nothing where it is not."""

import numpy as np

from benchmarks import results, second_readers, thresholds
from models.recipes.scorecard.render import BEGIN


def answers(phantoms: int = 150) -> thresholds.Answers:
    """Of a network that tells by the look, three vertebrae a phantom."""
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(phantoms), 3)
    malignant = owner % 2 == 0
    p = 1 / (1 + np.exp(-(np.where(malignant, 2, -2) + rng.normal(0, 1.5, owner.size))))
    return thresholds.Answers(np.stack([1 - p, p], -1), malignant, owner, strange=0)


def test_where_the_network_is_blind_the_fusion_is_better_and_else_it_is_as_good() -> None:
    blind, sighted = (
        second_readers.figures(second_readers.world(answers(), one))
        for one in second_readers.SETTINGS
    )
    assert blind["malignant"] > sighted["malignant"] == 225
    assert blind["gain"][0] > 0.05
    assert blind["p_value"] < 0.05
    assert abs(sighted["gain"][0]) < 0.01


def test_a_patient_has_one_cause_and_one_history() -> None:
    cases = second_readers.world(answers(), second_readers.SETTINGS[0])
    for patient in set(cases.patients):
        own = np.array(cases.patients) == patient
        assert len(set(cases.malignant[own].tolist())) == 1
        assert len(set(cases.tabular[own].round(9).tolist())) == 1


def test_the_page_shows_what_was_measured() -> None:
    text = second_readers.PAGE.read_text("utf-8")
    found = results.read(second_readers.NAME)
    assert BEGIN.format(second_readers.NAME) in text
    assert found is not None
    assert second_readers.page(text, results.flat(found)) == text
    assert found["figures"]["blind"]["p_value"] < 0.05
    assert found["figures"]["sighted"]["p_value"] >= 0.05
