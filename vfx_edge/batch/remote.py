"""Which studies a query to a DICOMweb server finds; none is fetched before its turn."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from vfx_edge.batch.studies import Found, Problem, Study
from vfx_edge.errors import InputError, UsageError, first_line
from vfx_edge.inputs.dicomweb import Answer, Client, attribute
from vfx_edge.inputs.dicomweb_server import Server, ServerUnusable, checked

MOST_ACCESS_BYTES = 2**16
_REMEDY = "give TOML with token_file, ca, certificate, key, as far as they are needed"
MODALITIES = "ModalitiesInStudy"
ASKED = {MODALITIES: "CT"}
"""Where the query says nothing of it: what else an archive holds is no input."""


class QueryInvalid(UsageError):
    """A --query that is none."""

    def __init__(self, words: str, why: str) -> None:
        super().__init__(
            f"{words!r} is no query ({why}): write an attribute of DICOM and a value, as in "
            "--query StudyDate=20250101-20251231."
        )


class NothingFound(InputError):
    """The server has no such study."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The DICOMweb server {host} finds no study for this query: check it, or widen it."
        )


@dataclass(frozen=True)
class _Access:
    """The file of --dicomweb."""

    token_file: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""


def server_of(url: str, access: Path | None) -> Server:
    """access: paths in it lie beside it. ServerUnusable, DicomwebMissing."""
    given = _Access() if access is None else _read(access)
    base = Path() if access is None else access.parent

    def place(text: str) -> Path | None:
        return (base / text).absolute() if text else None

    token_file, ca = place(given.token_file), place(given.ca)
    return checked(Server(url, token_file, ca, place(given.certificate), place(given.key)))


def _read(path: Path) -> _Access:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_ACCESS_BYTES)
        found = tomllib.loads(data.decode("utf-8-sig"))
        if unknown := set(found) - {one.name for one in fields(_Access)}:
            raise ValueError(f"it has a key that is not known, {sorted(unknown)[0][:40]!r}")
        return msgspec.convert(found, _Access)
    except OSError as error:
        raise ServerUnusable(path.name, error.strerror or type(error).__name__, _REMEDY) from None
    except (ValueError, RecursionError) as error:  # msgspec's, of TOML, of UTF-8
        raise ServerUnusable(path.name, first_line(error), _REMEDY) from None


def query_of(words: list[str]) -> dict[str, str]:
    """["StudyDate=20250101-"] -> keyword to value. QueryInvalid."""
    query: dict[str, str] = {}
    for one in words:
        name, equals, value = (part.strip() for part in one.partition("="))
        keyword = attribute(name)
        if not equals or not value or not value.isprintable():
            raise QueryInvalid(one, "it has no value")
        if keyword is None:
            raise QueryInvalid(one, "DICOM has no attribute of that name")
        if keyword in query:
            raise QueryInvalid(one, f"{keyword} is given twice")
        query[keyword] = value
    return ASKED | query


def studies_at(server: Server, query: Mapping[str, str]) -> Found:
    """server: as `server_of` gives it. ServerFailed, NothingFound."""
    found: dict[str, Study] = {}
    odd = other = 0
    with Client(server) as client:
        for answer in client.studies(query):
            if answer is None:
                odd += 1
            elif not _is_asked(answer, query):
                other += 1
            else:
                found[answer.uid] = Study(
                    answer.uid, Path(answer.uid), uid=answer.uid, server=server, told=answer.told
                )
    problems = []
    if odd:
        why = f"answers with {odd} studies that have no usable StudyInstanceUID"
        problems.append(Problem("", Path(server.host), why))
    if other:
        why = f"answers with {other} studies that were not asked for"
        problems.append(Problem("", Path(server.host), why, lost=False))
    if not found and not odd:
        raise NothingFound(server.host)
    return Found(tuple(found[uid] for uid in sorted(found)), tuple(problems))


def _is_asked(answer: Answer, query: Mapping[str, str]) -> bool:
    """As far as it can be seen; some servers pass over what they do not know."""
    uids = query.get("StudyInstanceUID", "*")
    if not set("*?") & set(uids) and answer.uid not in uids.replace("\\", ",").split(","):
        return False
    asked = query.get(MODALITIES, "")
    return asked != "CT" or not answer.modalities or asked in answer.modalities
