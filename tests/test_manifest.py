"""A manifest that is wrong in any way is refused with one sentence that says where."""

import os
from pathlib import Path

import numpy as np
import pytest

from export.manifests import update_hashes
from tests.tiny_models import tiny_segmenter, write_full_set, write_set
from vfx_edge.errors import ModelError
from vfx_edge.manifest import (
    ClassifierParameters,
    ManifestInvalid,
    ModelFileInvalid,
    ModelSetNotFound,
    RoleMissing,
    installed_sets,
    load_model_set,
    search_places,
    sha256_of,
)
from vfx_edge.vocabulary import NEEDED_ROLES, Level


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two places to search, of which the first wins, and no user's own sets in between."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    listed = os.pathsep.join(str(tmp_path / name) for name in ("first", "second"))
    monkeypatch.setenv("VFX_EDGE_MODELS", listed)
    return tmp_path


def edit(folder: Path, old: str, new: str) -> Path:
    manifest = folder / "manifest.toml"
    text = manifest.read_text("utf-8")
    assert old in text
    manifest.write_text(text.replace(old, new, 1), "utf-8")
    return folder


def test_everything_a_manifest_says_arrives(tmp_path: Path) -> None:
    models = load_model_set(write_full_set(tmp_path / "set"))
    assert models.roles == ("locator", "finder", "labeller", "segmenter", "classifier")
    assert models.height_loss_suspected == 0.20
    spec = models.network("classifier")
    assert spec.output.classes == ("osteoporotic", "malignant")
    assert spec.input.patch_zyx == (8, 8, 8)
    assert spec.input.transpose == (0, 1, 2)
    assert (spec.batch.min, spec.batch.opt, spec.batch.max) == (1, 2, 4)
    said = spec.parameters_of(ClassifierParameters)
    assert (said.threshold_malignant, said.threshold_unknown) == (0.85, 0.5)
    assert said.levels == (Level.T12, Level.L1)
    assert spec.sha256 == sha256_of(spec.path)


def test_a_manifest_that_an_editor_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = write_full_set(tmp_path / "set")
    plain = load_model_set(folder)
    file = folder / "manifest.toml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_model_set(folder).networks == plain.networks


def test_hounsfield_units_are_clipped_then_shifted_then_scaled(tmp_path: Path) -> None:
    spec = load_model_set(write_full_set(tmp_path / "set")).network("locator").input
    scaled = spec.normalise(np.array([-3024, -1000, 0, 1000, 3071], np.int16))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [0, 0, 0.5, 1, 1])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('schema = "vfx-edge/model/1"', 'schema = "vfx-edge/model/9"', "schema"),
        ('licence = "Apache-2.0"', "", "'licence' is missing"),
        ('licence = "Apache-2.0"', "licence = 2", "'licence' is 2 and must be a text"),
        ('licence = "Apache-2.0"', 'license = "Apache-2.0"', "'license' is unknown .*licence"),
        ('summary = "', 'sumary = "x"\nsummary = "', "'sumary' is unknown"),
        (
            '"demonstration"',
            '"medical"',
            "'intended_use' is \"medical\" and must be one of clinical, demonstration",
        ),
        (
            'roles = ["locator"]',
            'roles = ["painter"]',
            '"painter".* each one of classifier',
        ),
        ('roles = ["locator"]', "roles = []", r"'roles' is \[\] and must be a list of one or more"),
        ('roles = ["locator"]', 'roles = ["segmenter"]', "filled more than once"),
        (
            "patch_zyx = [8, 8, 8]",
            "patch_zyx = [8, 8]",
            r"'patch_zyx' is \[8,8\] and must be a list of 3",
        ),
        ("patch_zyx = [8, 8, 8]", "patch_zyx = [8, 8, 8.5]", "each a whole number"),
        ("patch_zyx = [8, 8, 8]", "patch_zyx = [8, 8, 99999]", "from 1 to 1024"),
        ("channels = 1", "channels = true", "'channels' is true and must be a whole number"),
        (
            "spacing_mm = 3.0",
            "spacing_mm = -3.0",
            "'spacing_mm' is -3 and must be a number from 0.1 to 20",
        ),
        ("spacing_mm = 3.0", "spacing_mm = nan", "'spacing_mm' is nan and must"),
        ("spacing_mm = 3.0", "spacing_mmm = 3.0", "'spacing_mmm' is unknown .*spacing_mm"),
        ('orientation = "SPL"', 'orientation = "SPP"', "orientation 'SPP'"),
        ('orientation = "SPL"', 'orientation = "SPLL"', "orientation 'SPLL'"),
        ('orientation = "SPL"', 'orientation = "SPL"\ntranspose = [0, 0, 1]', "transpose"),
        ("hu_clip = [-1000, 1000]", "hu_clip = [1000, -1000]", "hu_clip"),
        ("hu_scale = 2000", "hu_scale = 0", "'hu_scale'"),
        (
            "padding_hu = -1000",
            'padding_hu = "zero"',
            "'padding_hu' is \"zero\" and must be .*one of mean",
        ),
        (
            'activation = "softmax"',
            'activation = "relu"',
            "'activation' is \"relu\" and must be one of none, sigmoid, softmax",
        ),
        ("opt = 2", "opt = 9", "min <= opt <= max"),
        ('allowed = ["fp32"]', 'allowed = ["int4"]', '"int4".* each one of bf16, fp16'),
        ('sha256 = "', 'sha256 = "xyz', "64 hexadecimal digits"),
        ('sha256 = "', 'file_fp16 = "locator.onnx"\nsha256 = "', "'sha256_fp16' is missing"),
        ('sha256 = "', 'sha256_fp16 = "' + "0" * 64 + '"\nsha256 = "', "'file_fp16' is missing"),
        ("[network.input]", "[network.inputs]", "in \\[\\[network\\]\\] 'tiny locator'"),
        ("version = ", "version == ", "no valid TOML"),
        ("version = ", "fracture = 7\nversion = ", "'fracture' is 7 and must be a table"),
        ("version = ", "fracture = {height_loss_suspected = 20}\nversion = ", "from 0.01 to 0.99"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = edit(write_full_set(tmp_path / "set"), old, new)
    with pytest.raises(ManifestInvalid, match=says) as caught:
        load_model_set(folder)
    sentence = str(caught.value)
    assert "manifest.toml" in sentence
    assert "\n" not in sentence
    assert sentence.endswith("correct the manifest or reinstall the model set")


@pytest.mark.parametrize(
    ("role", "old", "new", "says"),
    [
        ("classifier", 'allowed = ["fp32"', 'stored = "int8"\nallowed = ["fp16"', "no FP16 form"),
        ("classifier", "threshold_malignant", "treshold_malignant", "'treshold_malignant' is unk"),
        ("classifier", "threshold_malignant = 0.85\n", "", "'threshold_malignant' is missing"),
        ("classifier", "malignant = 0.85", "malignant = 85", "is 85 and must be .* from 0 to 1"),
        ("classifier", '["T12", "L1"]', '["T12", "L9"]', "'levels' is .*\"L9\".* one of C1, C2"),
        ("classifier", '["T12", "L1"]', '["L1", "L1"]', "'levels' names something twice"),
        ("classifier", "levels = ", "mask_margin_mm = -1\nlevels = ", "'mask_margin_mm' is -1"),
        ("classifier", "levels = ", 'centre = "centroid"\nlevels = ', "one of middle, voxel"),
        ("classifier", "levels = ", "mirror = 2\nlevels = ", "true or false, or one of 0, 1"),
        ("classifier", '"malignant"]', '"unknown"]', "'classes' lacks 'malignant'"),
        ("classifier", '"malignant"]', '"malignant", "unkown"]', "'classes' holds 'unkown', known"),
        ("classifier", '"malignant"]', '"malignant", "malignant"]', "'classes' names something"),
        ("segmenter", "guide_sigma_mm = 6.0", "", "'guide_sigma_mm' is missing"),
        ("segmenter", "guide_sigma_mm = 6.0", "guide_sigma_mm = 0", "'guide_sigma_mm' is 0"),
        ("segmenter", '"arch"]', '"arc"]', "'classes' lacks 'arch'"),
        ("segmenter", "channels = 2", "channels = 1", "'channels' is 1 and must be 2"),
        ("labeller", "backward_mm = 8.0", 'backward_mm = "8"', "'backward_mm' is \"8\""),
        ("labeller", '"T12", "L1"]', '"sacrum"]', "'classes' names no vertebra"),
        ("labeller", '"background"', '"sacrum"', "'classes' lacks 'background'"),
        ("finder", '"centre"', '"center"', "'classes' lacks 'centre'"),
        ("finder", "[network.parameters]", "[network.parameters]\nx = 1", r"'x' .*\(known: none\)"),
        ("locator", '"spine"', '"bone"', "'classes' lacks 'spine'"),
        ("labeller+segmenter", '"background"', '"nothing"', "'classes' lacks 'background'"),
        ("labeller+segmenter", '"L1"', '"liver"', "'classes' names no vertebra"),
        ("labeller+segmenter", '"L1"', '"L1", "LWK1"', "'L1' and 'LWK1' all mean 'L1', which only"),
        ("labeller+segmenter", "channels = 1", "channels = 2", "'channels' is 2 and must be 1"),
    ],
)
def test_what_a_role_needs_is_asked_for_when_the_set_is_loaded(
    tmp_path: Path, role: str, old: str, new: str, says: str
) -> None:
    joint = "+" in role
    names = {role: ("background", "L1")} if joint else None
    window = "" if joint else None
    folder = tmp_path / "set"
    write_set(folder, {role: tiny_segmenter()}, base="default", classes=names, window=window)
    load_model_set(folder)
    edit(folder, old, new)
    with pytest.raises(ManifestInvalid, match=says) as caught:
        load_model_set(folder)
    assert f"manifest.toml: in [[network]] 'tiny {role}'" in str(caught.value)


@pytest.mark.parametrize(
    "path", ["../x.onnx", "a/../../x.onnx", "/etc/x.onnx", r"C:\\x.onnx", r"..\\x.onnx", "C:x.onnx"]
)
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    folder = write_full_set(tmp_path / "set")
    (tmp_path / "x.onnx").write_bytes(tiny_segmenter())
    edit(folder, 'file = "locator.onnx"', f'file = "{path}"')
    with pytest.raises(ManifestInvalid, match="inside the model set's folder"):
        load_model_set(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_full_set(tmp_path / "set")
    (folder / "segmenter.onnx").unlink()
    with pytest.raises(ModelFileInvalid, match=r"segmenter\.onnx is missing"):
        load_model_set(folder)


def test_one_changed_byte_is_found_before_the_network_is_opened(tmp_path: Path) -> None:
    spec = load_model_set(write_full_set(tmp_path / "set")).network("segmenter")
    data = bytearray(spec.read())
    data[len(data) // 2] ^= 1
    spec.path.write_bytes(data)
    with pytest.raises(ModelFileInvalid, match=r"segmenter\.onnx has changed \(sha256 [0-9a-f]+…"):
        spec.read()


def test_an_fp16_file_is_checked_like_any_other(tmp_path: Path) -> None:
    folder = write_full_set(tmp_path / "set")
    assert load_model_set(folder).network("segmenter").read_half() is None
    half = folder / "segmenter.fp16.onnx"
    edit(folder, 'file = "segmenter.onnx"', f'file = "segmenter.onnx"\nfile_fp16 = "{half.name}"')
    half.write_bytes(tiny_segmenter(seed=8))
    update_hashes(folder / "manifest.toml")
    spec = load_model_set(folder).network("segmenter")
    assert spec.read_half() == half.read_bytes()
    assert spec.read() == spec.path.read_bytes()
    half.write_bytes(half.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelFileInvalid, match=r"segmenter\.fp16\.onnx has changed"):
        spec.read_half()
    half.unlink()
    with pytest.raises(ModelFileInvalid, match=r"segmenter\.fp16\.onnx is missing"):
        load_model_set(folder)


def test_an_absurd_size_is_refused(tmp_path: Path) -> None:
    spec = load_model_set(write_full_set(tmp_path / "set")).network("segmenter")
    spec.path.write_bytes(b"")
    with pytest.raises(ModelFileInvalid, match="0 bytes"):
        spec.read()
    with spec.path.open("wb") as file:
        file.truncate((2 << 30) + 1)  # sparse: takes no room
    with pytest.raises(ModelFileInvalid, match="2147483649 bytes"):
        spec.read()


def test_a_manifest_that_is_no_text_or_huge(tmp_path: Path) -> None:
    folder = write_full_set(tmp_path / "set")
    (folder / "manifest.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestInvalid, match="UTF-8"):
        load_model_set(folder)
    (folder / "manifest.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(ManifestInvalid, match="larger"):
        load_model_set(folder)


@pytest.mark.parametrize("text", ["x = " + "[" * 10_000, "x = " + "9" * 100_000])
def test_a_manifest_that_ends_its_parser(tmp_path: Path, text: str) -> None:
    folder = write_full_set(tmp_path / "set")
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestInvalid, match="no valid TOML"):
        load_model_set(folder)


def test_names_are_searched_in_order_and_paths_taken_as_they_are(places: Path) -> None:
    write_full_set(places / "second" / "mine", name="from-second")
    assert load_model_set("mine").name == "from-second"
    write_full_set(places / "first" / "mine", name="from-first")
    assert load_model_set("mine").name == "from-first"
    assert load_model_set(places / "second" / "mine").name == "from-second"
    assert load_model_set(str(places / "second" / "mine")).name == "from-second"
    assert (places / "first" / "mine").resolve() in [f.resolve() for f in installed_sets()]
    assert places / "second" / "mine" not in installed_sets()
    assert search_places()[:2] == (places / "first", places / "second")


def test_a_bare_word_may_be_a_folder_right_here(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_full_set(places / "here" / "mine", name="from-here")
    monkeypatch.chdir(places / "here")
    assert load_model_set("mine").name == "from-here"
    write_full_set(places / "first" / "mine", name="from-first")
    assert load_model_set("mine").name == "from-first"  # installed ones go first
    assert load_model_set("./mine").name == "from-here"


@pytest.mark.parametrize("name", ["absent", "./absent", "", "..", "a b", "x/../y", "~nobody/x"])
def test_an_unknown_set_says_where_it_was_looked_for(name: str) -> None:
    with pytest.raises(ModelSetNotFound, match="models list"):
        load_model_set(name)


def test_a_set_may_borrow_roles_from_its_base(places: Path) -> None:
    first = places / "first"
    base = write_full_set(first / "whole", intended_use="demonstration")
    edit(base, "[[network]]", "[fracture]\nheight_loss_suspected = 0.25\n[[network]]")
    net = {"classifier": tiny_segmenter(classes=2, seed=9)}
    own = write_set(first / "own", net, base="whole", intended_use="clinical")
    models = load_model_set("own")
    assert models.roles == NEEDED_ROLES
    assert models.network("classifier").path == (own / "classifier.onnx").resolve()
    assert models.network("segmenter").path.parent.name == "whole"
    assert models.network("segmenter").set_name == "whole"
    assert models.height_loss_suspected == 0.25
    # A borrowed network's limits stay: the whole is only as cleared as its parts.
    assert models.intended_use == "demonstration"


def test_joined_roles_give_up_only_the_role_that_is_replaced(places: Path) -> None:
    first = places / "first"
    write_set(first / "joined", {"locator+finder": tiny_segmenter()})
    write_set(first / "own", {"finder": tiny_segmenter(seed=5)}, base="joined")
    models = load_model_set("own")
    joined = models.network("locator")
    with pytest.raises(TypeError, match="is no classifier"):
        joined.parameters_of(ClassifierParameters)
    assert joined.roles == ("locator",)
    assert models.roles == ("locator", "finder")
    assert models.network("finder").name == "tiny finder"
    with pytest.raises(RoleMissing, match="has no classifier"):
        models.network("classifier")


def test_bases_in_a_circle_are_refused(places: Path) -> None:
    for name, base in (("a", "b"), ("b", "c"), ("c", "a")):
        write_set(places / "first" / name, {"locator": tiny_segmenter()}, base=base)
    with pytest.raises(ManifestInvalid, match=r"circle \(a -> b -> c -> a\)"):
        load_model_set("a")


def test_a_set_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match=r"no \[\[network\]\]"):
        load_model_set(write_set(tmp_path / "empty", {}))


def test_update_hashes_changes_hashes_alone(tmp_path: Path) -> None:
    folder = write_full_set(tmp_path / "set")
    before = (folder / "manifest.toml").read_text("utf-8")
    old = sha256_of(folder / "labeller.onnx")
    (folder / "labeller.onnx").write_bytes(tiny_segmenter(seed=77))
    with pytest.raises(ModelError):
        load_model_set(folder).network("labeller").read()
    update_hashes(folder / "manifest.toml")
    load_model_set(folder).network("labeller").read()
    after = (folder / "manifest.toml").read_text("utf-8")
    assert after == before.replace(old, sha256_of(folder / "labeller.onnx"))
    assert sorted(p.suffix for p in folder.iterdir()) == [
        ".md",
        *[".onnx"] * len(NEEDED_ROLES),
        ".toml",
    ]


def test_specs_can_not_be_changed(tmp_path: Path) -> None:
    spec = load_model_set(write_full_set(tmp_path / "set")).network("segmenter")
    with pytest.raises(AttributeError):
        spec.name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        spec.parameters[0].guide_sigma_mm = 0.1  # type: ignore[attr-defined]
