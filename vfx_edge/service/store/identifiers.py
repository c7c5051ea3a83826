"""Names and ids from UIDs and from content. A study that is sent again with a corrected header is
another one: content decides, not the name."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.parallel import map_reading

MAX_UID = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_PREAMBLE, _GROUP_LENGTH = 128, b"\x02\x00\x00\x00UL\x04\x00"
_META = 144
"""Bytes up to the end of the element that states how long the rest of the file meta group is."""


@dataclass(frozen=True)
class Instance:
    """A received instance. `signature`: time and size of its file, so that it is read once."""

    digest: str
    signature: tuple[int, int]


def instances_in(folder: Path, known: Mapping[str, Instance] | None = None) -> dict[str, Instance]:
    """File name -> instance, for all files of a folder; {} where there is none. Only files that are
    not `known`, or have changed since, are read. OSError."""

    def look(path: Path) -> Instance:
        status = path.stat()
        signature = status.st_mtime_ns, status.st_size
        before = (known or {}).get(path.name)
        if before is not None and before.signature == signature:
            return before
        return Instance(_digest(path), signature)

    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: found for path, found in zip(files, map_reading(look, files), strict=True)}


def is_uid(text: str) -> bool:
    """Whether it is a UID. Leading zeros in its parts, which PS3.5 forbids, are common."""
    return len(text) <= MAX_UID and _UID.fullmatch(text) is not None


def uid_to_name(uid: str) -> str:
    """A UID as the name of a file or folder; its hash where it is no UID."""
    if is_uid(uid):
        return uid
    return "x" + digest_of(uid)[:32]


def pseudonym(uid: str) -> str:
    """The name of a study on the page, in lists and logs: a short hash of its UID."""
    return digest_of(uid)[:10]


def job_id_of_instances(key: str, digests: Mapping[str, str]) -> str:
    """A job's id from a study's key and its instances (file name -> digest), in any order."""
    lines = [key, *(f"{name} {digests[name]}" for name in sorted(digests))]
    return digest_of("\n".join(lines))[:24]


def job_id_of_files(item: Path) -> str:
    """A job's id from the content of a file or folder, not from names. OSError."""
    files = [item] if item.is_file() else sorted(p for p in item.rglob("*") if p.is_file())
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digest_of(" ".join(sorted(set(digests))))[:24]


def digest_of(text: str) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(path: Path) -> str:
    """Of what follows the file meta group, which names the sender, too."""
    with path.open("rb") as stream:
        head = stream.read(_META)
        dicom = head[_PREAMBLE : _PREAMBLE + 4] == b"DICM" and head[132:140] == _GROUP_LENGTH
        stream.seek(_META + int.from_bytes(head[140:_META], "little") if dicom else 0)
        return hashlib.file_digest(stream, "sha256").hexdigest()
