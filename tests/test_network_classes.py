"""[network.classes]: whatever a network calls its classes, the chain sees the product's names."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from tests.spine.nets import network, spec_of
from tests.tiny_models import write_full_set
from vfx_edge.backends import Array
from vfx_edge.backends.errors import OnnxInvalid
from vfx_edge.backends.proof import ask_once
from vfx_edge.manifest import ManifestInvalid, NetworkSpec, load_model_set
from vfx_edge.manifest.writing import manifest_text

OWN = ("normal", "metastasis", "benign", "artefact", "myeloma")
MEANT = {"benign": "osteoporotic", "metastasis": "malignant", "myeloma": "malignant",
         "normal": "intact", "artefact": "unknown"}  # fmt: skip


def written(
    folder: Path, role: str, classes: tuple[str, ...], table: dict[str, str], how: str
) -> NetworkSpec:
    """The spec of a set whose network of that role calls its classes so."""
    place = write_full_set(folder / "set", classes={role: classes})
    manifest = place / "manifest.toml"
    head, own, rest = manifest.read_text("utf-8").partition(f'roles = ["{role}"]')
    said = manifest_text({}, [{"classes": table}]).partition("[[network]]\n")[2] if table else ""
    changed = rest.replace("[network.batch]", f"{said}[network.batch]", 1)
    changed = changed.replace('activation = "softmax"', f'activation = "{how}"', 1)
    manifest.write_text(head + own + changed, "utf-8")
    return load_model_set(place).network(role)


LEVELS = ("bg", "LWK1", "Th12", "19", "sacrum", "Kreuz bein")


@pytest.mark.parametrize(
    ("role", "classes", "table", "seen", "words"),
    [
        ("classifier", OWN, MEANT, ("intact", "malignant", "osteoporotic", "unknown"),
         "normal → intact, metastasis → malignant, benign → osteoporotic, artefact → unknown, "
         "myeloma → malignant"),
        ("classifier", ("malignant", "noise", "osteoporotic"), {"noise": ""},
         ("malignant", "osteoporotic"), "never read: noise"),
        ("labeller", LEVELS, {"bg": "background", "Kreuz bein": "sacrum", "19": ""},
         ("background", "L1", "T12", "sacrum"),
         "bg → background, LWK1 → L1, Th12 → T12, Kreuz bein → sacrum; never read: 19"),
        ("labeller", ("background", "L1", "liver"), {}, ("background", "L1", "liver"),
         "never read: liver"),
        ("segmenter", ("air", "arch", "body"), {"air": "background"},
         ("background", "arch", "body"), "air → background"),
    ],
)  # fmt: skip
def test_names_are_mapped_and_what_is_dropped_is_listed(
    tmp_path: Path, role: str, classes: tuple[str, ...], table: dict[str, str],
    seen: tuple[str, ...], words: str,
) -> None:  # fmt: skip
    spec = written(tmp_path, role, classes, table, "softmax")
    assert (spec.output.classes, spec.classes, spec.class_words) == (classes, seen, words)


@pytest.mark.parametrize(
    ("role", "classes", "table", "how", "says"),
    [
        ("classifier", ("benign", "malignant"), {}, "softmax",
         r"lacks 'osteoporotic' .*; say in \[network.classes\] what its own names mean"),
        ("classifier", OWN, {**MEANT, "bening": "intact"}, "softmax",
         r"\[network.classes\], 'bening' is no class of the network \(it has normal, meta"),
        ("classifier", OWN, {**MEANT, "normal": "healthy"}, "softmax",
         "'normal' is 'healthy' and must be one of osteoporotic, malignant, unknown, intact, or "),
        ("classifier", OWN, {k: v for k, v in MEANT.items() if k != "myeloma"}, "softmax",
         "'classes' holds 'myeloma', known are"),
        ("classifier", OWN, MEANT, "sigmoid",
         "'metastasis' and 'myeloma' all mean 'malignant', and probabilities of a sigmoid can't"),
        ("labeller", LEVELS, {"bg": "background", "LWK1": "L9"}, "softmax",
         "must be one of background, rib, sacrum, a level such as L1, or"),
        ("labeller", ("background", "TH12", "D12"), {}, "sigmoid", "'TH12' and 'D12' all mean"),
        ("segmenter", ("background", "body", "arch"), {"body": "corpus"}, "softmax",
         "'body' is 'corpus' and must be one of background, body, arch, or"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_table_and_key(
    tmp_path: Path, role: str, classes: tuple[str, ...], table: dict[str, str], how: str, says: str
) -> None:
    with pytest.raises(ManifestInvalid, match=says) as caught:
        written(tmp_path, role, classes, table, how)
    assert f"'tiny {role}'" in str(caught.value)


def mapped(classes: tuple[str, ...], table: dict[str, str], activation: str) -> NetworkSpec:
    spec = spec_of("classifier", patch_zyx=(4, 4, 4))
    output = replace(spec.output, classes=classes, activation=activation)
    return replace(spec, output=output, renamed=table)


def test_probabilities_come_under_the_products_names() -> None:
    """Added where several mean one, without what is dropped; the shares of the rest stay."""
    raw = np.log(np.array([[1, 2, 3, 4, 10]], np.float32))
    spec = mapped(OWN, {**MEANT, "artefact": ""}, "softmax")
    net = network(spec, partial(_always, raw))
    batch = np.zeros(spec.shape(2), np.float32)
    said = dict(zip(spec.classes, net.probabilities(batch).T, strict=True))
    assert {name: round(float(p[1]), 6) for name, p in said.items()} == {
        "intact": 0.05, "malignant": 0.6, "osteoporotic": 0.15,
    }  # fmt: skip
    np.testing.assert_array_equal(net.run(batch)[0], raw[0])


def _always(row: Array, _: NetworkSpec, batch: Array) -> Array:
    return np.repeat(row, len(batch), 0)


def test_what_is_added_has_to_be_shares_of_one_whole() -> None:
    """ "none" leaves open what the file does: it is asked when it is opened."""
    spec = mapped(OWN, MEANT, "none")
    for each, fits in ((0.2, True), (0.7, False)):
        row = np.full((1, 5), each, np.float32)
        net = network(spec, partial(_always, row))
        if fits:
            ask_once(net)
            continue
        with pytest.raises(OnnxInvalid, match=r"can't be added by \[network.classes\]"):
            ask_once(net)
