"""Studies of a DICOMweb server: what a query finds (QIDO-RS), and the images of one (WADO-RS).

DICOM PS3.18, 10.6 and 10.4. Nothing of what the server says is believed: not how much it sends,
nor of which study, nor that it is all.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from vfx_edge.inputs.dicomweb_server import Server, ServerFailed, session_for
from vfx_edge.inputs.files import MAX_FILES, MAX_UNPACKED_BYTES
from vfx_edge.inputs.multipart import Incomplete, NotWanted, Parts
from vfx_edge.inputs.study_uid import is_uid, study_uid

CONNECT_S, ANSWER_S = 10.0, 60.0
MOST_S = 1500.0
"""For one study, or one page of a query: some send a byte now and then, for ever."""
PAGE = 200
MOST_STUDIES = 1_000_000
MOST_PAGE_BYTES = 2**26
GOES = 3
"""How often a series is asked for whose answer breaks off."""
_CHUNK = 2**17
_STUDY, _SERIES, _MODALITIES, _MODALITY = "0020000D", "0020000E", "00080061", "00080060"
_COUNTS = ("00201206", "00201208")
"""Number of Study Related Series, and Instances."""
_SERIES_COUNT = "00201209"
_DICOM, _JSON = "application/dicom", "application/dicom+json"
_MULTIPART = f'multipart/related; type="{_DICOM}"; transfer-syntax=*'


class _BrokeOff(Exception):
    """Another go may fare better. why: as `ServerFailed`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Answer:
    """A study that a query found. modalities: empty where it is not told. told: what changes when
    images are added, where the server says it."""

    uid: str
    modalities: tuple[str, ...]
    told: tuple[str, ...]


def attribute(name: str) -> str | None:
    """The keyword of DICOM's attribute, by keyword or as 0020000D; None where there is none."""
    from pydicom.datadict import keyword_for_tag, tag_for_keyword

    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        return keyword_for_tag(int(name, 16)) or None
    return name if tag_for_keyword(name) is not None else None


class Client:
    """One server. Ends with the block."""

    def __init__(self, server: Server) -> None:
        self._server, self._session = server, session_for(server)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def studies(self, query: Mapping[str, str]) -> Iterator[Answer | None]:
        """What the query finds, each study once; None for an answer without a usable UID. query:
        keyword -> value, as QIDO-RS has them. ServerFailed."""
        fields = [_MODALITIES, *_COUNTS]
        seen: set[str] = set()
        for item in self._pages("/studies", {**query, "includefield": fields}, _STUDY, seen):
            uid = _value(item, _STUDY)
            if not is_uid(uid):
                yield None
                continue
            modalities = tuple(one.upper() for one in _values(item, _MODALITIES))
            yield Answer(uid, modalities, tuple(_value(item, tag) for tag in _COUNTS))

    def fetch(self, study: str, folder: Path, room: int = MAX_UNPACKED_BYTES) -> int:
        """Writes the study's images, of its CT series where the server tells them apart, and
        returns how many. room: bytes that they may take. ServerFailed."""
        parts = Parts(folder, min(room, MAX_UNPACKED_BYTES), MAX_FILES)
        end = time.monotonic() + MOST_S
        for path, least in self._wanted(study):
            before = parts.files
            for go in range(1, GOES + 1):
                try:
                    self._take(path, parts, end)
                    if parts.files - before < least:
                        raise _BrokeOff(f"sent {parts.files - before} of {least} images")
                    break
                except _BrokeOff as error:
                    parts.back_to(before)
                    if go == GOES or time.monotonic() > end:
                        raise ServerFailed(self._server.host, error.why) from None
            for file in parts.since(before):
                if study_uid(file) != study:
                    why = "sent something that is no image of the study which was asked for"
                    raise ServerFailed(self._server.host, why)
        return parts.files

    def _wanted(self, study: str) -> list[tuple[str, int]]:
        """Paths to ask for, and how many images each has at least."""
        whole = f"/studies/{study}"
        fields = {"includefield": [_MODALITY, _SERIES_COUNT]}
        try:
            items = list(self._pages(f"{whole}/series", fields, _SERIES, set()))
        except ServerFailed as error:
            if "HTTP status 4" not in error.why:
                raise
            return [(whole, 1)]  # it does not list series, or does not know the study
        told = [item for item in items if is_uid(_value(item, _SERIES))]
        if not told:
            return [(whole, 1)]
        wanted = [item for item in told if _value(item, _MODALITY).upper() in ("CT", "")]
        if not wanted:
            raise ServerFailed(self._server.host, "has no CT series of this study")
        return [(f"{whole}/series/{_value(i, _SERIES)}", _count(i, _SERIES_COUNT)) for i in wanted]

    def _take(self, path: str, parts: Parts, end: float) -> None:
        """All objects of an answer into files. _BrokeOff, ServerFailed."""
        with self._asked(path, {}, _MULTIPART) as answer:
            kind = Message()
            kind["Content-Type"] = answer.headers.get("Content-Type", "")
            boundary = kind.get_param("boundary")
            media = kind.get_content_type()
            if media == "multipart/related" and isinstance(boundary, str) and boundary:
                take = parts.multipart(boundary)
            elif media == _DICOM:
                take = parts.single()
            else:
                raise ServerFailed(self._server.host, f"answers with {media}, which is no DICOM")
            try:
                with take as write:
                    for chunk in self._chunks(answer, end):
                        write(chunk)
            except Incomplete:
                raise _BrokeOff("broke off in the middle of an answer") from None
            except NotWanted as error:
                raise ServerFailed(self._server.host, str(error)) from None

    def _pages(
        self, path: str, query: Mapping[str, Any], tag: str, seen: set[str]
    ) -> Iterator[dict[str, Any]]:
        """The items of a query, each UID once, page by page. seen: UIDs so far. ServerFailed."""
        offset = 0
        while True:
            asked = {**query, "limit": PAGE, "offset": offset}
            items, cut = self._page(path, asked)
            new = 0
            for item in items:
                uid = _value(item, tag)
                if uid not in seen:
                    new += bool(uid)
                    if uid:
                        seen.add(uid)
                    yield item
            if len(seen) > MOST_STUDIES:
                why = f"finds more than {MOST_STUDIES} studies or series"
                raise ServerFailed(self._server.host, why)
            if new == 0:
                # a page that comes twice: nothing is missing where it was no part of a whole
                if cut or len(items) == PAGE:
                    why = "gives the same page of its answer again and again"
                    raise ServerFailed(self._server.host, why)
                return
            offset += len(items)

    def _page(self, path: str, query: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """Its items, and whether the server says that there are more."""
        end = time.monotonic() + MOST_S
        with self._asked(path, query, _JSON) as answer:
            if answer.status_code == 204:
                return [], False
            text = bytearray()
            try:
                for chunk in self._chunks(answer, end):
                    text += chunk
                    if len(text) > MOST_PAGE_BYTES:
                        why = f"answers a query with more than {MOST_PAGE_BYTES >> 20} MiB"
                        raise ServerFailed(self._server.host, why)
            except _BrokeOff as error:
                raise ServerFailed(self._server.host, error.why) from None
            cut = answer.headers.get("Warning", "").startswith("299")
        try:
            items = json.loads(text) if text.strip() else []
        except (ValueError, RecursionError):
            items = None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise ServerFailed(self._server.host, "answers a query with what is no DICOM JSON")
        return items, cut

    @contextmanager
    def _asked(self, path: str, query: Mapping[str, Any], accept: str) -> Iterator[Any]:
        """The server's answer, its body not read yet. ServerFailed."""
        import requests

        url = self._server.url.rstrip("/") + path
        try:
            answer = self._session.get(
                url, params=query, headers={"Accept": accept}, stream=True,
                timeout=(CONNECT_S, ANSWER_S),
                # the session's own would give way to REQUESTS_CA_BUNDLE
                verify=True if self._server.ca is None else str(self._server.ca),
                allow_redirects=False,  # elsewhere nobody asked, and the token is not for there
            )  # fmt: skip
        except requests.exceptions.SSLError:
            why = "has a certificate that is not trusted here (name its CA by --dicomweb)"
            raise ServerFailed(self._server.host, why) from None
        except (requests.RequestException, OSError) as error:
            why = f"can't be reached ({type(error).__name__})"
            raise ServerFailed(self._server.host, why) from None
        with answer:
            if 300 <= answer.status_code < 400:
                why = "sends elsewhere, where nobody follows"
                raise ServerFailed(self._server.host, why)
            if answer.status_code not in (200, 204, 206):
                why = f"refuses with HTTP status {answer.status_code}"
                raise ServerFailed(self._server.host, why)
            yield answer

    def _chunks(self, answer: Any, end: float) -> Iterator[bytes]:
        """The body. _BrokeOff, also where it takes too long."""
        import requests

        try:
            for chunk in answer.iter_content(_CHUNK):
                if time.monotonic() > end:
                    raise _BrokeOff(f"is not through after {MOST_S:.0f} s")
                yield chunk
        except (requests.RequestException, OSError):
            raise _BrokeOff("broke off in the middle of an answer") from None


def _values(item: Mapping[str, Any], tag: str) -> list[str]:
    """An attribute's values as texts, of DICOM JSON (PS3.18, F.2); none where it has another
    form."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    plain = values if isinstance(values, list) else []
    return [str(one).strip()[:64] for one in plain if isinstance(one, str | int | float)]


def _value(item: Mapping[str, Any], tag: str) -> str:
    return next(iter(_values(item, tag)), "")


def _count(item: Mapping[str, Any], tag: str) -> int:
    """At least 1."""
    text = _value(item, tag)
    return min(int(text), MAX_FILES) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else 1
