"""A model set that is demanded by its digest or by a signature is that one, or nothing is read.

`data/signed_set` was signed by minisign 0.11 itself; `other.pub` is another key of it.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

import minisign
import pytest

from tests.tiny_models import tiny_segmenter, write_set
from vfx_edge.backends import tensorrt_rtx_backend
from vfx_edge.backends import tensorrt_rtx_runtime as runtime
from vfx_edge.backends.tensorrt_rtx_engine import beside_set, build_engine, wanted_key
from vfx_edge.errors import ModelError
from vfx_edge.manifest import (
    Demand,
    ModelFileInvalid,
    ModelKeyUnusable,
    ModelSetNotTheOne,
    ModelSetNotTrusted,
    load_model_set,
)

DATA = Path(__file__).parent / "data" / "signed_set"
SITE, OTHER = DATA / "site.pub", DATA / "other.pub"
FIRST_OF_SET = hashlib.sha256((DATA / "manifest.toml").read_bytes()).hexdigest()


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "signed"))


def test_what_minisign_signed_is_read(signed: Path) -> None:
    manifest = load_model_set(signed, Demand(FIRST_OF_SET.upper(), SITE))
    assert manifest.digest == FIRST_OF_SET
    assert manifest.network("locator").read()


def test_what_another_signed_or_nobody_is_not(signed: Path) -> None:
    with pytest.raises(ModelSetNotTrusted, match=r"not signed by .*other\.pub"):
        load_model_set(signed, Demand(key=OTHER))
    (signed / "manifest.toml.minisig").unlink()
    with pytest.raises(ModelSetNotTrusted, match=r"manifest\.toml\.minisig is missing"):
        load_model_set(signed, Demand(key=SITE))
    assert load_model_set(signed).name == "signed"


@pytest.mark.parametrize("name", ["manifest.toml", "manifest.toml.minisig"])
def test_every_byte_counts(signed: Path, name: str) -> None:
    """Wherever a byte is changed, the set is refused; the comment that the signature does not cover
    is the one exception that minisign makes, and it is never shown."""
    whole = (signed / name).read_bytes()
    free = whole.index(b"\n") if name.endswith(".minisig") else 0
    for at in range(free, len(whole) - 1, 7):
        (signed / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelSetNotTrusted):
            load_model_set(signed, Demand(key=SITE))


@pytest.mark.parametrize("what", [b"", b"\0" * 99, b"untrusted comment: x\n", b"\xff\n" * 4, None])
def test_a_signature_or_a_key_that_is_none(signed: Path, what: bytes | None) -> None:
    signature, key = signed / "manifest.toml.minisig", signed / "site.pub"
    for path, given, error in (
        (signature, SITE, ModelSetNotTrusted),
        (key, key, ModelKeyUnusable),
    ):
        path.unlink()
        if what is None:
            path.mkdir()
        else:
            path.write_bytes(what)
        with pytest.raises(error):
            load_model_set(signed, Demand(key=given))


def test_what_was_checked_is_what_is_read(signed: Path) -> None:
    """The manifest is replaced right after its check, and the network after the manifest's."""

    class Swapping(Demand):
        def check_signed(self, path: Path, manifest: bytes) -> None:
            super().check_signed(path, manifest)
            path.write_bytes(manifest.replace(b'version = "1.0"', b'version = "6.6"'))

    manifest = load_model_set(signed, Swapping(key=SITE))
    assert manifest.version == "1.0"
    (signed / "locator.onnx").write_bytes(tiny_segmenter(seed=66))
    with pytest.raises(ModelFileInvalid, match="has changed"):
        manifest.network("locator").read()


def test_a_base_is_part_of_the_set(
    tmp_path: Path, signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VFX_EDGE_MODELS", str(tmp_path))
    base = tmp_path / "below"
    write_set(base, {"finder": tiny_segmenter()})
    own = write_set(signed, {"locator": tiny_segmenter()}, base="below")
    pair = minisign.KeyPair.generate()
    key = tmp_path / "key.pub"
    key.write_bytes(bytes(pair.public_key))
    before = load_model_set(own).digest

    def sign(folder: Path) -> None:
        given = pair.secret_key.sign((folder / "manifest.toml").read_bytes())
        (folder / "manifest.toml.minisig").write_bytes(bytes(given))

    sign(own)
    with pytest.raises(ModelSetNotTrusted, match=r"below/manifest\.toml is not signed"):
        load_model_set(own, Demand(key=key))
    sign(base)
    assert load_model_set(own, Demand(before, key)).roles == ("locator", "finder")
    write_set(base, {"finder": tiny_segmenter(seed=2)})
    with pytest.raises(ModelSetNotTheOne, match=f"{before[:12]}…"):
        load_model_set(own, Demand(before))


def test_an_engine_beside_a_demanded_set_is_not_used(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing vouches for it but the file beside it, which whoever swaps it can write, too."""
    monkeypatch.setenv("VFX_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "version", lambda: "1.7.1")
    monkeypatch.setattr(runtime, "build", lambda *_: b"strange engine")
    spec = load_model_set(signed).network("locator")
    build_engine(spec, spec.read(), wanted_key(spec, 75), beside_set(spec, 75))
    monkeypatch.setattr(runtime, "build", lambda *_: b"own engine")
    demanded = load_model_set(signed, Demand(key=SITE)).network("locator")
    for one, engine in ((spec, b"strange engine"), (demanded, b"own engine")):
        assert tensorrt_rtx_backend._fresh_engine(one, one.read(), 75)[0] == engine


@pytest.mark.skipif(shutil.which("minisign") is None, reason="needs the program minisign")
def test_the_way_of_the_documents(tmp_path: Path) -> None:
    """`minisign -G`, `minisign -S`: the program's own files, made now."""
    folder = write_set(tmp_path / "mine", {"locator": tiny_segmenter()})
    public, secret = tmp_path / "site.pub", tmp_path / "site.key"
    for words in (
        ("-G", "-W", "-p", public, "-s", secret),
        ("-S", "-s", secret, "-m", folder / "manifest.toml"),
    ):
        subprocess.run(["minisign", *map(str, words)], check=True, capture_output=True)
    assert load_model_set(folder, Demand(key=public)).name == "mine"
    with pytest.raises(ModelError):
        load_model_set(folder, Demand(key=SITE))
