"""From labels to a set with tabular network and fusion, and what the chain makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.rows import RowNotExported, check_parity, onnx_of, row_network
from models.recipes.tabular.command import Wish, make_fusion, make_tabular
from models.recipes.tabular.errors import NoFeature, NoTabular, NothingShared, TooFewCases
from models.recipes.tabular.examples import examples_of, only_stable, read_features
from models.recipes.tabular.fit import completed, fitted, left_out, pipeline, usual
from models.recipes.tabular.table import answered
from vfx_edge.backends import OpenModels, open_models
from vfx_edge.image import Image
from vfx_edge.labelled.reading import read_dataset
from vfx_edge.manifest import RowParameters, load_model_set
from vfx_edge.manifest.roles import FeatureSpec
from vfx_edge.scoring.rows import VertebraRow
from vfx_edge.scoring.tables import write_vertebrae
from vfx_edge.spine.second_readers import row_of, second_readers
from vfx_edge.study import (
    Classified,
    Clinical,
    Finding,
    Heights,
    Level,
    Measurement,
    Sign,
    Tier,
    Vertebra,
    VertebraMask,
)
from vfx_edge.tuning.errors import HasFusion
from vfx_edge.tuning.reading import Evaluated

PATIENTS = 60
HEADER = "study,patient,path,level,label,split,sex,age,known_tumour"


def truth() -> np.ndarray:
    """(patients,) malignant."""
    return np.asarray(np.arange(PATIENTS) % 2 == 0)


def labels(folder: Path, told: bool = True) -> Path:
    """A table in which a known tumour tells the cause in four of five."""
    rng = np.random.default_rng(0)
    lines = [HEADER]
    for i, malignant in enumerate(truth().tolist()):
        tumour = malignant != (rng.random() < 0.2)
        word = ("yes" if tumour else "no") if told and i % 10 else ""
        cause = "malignant" if malignant else "osteoporotic"
        sex_age = "F,70" if told else ","
        lines.append(f"s{i},p{i},s{i}.nii.gz,L1,{cause},validation,{sex_age},{word}")
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder


def evaluation(folder: Path) -> Path:
    """A network that has a hunch."""
    rng = np.random.default_rng(1)
    p = np.clip(0.5 + 0.1 * np.where(truth(), 1, -1) + rng.normal(0, 0.2, PATIENTS), 0.02, 0.98)
    causes = np.where(truth(), "malignant", "osteoporotic").tolist()
    rows = [
        VertebraRow("default", f"s{i}", f"p{i}", "validation", "L1", cause,
                    p_osteoporotic=1 - value, p_malignant=value)
        for i, (cause, value) in enumerate(zip(causes, p.tolist(), strict=True))
    ]  # fmt: skip
    folder.mkdir()
    write_vertebrae(folder / "vertebrae.csv", rows)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with both roles."""
    folder = tmp_path_factory.mktemp("tabular")
    out, answers = folder / "beside", folder / "answers.csv"
    dataset = read_dataset(labels(folder / "data"), needs_ct=False)
    make_tabular(dataset, None, Wish(out, answers), lambda _: None)
    make_fusion(answered([evaluation(folder / "found")], answers), out, lambda _: None)
    return out


@pytest.fixture(scope="module")
def models(made: Path):
    with open_models(load_model_set(made), "cpu", roles=("tabular", "fusion")) as found:
        yield found


def asked(models: OpenModels, clinical: Clinical, p: float = 0.5) -> tuple[Classified, tuple]:
    """What the readers say of a vertebra of which the network says p."""
    one = np.zeros((1, 1, 1), np.float16)
    vertebra = Vertebra(Level.L1, (0.0, 0.0, 0.0), 0.9)
    mask = VertebraMask(vertebra, one, one, (0.0, 0.0, 0.0), 1.0)
    broken = Measurement(Heights(10.0, 15.0, 20.0), 0.4, 3, True)
    finding = Finding(vertebra, broken, Classified(Tier.UNCERTAIN, 1 - p, p))
    image = Image(np.zeros((2, 2, 2), np.float32), np.eye(4), "CT", "HU")
    read = second_readers(image, (mask,), (finding,), models, clinical)
    said = read.findings[0].assessment
    assert isinstance(said, Classified)
    return said, read.remarks


def test_a_known_tumour_moves_the_fused_answer_and_its_tier(models: OpenModels) -> None:
    known = Clinical(70.0, "f", known_tumour=True)
    with_it, remarks = asked(models, known, 0.7)
    without, _ = asked(models, replace(known, known_tumour=False), 0.3)
    assert [part.name for part in with_it.parts] == ["network", "tabular", "fusion"]
    assert with_it.p_malignant == with_it.parts[2].p_malignant > 0.7
    assert with_it.p_osteoporotic + with_it.p_malignant == pytest.approx(1, abs=1e-5)
    assert (with_it.tier, without.tier) == (Tier.MALIGNANT, Tier.OSTEOPOROTIC)
    assert with_it.possible is None
    assert remarks == ()


def test_what_is_not_known_is_said_and_filled_with_the_usual_value(models: OpenModels) -> None:
    said, remarks = asked(models, Clinical())
    assert said.parts[1].missing == ("clinical_known_tumour",)
    assert "clinical_known_tumour" in remarks[0]
    assert "--clinical" in remarks[0]
    known, _ = asked(models, Clinical(known_tumour=False))
    told, _ = asked(models, Clinical(known_tumour=True))
    usual_answer = said.parts[1].p_malignant
    assert usual_answer in (known.parts[1].p_malignant, told.parts[1].p_malignant)


def test_a_measured_sign_is_a_feature_and_one_without_a_value_is_not_known() -> None:
    wanted = RowParameters(features=(FeatureSpec(name="sign_gas"), FeatureSpec(name="sign_mass")))
    signs = (Sign("gas", 2.5, "mm", None, 1.0), Sign("mass", None, "mm", None, 1.0, "metal"))
    vertebra = Vertebra(Level.L1, (0.0, 0.0, 0.0), 0.9)
    broken = Measurement(None, 0.4, 3, True)
    finding = Finding(vertebra, broken, Classified(Tier.UNCERTAIN, 0.5, 0.5), signs=signs)
    one = np.zeros((1, 1, 1), np.float16)
    mask = VertebraMask(vertebra, one, one, (0.0, 0.0, 0.0), 1.0)
    image = Image(np.zeros((2, 2, 2), np.float32), np.eye(4), "CT", "HU")
    row = row_of(finding, image, mask, Clinical(), wanted)
    assert (row.values, row.missing, row.usable) == ((2.5, 0.0), ("sign_mass",), True)


def test_without_what_it_needs_the_tabular_network_is_not_asked(
    models: OpenModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    from msgspec.structs import replace as with_fields

    spec = models.network("tabular").spec
    (given,) = spec.parameters
    needed = tuple(with_fields(one, may_be_missing=0) for one in given.features)  # type: ignore[attr-defined]
    stern = with_fields(spec, parameters=(with_fields(given, features=needed),))
    monkeypatch.setattr(models.network("tabular"), "spec", stern)
    said, remarks = asked(models, Clinical(), 0.3)
    assert [part.name for part in said.parts] == ["network"]
    assert (said.tier, said.p_malignant) == (Tier.UNCERTAIN, 0.3)
    assert "was not asked" in remarks[0]


@pytest.mark.parametrize("backend", ["cpu", "openvino"])
def test_both_backends_answer_as_scikit_learn(made: Path, backend: str) -> None:
    rng = np.random.default_rng(3)
    manifest = load_model_set(made)
    with open_models(manifest, backend, roles=("tabular",)) as opened:
        network = opened.network("tabular")
        rows = rng.integers(0, 2, (5, network.spec.input.channels)).astype(np.float32)
        found = network.probabilities(rows)
    assert found.shape == (5, 2)
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    assert set(np.round(found[rows[:, 0] == 1, 1], 5)).isdisjoint(
        np.round(found[rows[:, 0] == 0, 1], 5)
    )


def test_the_file_is_held_against_the_fitted_model() -> None:
    rng = np.random.default_rng(0)
    rows, other = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    model, _ = fitted(rows, rows[:, 0] > 0)
    another, _ = fitted(other, other[:, 1] > 0)
    data = onnx_of(model, 3)
    check_parity(data, model, rows.astype(np.float32))
    with pytest.raises(RowNotExported, match="differ"):
        check_parity(data, another, rows.astype(np.float32))


def test_a_model_of_one_runtime_alone_is_refused() -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    rows = np.random.default_rng(0).normal(size=(20, 2))
    forest = make_pipeline(RandomForestClassifier(2, random_state=0)).fit(rows, rows[:, 0] > 0)
    specs = [FeatureSpec(name="a"), FeatureSpec(name="b")]
    with pytest.raises(RowNotExported, match="not every backend"):
        row_network(forest, rows, "tabular", "a forest", specs)


def test_an_answer_is_by_a_model_that_saw_no_vertebra_of_the_patient() -> None:
    """A feature that is the patient's number in disguise tells nothing of others."""
    rng = np.random.default_rng(0)
    malignant = np.repeat(np.arange(20) % 2 == 0, 5)
    patients = np.repeat(np.arange(20), 5)
    rows = np.eye(20)[patients] + rng.normal(0, 1e-3, (100, 20))
    p = left_out(rows, malignant, tuple(map(str, patients)))
    own = pipeline().fit(rows, malignant).predict_proba(rows)[:, 1]
    right = [np.mean((q > 0.5) == malignant) for q in (p, own)]
    assert right[0] < 0.8 < right[1] == 1.0


def test_medians_stand_for_what_is_not_known() -> None:
    rows = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    by = usual(rows)
    assert by.tolist() == [2.0, 0.0]
    assert completed(rows, by).tolist() == [[1, 0], [3, 0], [2, 0]]


def test_features_come_from_an_evaluations_table(tmp_path: Path) -> None:
    table = tmp_path / "features.csv"
    table.write_text("model,study,level,sex,morph_volume\ndefault,s1,L1,F,12.5\ndefault,s2,L1,F,\n")
    dataset = read_dataset(labels(tmp_path / "data"), needs_ct=False)
    examples = examples_of(dataset, read_features(table))
    column = examples.values[:, examples.names.index("morph_volume")]
    assert column[1] == 12.5
    assert np.isfinite(column).sum() == 1
    assert examples.names.count("sex") == 0


def test_only_what_repeats_goes_on_and_signs_do(tmp_path: Path) -> None:
    (tmp_path / "stable.csv").write_text(
        "model,feature,stable,worst_icc,worst_comparison\n"
        "default,good,true,0.9,noise\ndefault,bad,false,0.5,noise\n"
    )
    found = only_stable({("s1", "L1"): {"good": 1.0, "bad": 2.0, "sign_gas": 3.0}}, tmp_path)
    assert found == {("s1", "L1"): {"good": 1.0, "sign_gas": 3.0}}


def test_nothing_to_learn_from_is_a_sentence(tmp_path: Path) -> None:
    dataset = read_dataset(labels(tmp_path / "data", told=False), needs_ct=False)
    wish = Wish(tmp_path / "out", tmp_path / "a.csv")
    with pytest.raises(NoFeature, match="known_tumour"):
        make_tabular(dataset, None, wish, lambda _: None)
    with pytest.raises(TooFewCases):
        examples_of(replace(dataset, studies=dataset.studies[:10]))
    found = evaluation(tmp_path / "found")
    empty = tmp_path / "none.csv"
    write_vertebrae(empty, [])
    with pytest.raises(NothingShared):
        answered([found], empty)
    with pytest.raises(NoTabular):
        make_fusion(answered([found], found / "vertebrae.csv"), tmp_path / "no", lambda _: None)


def test_a_set_with_a_fusion_is_not_calibrated_by_its_classifier(made: Path) -> None:
    with pytest.raises(HasFusion, match="recipes fusion"):
        Evaluated("set").manifest(str(made))
