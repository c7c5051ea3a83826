"""What a path can be: nothing, devices, circles, names in any encoding, a folder full of junk."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from pydicom.encaps import encapsulate

from tests.hostile.corpus.case import (
    BASE,
    Base,
    Case,
    Make,
    Outcome,
    Reads,
    Refused,
    path_of_bytes,
    write,
    write_bytes,
)
from tests.hostile.corpus.codes import CODECS, codes_of, held
from tests.hostile.corpus.nifti import nifti_of

NOTHING = Refused("DICOM")
NAMES: dict[str, bytes] = {
    "Latin-1": b"Patient M\xfcller #1",
    "a line break": b"a\nb",
    "a tab and a bell": b"a\t\x07b",
    "quotes": b'it\'s "x" `y` $z',
    "blanks alone": b"   ",
    "a percent sign": b"100%s %d %n",
    "Japanese": "患者 山田".encode(),
    "combined and right to left": "Mu\u0308ller \u202eabc".encode(),
    "leading minus": b"-rf",
    "two dots": b"..ct",
    "240 letters": b"n" * 240,
    "a brace and brackets": b"{0.A} [b]",
}
"""Names of the folder; each holds plain and compressed slices, or a NIfTI."""


def _folder(name: bytes) -> Make:
    def make(base: Base, folder: Path) -> Path:
        return write_bytes(path_of_bytes(folder, name), base.contents)

    return make


def _compressed(name: bytes) -> Make:
    def make(base: Base, folder: Path) -> Path:
        slices = base.slices()
        for one, code in zip(slices, codes_of(base, "JPEG2000"), strict=True):
            held(one, encapsulate([code]))
            one.file_meta.TransferSyntaxUID = CODECS["JPEG2000"]
        return write(path_of_bytes(folder, name), slices)

    return make


def _nifti(name: bytes) -> Make:
    def make(base: Base, folder: Path) -> Path:
        inside = path_of_bytes(folder, name)
        inside.mkdir()
        (inside / "ct.nii").write_bytes(nifti_of(base))
        return inside / "ct.nii"

    return make


def _file_names(base: Base, folder: Path) -> Path:
    inside = folder / "in"
    inside.mkdir()
    odd = [b"\xff%d", b" %d", b"-%d", b"a\n%d", b"%d.nii", b"%d.zip", b"DICOMDIR%d", b".hidden%d"]
    for number, content in enumerate(base.contents):
        path_of_bytes(inside, odd[number % len(odd)] % number).write_bytes(content)
    return inside


def _beside(add: Callable[[Path], None]) -> Make:
    """The base, and something else in its folder."""

    def make(base: Base, folder: Path) -> Path:
        write_bytes(folder / "in" / "ct", base.contents)
        add(folder / "in")
        return folder / "in"

    return make


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe.dcm")


def _socket(folder: Path) -> None:
    bound = socket.socket(socket.AF_UNIX)
    here = os.open(folder, os.O_RDONLY)  # the address may be 108 bytes long
    try:
        bound.bind(f"/proc/self/fd/{here}/s.dcm")
    finally:
        os.close(here)
        bound.close()


def _links(folder: Path) -> None:
    (folder / "circle").symlink_to(folder)
    (folder / "ct" / "up").symlink_to(folder.parent)
    (folder / "self").symlink_to("self")
    (folder / "gone").symlink_to("nowhere")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "null").symlink_to("/dev/null")


def _deep(folder: Path) -> None:
    here = folder
    for number in range(200):
        here = here / f"d{number % 10}"
        here.mkdir()


def _empty_files(folder: Path) -> None:
    for number in range(500):
        (folder / f"{number}.dcm").write_bytes(b"")


def _junk(folder: Path) -> None:
    (folder / "junk").mkdir()
    for number in range(1000):
        (folder / "junk" / f"{number}.dcm").write_bytes(b"junk %d" % number)


def _system_files(folder: Path) -> None:
    for name in ("Thumbs.db", ".DS_Store", "._IM0001", "autorun.inf", "desktop.ini", "viewer.exe"):
        (folder / name).write_bytes(b"MZ" + bytes(5000))


def _large_hole(folder: Path) -> None:
    """A file of 8 GiB that takes no room."""
    with (folder / "hole.dcm").open("wb") as file:
        file.truncate(8 << 30)


def _large_dicom_hole(base: Base, folder: Path) -> Path:
    """The same with a DICOM header in front, and pixels behind it that fill it."""
    inside = write_bytes(folder / "in", base.contents)
    with (inside / "hole.dcm").open("wb") as file:
        file.write(base.contents[0])
        file.truncate(8 << 30)
    return inside


def _no_permission(base: Base, folder: Path) -> Path:
    inside = write_bytes(folder / "in", base.contents)
    (inside / "IM0012").chmod(0)
    (inside / "locked").mkdir(mode=0)
    return inside


def _single(base: Base, folder: Path) -> Path:
    return write_bytes(folder / "in", base.contents) / "IM0012"


def _dicomdir(base: Base, folder: Path) -> Path:
    """A burned disc's directory, given as the path."""
    import warnings

    from pydicom.fileset import FileSet

    source = write_bytes(folder / "source", base.contents)
    disc = folder / "in"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = FileSet()
        for path in sorted(source.iterdir()):
            files.add(path)
        files.write(disc)
    return disc / "DICOMDIR"


def _disc(base: Base, folder: Path) -> Path:
    return _dicomdir(base, folder).parent


def _dicomdir_alone(base: Base, folder: Path) -> Path:
    path = _dicomdir(base, folder)
    (folder / "alone").mkdir()
    return path.rename(folder / "alone" / "DICOMDIR").parent


def _made(what: Callable[[Path], Path]) -> Make:
    return lambda _base, folder: what(folder)


def _file_of(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "file").write_bytes(content)
        return folder / "file"

    return make


def _empty(folder: Path) -> Path:
    (folder / "in").mkdir()
    return folder / "in"


def _pipe_itself(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _link_to_itself(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


BESIDE: dict[str, tuple[Callable[[Path], None], tuple[Outcome, ...]]] = {
    "a pipe": (_fifo, (BASE,)),
    "a socket": (_socket, (BASE,)),
    "links in circles": (_links, (Reads(), Reads(warns="."))),
    "200 folders deep": (_deep, (BASE,)),
    "500 empty files": (_empty_files, (BASE,)),
    "1,000 files of junk": (_junk, (BASE,)),
    "a system's files": (_system_files, (BASE,)),
    "a hole of 8 GiB": (_large_hole, (BASE,)),
}
ALONE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda folder: folder / "gone", "does not exist"),
    "a name of 8,000 letters": (lambda folder: folder / ("long" * 2000), "can't be read|not exist"),
    "a path below a file": (lambda folder: _file_of(b"x")(folder) / "below", "exist|can't be read"),
    "an empty folder": (_empty, "no DICOM file"),
    "an empty file": (_file_of(b""), "DICOM"),
    "text": (_file_of(b"Dear colleague,\n" * 99), "DICOM"),
    "zeros": (_file_of(bytes(100_000)), "DICOM"),
    "a pipe": (_pipe_itself, "neither a file nor a folder"),
    "/dev/zero": (lambda _: Path("/dev/zero"), "neither a file nor a folder"),
    "a link to itself": (_link_to_itself, "does not exist|can't be read"),
    "a picture": (_file_of(b"\x89PNG\r\n\x1a\n" + bytes(999)), "DICOM"),
    "a program": (_file_of(b"\x7fELF" + bytes(999)), "DICOM"),
}


def cases() -> Iterator[Case]:
    for name, encoded in NAMES.items():
        yield _case(f"a folder named with {name}", _folder(encoded), BASE)
        yield _case(f"compressed below {name}", _compressed(encoded), BASE)
        yield _case(f"NIfTI below {name}", _nifti(encoded), BASE)
    yield _case("odd names of files", _file_names, BASE)
    for name, (add, outcomes) in BESIDE.items():
        yield _case(f"beside {name}", _beside(add), *outcomes)
    for name, (what, says) in ALONE.items():
        yield _case(f"{name} alone", _made(what), Refused(says))
    yield _case("a DICOM hole of 8 GiB", _large_dicom_hole,
                BASE, Reads(warns="more than once|left out|dropped|."))  # fmt: skip
    closed = Reads(warns="could not be opened|passed over", but_for=(12,))
    yield Case("path", "no permission", _no_permission, (closed,), without_root=True)
    yield _case("a single slice of a series", _single, Refused("single slice|too few"), BASE)
    disc = Refused("directory of a disc|DICOMDIR|folder")
    yield _case("a disc", _disc, BASE)
    yield _case("a disc's DICOMDIR", _dicomdir, BASE, disc)
    yield _case("a DICOMDIR without its disc", _dicomdir_alone, Refused("DICOM"))


def _case(name: str, make: Make, *outcomes: Outcome) -> Case:
    return Case("path", name, make, outcomes)
