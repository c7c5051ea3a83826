"""Zips of strangers at every door that takes one: refused in a sentence, and never a traceback."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from export import zips
from export.checkpoints import read_checkpoint
from export.monai_bundle import METADATA, SCRIPT, read_bundle
from export.nnunet_files import model_folder
from export.programs import open_program
from vfx_edge.errors import ModelError

MEMBERS = {
    "net/data.pkl": bytes(range(256)) * 40,
    f"net/configs/{METADATA}": b"{}  " * 999,
    f"net/{SCRIPT}": bytes(range(256)) * 40,
}
OPENED, CODED = b"PK\x03\x04", b"PK\x01\x02"
"""Before a member, and before its line in the list at the end."""


def whole(members: dict[str, bytes] = MEMBERS) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return bytearray(stream.getvalue())


def changed(data: bytearray, mark: bytes, at: int, new: bytes) -> bytearray:
    """Bytes `at` so many behind each mark replaced."""
    place = data.find(mark)
    while place >= 0:
        data[place + at : place + at + len(new)] = new
        place = data.find(mark, place + 4)
    return data


HARM: dict[str, bytearray] = {
    "damaged inside": changed(whole(), OPENED, 60, b"\xff" * 9),
    "encrypted": changed(changed(whole(), OPENED, 6, b"\x01"), CODED, 8, b"\x01"),
    "another packing": changed(changed(whole(), OPENED, 8, b"\x63"), CODED, 10, b"\x63"),
    "a damaged list": changed(whole(), CODED, 0, b"XXXX"),
    "a bomb": whole({name: bytes(1 << 20) for name in MEMBERS}),
    "a name that leads out": whole({f"net/../{name}": data for name, data in MEMBERS.items()}),
    "a pickle with a zip's end": bytearray(b"cos\nsystem\n.") + whole()[-22:],
}


@pytest.mark.parametrize("door", [open_program, read_bundle, read_checkpoint, model_folder])
@pytest.mark.parametrize("harm", HARM)
def test_each_door_refuses_it(
    door: Callable[[Path], Any], harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "SMALL", 1 << 19)
    (tmp_path / "net.zip").write_bytes(HARM[harm])
    with pytest.raises(ModelError) as caught:
        door(tmp_path / "net.zip")
    assert "\n" not in str(caught.value)
    if harm == "a bomb" and door is not read_checkpoint:  # torch's own reader takes no such zip
        assert "would be 1 MB, and such a file never is" in str(caught.value)
