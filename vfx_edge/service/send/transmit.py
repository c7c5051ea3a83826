"""One transmission of a job's objects to one destination: C-STORE or STOW-RS.

STOW-RS by `requests` alone: dicomweb-client 0.61 takes a web page, and an answer whose media type
names its character set, for stored, and an archive's "there already" for a failure.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from vfx_edge.service.settings import Destination, Tls

CONNECT_S = 10.0
ANSWER_S = 60.0
DUPLICATE = 0x0111
"""The archive has this instance already: DICOM PS3.7, C.5.6. It counts as stored."""
DUPLICATES = (DUPLICATE, 0xB00E)
"""The same by STOW-RS, for which PS3.18 names no value; the second is Microsoft's."""
CLASS_NOT_TAKEN = 0x0122
"""The SOP class is not supported: PS3.7, C.5.7, and PS3.18, table I.2-2."""
NAMES_SHOWN = 3
"""Objects that a reason names at most; a study may have twenty."""


class NotSent(Exception):
    """The destination has not stored everything; the message says why, without patient data."""


class NotAccepted(NotSent):
    """The destination has stored what it accepts, but not objects of some SOP classes: trying again
    would change nothing. `others`: whether any were stored."""

    def __init__(self, names: Sequence[str], others: bool = True) -> None:
        super().__init__(
            f"it does not take objects like {_first_names(names)}; "
            f"{'all others were' if others else 'nothing was'} sent. "
            "Let it take them, or name the `outputs` it is to get in its settings"
        )


def transmit(destination: Destination, files: Sequence[Path], ae_title: str) -> None:
    """Send all objects; those of an earlier attempt again, of which an archive keeps one, by its
    UID. A failure of one does not stop the others. NotSent, NotAccepted."""
    if not files:
        return
    if destination.url:
        _stow(destination, files)
    else:
        _c_store(destination, files, ae_title)


def _c_store(destination: Destination, files: Sequence[Path], ae_title: str) -> None:
    from pydicom.filereader import read_file_meta_info
    from pynetdicom import AE

    kinds = _contexts({_class_and_syntax(read_file_meta_info(file)) for file in files})
    node = AE(ae_title=ae_title)
    node.connection_timeout = node.acse_timeout = CONNECT_S
    node.dimse_timeout = node.network_timeout = ANSWER_S
    for sop_class, syntax in kinds:
        node.add_requested_context(sop_class, syntax)
    association = node.associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        tls_args=_tls(destination.tls, destination.host),
    )
    if not association.is_established:
        if association.rejected_contexts and not association.accepted_contexts:
            raise NotAccepted([file.name for file in files], others=False)
        raise NotSent(_why_not(association, destination))
    try:
        _raise_refusals([(file.name, _store_one(association, file)) for file in files])
    finally:
        if association.is_established:
            association.release()


def _contexts(kinds: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """SOP class and transfer syntax of each presentation context: the files' own, and for each SOP
    class the one that every node knows (DICOM PS3.5, 10.1). pynetdicom encodes an object again
    where only that was accepted."""
    from pydicom.uid import ImplicitVRLittleEndian

    return sorted(kinds | {(sop_class, str(ImplicitVRLittleEndian)) for sop_class, _ in kinds})


_CLASS_REFUSED = "its SOP class is not supported"


def _raise_refusals(answers: Sequence[tuple[str, str | None]]) -> None:
    """NotSent or NotAccepted by the answers: name of the object, why it was refused (None: it was
    stored). What may change comes first."""
    refused: dict[str, list[str]] = {}
    for name, why in answers:
        if why not in (None, _CLASS_REFUSED):
            refused.setdefault(str(why), []).append(name)
    if refused:
        parts = [f"it refused {_first_names(names)} {why}" for why, names in refused.items()]
        raise NotSent("; ".join(parts))
    if names := [name for name, why in answers if why == _CLASS_REFUSED]:
        raise NotAccepted(names, others=len(names) < len(answers))


def _first_names(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _class_and_syntax(meta: Any) -> tuple[str, str]:
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def _store_one(association: Any, file: Path) -> str | None:
    """Why it was refused; None where it was stored. NotSent where nothing more can be sent."""
    try:
        answer = association.send_c_store(file)
    except ValueError:
        if _is_class_accepted(association, file):
            return "as it can't be written in an encoding that it accepts"
        return _CLASS_REFUSED
    except RuntimeError:
        raise NotSent("the connection was lost") from None
    status = getattr(answer, "Status", None)
    if status is None:
        raise NotSent("it gave no answer in time, or broke off")
    if status in (0, DUPLICATE) or status >> 12 == 0xB:  # Bxxx: stored, with a warning
        return None
    return _CLASS_REFUSED if status == CLASS_NOT_TAKEN else f"with status {status:#06x}"


def _is_class_accepted(association: Any, file: Path) -> bool:
    from pydicom.filereader import read_file_meta_info

    sop_class = read_file_meta_info(file).MediaStorageSOPClassUID
    return any(one.abstract_syntax == sop_class for one in association.accepted_contexts)


def _why_not(association: Any, destination: Destination) -> str:
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    if association.is_rejected:
        answer = association.acceptor.primitive
        return f"{where} rejected the association ({answer.reason_str})"
    return f"{where} can't be reached, or broke off"


def _tls(tls: Tls | None, host: str) -> tuple[ssl.SSLContext, str] | None:
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=tls.ca)
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise NotSent(f"its TLS files can't be used ({type(error).__name__})") from None
    return context, host


def _stow(destination: Destination, files: Sequence[Path]) -> None:
    import requests

    with requests.Session() as session:
        try:
            if destination.token_file is not None:
                token = destination.token_file.read_text("utf-8").strip()
                session.headers["Authorization"] = f"Bearer {token}"
        except OSError as error:
            raise NotSent(f"its token file can't be read ({error.strerror})") from None
        if destination.tls is not None:
            session.cert = (str(destination.tls.certificate), str(destination.tls.key))
            session.verify = str(destination.tls.ca)
        studies = f"{destination.url.rstrip('/')}/studies"
        try:
            # one by one: a request holds one object, and its answer is about that one
            _raise_refusals([(file.name, _post_one(session, studies, file)) for file in files])
        except requests.RequestException as error:
            where = urlsplit(destination.url).netloc.rpartition("@")[2]
            raise NotSent(f"{where} can't be reached ({type(error).__name__})") from None


_BOUNDARY = "vfx-edge-5cd2e9cb1f6b4f0b8a4fd3ec"


def _post_one(session: Any, studies: str, file: Path) -> str | None:
    """Why it was refused; None where it was stored. Raises what `requests` raises."""
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
    tail = f"\r\n--{_BOUNDARY}--\r\n".encode("ascii")
    content_type = f'multipart/related; type="application/dicom"; boundary="{_BOUNDARY}"'
    answer = session.post(
        studies,
        data=head + file.read_bytes() + tail,
        headers={"Content-Type": content_type},  # no Accept: every form of answer is understood
        timeout=(CONNECT_S, ANSWER_S),
        verify=session.verify,  # by itself it would give way to REQUESTS_CA_BUNDLE
        allow_redirects=False,  # a POST that is redirected becomes a GET, which stores nothing
    )
    return _why_refused(answer)


def _why_refused(answer: Any) -> str | None:
    reasons = _failure_reasons(answer)
    failures = [reason for reason in reasons if reason not in DUPLICATES]
    if CLASS_NOT_TAKEN in failures:
        return _CLASS_REFUSED
    if failures:
        return f"with failure reason {failures[0]:#06x}"
    if reasons:
        return None
    if not 200 <= answer.status_code < 300:
        return f"with HTTP status {answer.status_code}"
    if answer.content and _media_type(answer) == "text/html":
        return "with a web page, as from a proxy that asks for a password"
    return None


def _failure_reasons(answer: Any) -> list[int]:
    """Failure Reason of each item of the answer's Failed SOP Sequence, 0 where it has none."""
    try:
        if _media_type(answer).endswith("xml"):
            return _reasons_in_xml(answer.content)
        found = answer.json()
        items = [found] if isinstance(found, dict) else found
        failed = [one for item in items for one in item.get("00081198", {}).get("Value", [])]
        return [int((one.get("00081197", {}).get("Value") or [0])[0]) for one in failed]
    except (ValueError, TypeError, AttributeError, ElementTree.ParseError):
        return []  # no answer of this kind: the HTTP status decides


def _reasons_in_xml(text: bytes) -> list[int]:
    items = [
        item
        for sequence in ElementTree.fromstring(text).iterfind(".//*[@tag='00081198']")
        for item in sequence
    ]
    return [int(item.findtext(".//*[@tag='00081197']/*") or 0) for item in items]


def _media_type(answer: Any) -> str:
    return str(answer.headers.get("Content-Type", "")).split(";")[0].strip().lower()
