"""The verdict beside a time: a backend that answers otherwise is found out."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.fake_backend import FakeBackend
from tests.outputs.fakes import example
from tests.tiny_models import tiny_classifier, tiny_segmenter, write_set
from vfx_edge.backends import Network, OpenModels, open_models
from vfx_edge.bench.parity import Facts, NetworkParity, facts_of, judge, keep_asked, replay
from vfx_edge.bench.patches import Sampler, recorded, some_of
from vfx_edge.bench.precisions import possible_precisions, refusal
from vfx_edge.manifest import ModelManifest, NetworkSpec, load_model_set

NEAR = NetworkParity("net", 8, 0.02, 0.05, None, 0.99, True)
FAR = NetworkParity("net", 8, 0.07, 0.05, None, 0.99, False)
RAGGED = NetworkParity("net", 8, 0.01, 0.05, 0.95, 0.99, False)
SAID: Facts = {"tier": "osteoporotic", "levels": {"T12": [False, "no"], "L1": [True, "malignant"]}}


def changed(**levels: list[object]) -> Facts:
    return {"tier": SAID["tier"], "levels": {**SAID["levels"], **levels}}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (changed(L1=[False, "malignant"]), "L1 is suspected 'no' instead of 'yes'"),
        (changed(T12=[None, "no"]), "T12 is suspected 'unknown' instead of 'no'"),
        (changed(L1=[True, "uncertain"]), "L1 is assessed 'uncertain' instead of 'malignant'"),
        (changed(L2=[False, "no"]), "L2 is found and should not be"),
        ({**SAID, "levels": {"L1": SAID["levels"]["L1"]}}, "T12 is not found"),
        ({**SAID, "tier": "malignant"}, "the study is malignant instead of osteoporotic"),
    ],
)
def test_another_finding_in_any_run_is_told(found: Facts, words: str) -> None:
    assert str(judge([SAID, found, SAID], SAID, [NEAR])) == f"DIFFERS: {words}"


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (FAR, "DIFFERS: net: probabilities 0.0700 apart, 0.05 allowed"),
        (RAGGED, "DIFFERS: net: Dice of masks 0.9500, 0.99 needed"),
        (NEAR, "within tolerance"),
        (NetworkParity("net", 8, 1e-6, 0.05, 1.0, 0.99, True), "same"),
    ],
)
def test_the_networks_answers_decide(network: NetworkParity, words: str) -> None:
    assert str(judge([SAID], SAID, [NEAR, network] if words != "same" else [network])) == words


def test_a_network_that_was_asked_nothing_is_named() -> None:
    assert "classifier" in str(judge([SAID], SAID, [NEAR], ["classifier"]))
    assert judge([SAID], SAID, []).verdict == "not compared"


def test_what_a_study_says_is_level_suspicion_and_assessment() -> None:
    result = example().result
    facts = facts_of(result)
    assert facts["tier"] == result.triage.tier
    assert list(facts["levels"]) == [f.vertebra.level.value for f in result.findings]
    assert judge([facts], facts_of(result), [NEAR]).verdict == "within tolerance"


@pytest.fixture
def manifest(tmp_path: Path) -> ModelManifest:
    networks = {"classifier": tiny_classifier(), "finder": tiny_segmenter()}
    return load_model_set(write_set(tmp_path / "tiny", networks))


def answering(manifest: ModelManifest, off: float) -> OpenModels:
    """The set on a runtime whose raw answers are `off` too high in the first class."""

    def answer(spec: NetworkSpec, batch: np.ndarray) -> np.ndarray:
        shape = (len(batch), len(spec.output.classes))
        raw = np.zeros(shape if "classifier" in spec.roles else (*shape, *batch.shape[2:]))
        raw[:, 0] = batch.mean() + off
        return raw.astype(np.float32)

    backends = {"fake": FakeBackend(answer)}
    return open_models(manifest, "fake", backends=backends, roles=manifest.roles)


def test_recorded_questions_are_put_to_the_other_backend(
    manifest: ModelManifest, tmp_path: Path
) -> None:
    kept = tmp_path / "asked.npz"
    with answering(manifest, 0.0) as reference:
        watched, recorders = recorded(reference)
        patches = np.random.default_rng(0).random((20, 1, 8, 8, 8), np.float32)
        watched.network("finder").probabilities(patches)
        keep_asked(recorders, reference, kept)
    with answering(manifest, 0.0) as same, answering(manifest, 2.0) as other:
        (right,), (wrong,) = replay(same, kept), replay(other, kept)
    assert (right.network, right.patches, right.max_difference) == ("tiny finder", 8, 0.0)
    assert right.within
    assert not wrong.within
    assert wrong.max_difference > 0.3


def test_precisions_are_known_without_computing() -> None:
    default = load_model_set()
    assert possible_precisions("cpu", default) == ("fp32",)
    assert "bf16" in str(refusal("cpu", default, "bf16"))


class _Doubles:
    """Answers twice what it is asked, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.times += len(batch)
        return batch * 2


@pytest.mark.parametrize("silent", [False, True])
def test_a_sampler_keeps_some_of_all_that_was_asked(silent: bool) -> None:
    network = _Doubles()
    sampler = Sampler(cast(Network, network), most=4, silent=silent)
    patches = np.arange(1, 101, dtype=np.float32).reshape(50, 2, 1, 1, 1, 1)
    answers = np.concatenate([sampler.run(batch) for batch in patches])
    kept = some_of(sampler.asked, 4).ravel()
    assert len(kept) == 4
    assert kept[0] == 1
    assert kept[-1] > 85
    assert np.ptp(np.diff(kept)) <= 16  # evenly: the step is a power of two
    assert network.times == (1 if silent else 100)
    assert answers.shape == (100, 1, 1, 1, 1)
    assert (answers == (0 if silent else 2 * patches.reshape(answers.shape))).all()
