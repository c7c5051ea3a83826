"""Nothing but the files given decides the answer: the same twice, without a network, by a model set
that is the one demanded."""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import minisign
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO

from tests.contract.conftest import Command, call

EVERYTHING = ("--outputs", "json,html,sr,seg,sc,nifti", "--quiet")
TIMES = {
    *("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime", "ContentDate"),
    *("ContentTime", "ContributionDateTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
}
"""When the result was made; the source's own dates stay."""
LINE_OF_THE_MINUTE = slice(-80, -55)
"""Rows of a secondary capture, from below, that hold the line with the minute of the run."""
PASSED = "1.2.840.10008."
"""The standard's own UIDs."""


@pytest.fixture(scope="module")
def signed_set(default_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped set, signed by a key that lies beside it as site.pub."""
    folder = Path(shutil.copytree(default_models, tmp_path_factory.mktemp("signed") / "default"))
    pair = minisign.KeyPair.generate()
    signature = pair.secret_key.sign((folder / "manifest.toml").read_bytes())
    (folder / "manifest.toml.minisig").write_bytes(bytes(signature))
    (folder / "site.pub").write_bytes(bytes(pair.public_key))
    return folder


@pytest.fixture(scope="module")
def demanded(signed_set: Path) -> tuple[object, ...]:
    """The options of a site that trusts this set alone."""
    verified = call(
        *("models", "verify", signed_set, "--public-key", signed_set / "site.pub", "--hashes-only"),
        cwd=signed_set,
    )
    assert verified.code == 0, verified
    (digest,) = re.findall(r"digest ([0-9a-f]{64}), signed by ", verified.stdout)
    key = signed_set / "site.pub"
    return "--model", signed_set, "--model-digest", digest, "--model-key", key


def without_network() -> list[str]:
    """What to put before a command so that it has no network, not even 127.0.0.1."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux and unshare")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network namespace here")
    return prefix


def traced(log: Path) -> list[str]:
    """What to put before a command so that `log` gets each of its calls to the network."""
    prefix = ["strace", "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", str(log)]
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody trace a process")
    return prefix


@pytest.fixture(scope="module")
def first(
    phantom: Path, demanded: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The results of a run whose process had no network: cwd/out, and cwd/network.log."""
    cwd = tmp_path_factory.mktemp("first")
    prefix = ["env", "PYTHONHASHSEED=1", *without_network(), *traced(cwd / "network.log")]
    answer = call("run", phantom, "--out", "out", *EVERYTHING, *demanded, cwd=cwd, prefix=prefix)
    assert answer.code == 0, answer
    return cwd


def test_a_run_speaks_to_no_network(first: Path) -> None:
    """One socket is opened, by urllib3 when pydicom imports it: it asks whether this machine has
    IPv6 by binding ::1, and is closed at once."""
    calls = (first / "network.log").read_text("utf-8").splitlines()
    allowed = re.compile(
        r"socket\((AF_UNIX|AF_INET6, SOCK_STREAM\|SOCK_CLOEXEC, IPPROTO_IP\))"
        r'|socketpair\(AF_UNIX|bind\(\d+, \{sa_family=AF_INET6, .*"::1"'
        r"|(connect|sendto|sendmsg|recvfrom|recvmsg)\(\d+.*AF_UNIX|getsockname\(|shutdown\("
        r"|<\.\.\. \w+ resumed>"
    )
    assert [line for line in calls if not allowed.search(line)] == []


@pytest.mark.parametrize("words", [("doctor",), ("models", "verify", "--hashes-only")])
def test_what_looks_at_the_machine_needs_no_network(vfx: Command, words: tuple[str, ...]) -> None:
    answer = vfx(*words, prefix=without_network())
    assert (answer.code, answer.stderr) == (0, "")


def test_the_same_scan_gives_the_same_files(
    first: Path, phantom: Path, demanded: tuple[object, ...], tmp_path: Path
) -> None:
    """Under other file names, in another order, in other folders, by another hash seed: every file
    is the same, byte for byte, but for times, durations, memory and the new objects' UIDs."""
    slices = sorted(phantom.glob("*.dcm"))
    names = random.Random(1).sample(range(10**6), len(slices))
    for path, name in zip(slices, names, strict=True):
        (tmp_path / "ct" / str(name % 3)).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "ct" / str(name % 3) / f"{name:06d}")
    again = call(
        *("run", tmp_path / "ct", "--out", "out", *EVERYTHING, *demanded),
        cwd=tmp_path,
        prefix=["env", "PYTHONHASHSEED=2"],
    )
    assert again.code == 0, again
    known = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in slices}
    one, two = (dict(comparable(folder / "out", known)) for folder in (first, tmp_path))
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def comparable(folder: Path, known: set[str]) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each result without what differs from run to run by right."""
    fresh: dict[str, str] = {}
    for path in sorted(folder.rglob("*.*")):
        name, data = path.relative_to(folder).as_posix(), path.read_bytes()
        if path.suffix == ".dcm":
            yield name, _without_times(pydicom.dcmread(path), known, fresh)
        elif path.suffix in (".json", ".html"):
            yield name, _TIMED.sub(b"-", data)
        else:
            yield name, data


_TIMED = re.compile(
    rb'(?<="started_at": )"[^"]+"|(?<="seconds": )\{[^}]*\}|(?<="peak_rss_mib": )[\d.]+'
    rb"|(?<=<dt>Started</dt><dd>)[^<]+|(?<=<dt>Peak memory</dt><dd>)[^<]+"
    rb"|(?<=<h3>Seconds</h3>).*?(?=</dl>)",
    re.DOTALL,
)


def _without_times(data: Dataset, known: set[str], fresh: dict[str, str]) -> bytes:
    """The object's bytes; each UID that is neither the source's nor the standard's is replaced by
    the number of its first appearance in any of the objects."""
    series = {str(data.StudyInstanceUID), str(data.get("FrameOfReferenceUID", ""))}
    for part in (data.file_meta, data):
        for element in part.iterall():
            if element.VR == "UI":
                uid = str(element.value)
                if not uid.startswith(PASSED) and uid not in known | series:
                    element.value = fresh.setdefault(uid, f"2.25.{len(fresh)}")
            elif element.keyword in TIMES:
                element.value = ""
    if "PixelData" in data and data.Modality == "OT":
        pixels = data.pixel_array.copy()
        pixels[LINE_OF_THE_MINUTE] = 0
        data.PixelData = pixels.tobytes()
    written = DicomBytesIO()
    pydicom.dcmwrite(written, data, enforce_file_format=True)
    return bytes(written.getvalue())


def test_another_set_is_refused_before_anything_is_written(
    phantom: Path, signed_set: Path, demanded: tuple[object, ...], vfx: Command, tmp_path: Path
) -> None:
    run = ("run", phantom, "--out", tmp_path / "out")
    unsigned = vfx(*run, "--model-key", signed_set / "site.pub").assert_refused(4)
    assert "is not signed (manifest.toml.minisig is missing)" in unsigned
    other = vfx(*run, "--model-digest", "0" * 64).assert_refused(4)
    assert "model set 'default' is not the one that is demanded" in other
    changed = Path(shutil.copytree(signed_set, tmp_path / "default"))
    with (changed / "locator.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\xfe")
    words = (*demanded[:1], changed, *demanded[2:])
    assert "locator.onnx has changed" in vfx(*run, *words).assert_refused(4)
    vfx("run", phantom, "--model-key", phantom / "truth.json").assert_refused(2)
    assert not (tmp_path / "out").exists()


def test_the_service_does_not_start_with_another_set(vfx: Command, tmp_path: Path) -> None:
    settings = tmp_path / "service.toml"
    settings.write_text(f'spool = "{tmp_path / "spool"}"\nmodel_digest = "{"0" * 64}"\n', "utf-8")
    answer = vfx("watch", tmp_path, "--config", settings)
    assert answer.code == 4, answer
    assert "is not the one that is demanded" in answer.stderr
    settings.write_text('model_digest = "abc"\n', "utf-8")
    assert "model_digest must be 64 hex" in vfx("watch", ".", "--config", settings).stderr
