"""Zip files: bombs, names that lead outside, encryption, nesting, sizes that lie."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.corpus.case import BASE, MIDDLE, Base, Case, Make, Outcome, Reads, Refused

BROKEN = Refused("can't be unpacked|DICOM|can't be used")
BOMB = Refused("which no CT study does|can't be unpacked|DICOM")
OUTSIDE = "/vfx-edge-was-here"
"""An absolute name that no run may make."""


def zipped(
    members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    """A zip file of members by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, kind)
        archive.comment = comment
    return stream.getvalue()


def _members(base: Base, name: str = "ct/IM{:04d}") -> dict[str, bytes]:
    return {name.format(n): content for n, content in enumerate(base.contents)}


def _file(content: Callable[[Base], bytes], name: str = "study.zip") -> Make:
    def make(base: Base, folder: Path) -> Path:
        (folder / "in").mkdir()
        (folder / "in" / name).write_bytes(content(base))
        return folder / "in" / name

    return make


def _changed(edit: Callable[[bytes], bytes]) -> Callable[[Base], bytes]:
    return lambda base: edit(zipped(_members(base)))


def _with(more: dict[str, bytes]) -> Callable[[Base], bytes]:
    return lambda base: zipped({**_members(base), **more})


def _first_of(content: bytes, signature: bytes, at: int, new: bytes) -> bytes:
    """Bytes of the first record of a kind overwritten."""
    place = content.index(signature) + at
    return content[:place] + new + content[place + len(new) :]


def _directory(at: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: _first_of(content, b"PK\1\2", at, new)


def _local(at: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: _first_of(content, b"PK\3\4", at, new)


def _end(at: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: _first_of(content, b"PK\5\6", at, new)


def _nested(base: Base) -> bytes:
    return zipped({"inner.zip": zipped(_members(base))})


def _link(base: Base) -> bytes:
    """A member that says it is a symbolic link to a file of the system."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in _members(base).items():
            archive.writestr(name, content)
        link = zipfile.ZipInfo("ct/link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return stream.getvalue()


def _overlapping(base: Base) -> bytes:
    """Every entry of the directory points at the same packed megabytes (D. Fifield's bomb)."""
    content = zipped({f"{n:04d}": b"" for n in range(300)} | {"z": bytes(8 << 20)})
    at = content.index(b"PK\1\2")
    last = content.rindex(b"PK\1\2")
    header, sizes = content[last + 42 : last + 46], content[last + 16 : last + 28]
    out = bytearray(content)
    while (at := content.find(b"PK\1\2", at)) >= 0:
        out[at + 42 : at + 46], out[at + 16 : at + 28] = header, sizes
        out[at + 10 : at + 12] = content[last + 10 : last + 12]
        at += 4
    return bytes(out)


def _many(base: Base) -> bytes:
    return zipped({**_members(base), **{f"junk/{n}": b"x" for n in range(3000)}})


def _too_many(_base: Base) -> bytes:
    return zipped({str(n): b"x" for n in range(100_001)}, zipfile.ZIP_STORED)


ARCHIVES: dict[str, tuple[Callable[[Base], bytes], tuple[Outcome, ...]]] = {
    "as it should be": (lambda b: zipped(_members(b)), (BASE,)),
    "stored": (lambda b: zipped(_members(b), zipfile.ZIP_STORED), (BASE,)),
    "LZMA": (lambda b: zipped(_members(b), zipfile.ZIP_LZMA), (BASE,)),
    "BZIP2": (lambda b: zipped(_members(b), zipfile.ZIP_BZIP2), (BASE,)),
    "names that lead up": (lambda b: zipped(_members(b, "../../../IM{:04d}")), (BASE,)),
    "absolute names": (lambda b: zipped(_members(b, OUTSIDE + "/IM{:04d}")), (BASE,)),
    "names of Windows": (lambda b: zipped(_members(b, "C:\\CT\\..\\IM{:04d}")), (BASE,)),
    "names with nul": (lambda b: zipped(_members(b, "a\0b{:04d}")), (BASE,)),
    "names of a terminal's commands": (lambda b: zipped(_members(b, "\x1b[2J{:04d}")), (BASE,)),
    "names of 60,000 letters": (lambda b: zipped(_members(b, "n" * 60_000 + "{:04d}")), (BASE,)),
    "one name for all": (
        lambda b: _one_name(b),
        (BASE, BROKEN, Refused("too few|single")),
    ),
    "a folder as name": (lambda b: zipped({**_members(b), "ct/": b""}), (BASE,)),
    "junk beside": (_with({"README.txt": b"hello", "a/.DS_Store": bytes(6000)}), (BASE,)),
    "a link": (_link, (BASE,)),
    "3,000 files of junk": (_many, (BASE,)),
    "a comment": (lambda b: zipped(_members(b), comment=b"c" * 60_000), (BASE,)),
    "bytes in front": (_changed(lambda c: b"\x5a" * 3000 + c), (BASE, BROKEN)),
    "bytes behind": (_changed(lambda c: c + b"\x5a" * 3000), (BASE, BROKEN)),
    "empty": (lambda b: zipped({}), (Refused("DICOM|can't be"),)),
    "text alone": (lambda b: zipped({"a.txt": b"hello"}), (Refused("DICOM"),)),
    "a zip in a zip": (_nested, (Refused("DICOM"), BASE)),
    "cut in the middle": (_changed(lambda c: c[: len(c) // 2]), (BROKEN,)),
    "cut at the end": (_changed(lambda c: c[:-10]), (BROKEN,)),
    "without its directory": (_changed(lambda c: c[: c.index(b"PK\1\2")]), (BROKEN,)),
    "encrypted": (
        _changed(lambda c: _local(6, b"\1")(_directory(8, b"\1")(c))),
        (Refused("encrypted|can't be unpacked"),),
    ),
    "a method of nonsense": (
        _changed(lambda c: _local(8, b"\x63")(_directory(10, b"\x63")(c))),
        (BROKEN,),
    ),
    "checksum wrong": (_changed(_directory(16, b"\0\0\0\0")), (BROKEN,)),
    "size stated too small": (_changed(_directory(24, b"\1\0\0\0")), (BROKEN, BASE)),
    "size stated too large": (_changed(_directory(24, b"\0\0\0\x7f")), (BROKEN, BOMB)),
    "packed size of 2 GiB stated": (_changed(_directory(20, b"\xff\xff\xff\x7f")), (BROKEN, BASE)),
    "offset past the end": (_changed(_directory(42, b"\xff\xff\xff\x7f")), (BROKEN,)),
    "name length of 65,535": (_changed(_directory(28, b"\xff\xff")), (BROKEN,)),
    "local name differs": (_changed(_local(30, b"XX")), (BROKEN, BASE)),
    "a directory at offset 4 GiB": (_changed(_end(16, b"\xfe\xff\xff\xff")), (BROKEN,)),
    "65,535 entries stated": (_changed(_end(8, b"\xfe\xff\xfe\xff")), (BROKEN, BASE)),
    "middle of FF": (_changed(lambda c: c[:20000] + b"\xff" * 900 + c[20900:]), (BROKEN,)),
    "a bomb of 3 GiB": (lambda b: _bomb(3), (BOMB,)),
    "a bomb beside": (
        lambda b: zipped({**_members(b), "bomb": bytes(400 << 20)}),
        (BOMB, BASE),
    ),
    "a bomb that lies of its size": (lambda b: _lying_bomb(), (BOMB, BROKEN)),
    "entries that overlap": (_overlapping, (BOMB, BROKEN)),
    "100,001 files": (_too_many, (BOMB,)),
    "one slice cut": (
        lambda b: zipped(
            {
                name: content[: len(content) // 2] if n == MIDDLE else content
                for n, (name, content) in enumerate(_members(b).items())
            }
        ),
        (Reads(warns="left out|passed over", but_for=(MIDDLE,)),),
    ),
}
SLOW = {"a bomb of 3 GiB", "a bomb beside", "100,001 files", "entries that overlap"}


def _one_name(base: Base) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for content in base.contents:
            archive.filelist.append(_stored(archive, stream, content))
    return stream.getvalue()


def _stored(archive: zipfile.ZipFile, stream: io.BytesIO, content: bytes) -> zipfile.ZipInfo:
    """A member written without zipfile's warning of a name that is there already."""
    archive.NameToInfo.pop("ct/IM", None)
    archive.writestr("ct/IM", content)
    return archive.filelist.pop()


def _bomb(gib: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            with archive.open(f"{number}.dcm", "w", force_zip64=True) as member:
                for _ in range(gib * 16):
                    member.write(bytes(1 << 24))
    return stream.getvalue()


def _lying_bomb() -> bytes:
    """100 MiB that say they are 1,000 bytes."""
    content = zipped({"a.dcm": bytes(100 << 20)})
    small = struct.pack("<I", 1000)
    return _local(22, small)(_directory(24, small)(content))


def cases() -> Iterator[Case]:
    for name, (content, outcomes) in ARCHIVES.items():
        yield Case("zip", name, _file(content), outcomes, slow=name in SLOW)
    other = _file(lambda b: zipped(_members(b)), "study.dcm")
    yield Case("zip", "named .dcm", other, (BASE,))
    text = _file(lambda b: b"PK\3\4 this is no zip " * 100)
    yield Case("zip", "no zip at all", text, (Refused("DICOM|unpacked"),))
