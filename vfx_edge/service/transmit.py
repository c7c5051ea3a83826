"""One transmission of a job's objects to one destination: C-STORE or STOW-RS."""

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vfx_edge.service.settings import Destination, Tls

CONNECT_S = 10.0
ANSWER_S = 60.0
MAX_CONTEXTS = 128
"""Of one association: DICOM PS3.8, 7.1.1.13."""
DUPLICATE = 0x0111
"""The archive has this instance already: DICOM PS3.7, C.5.6. Then it is where it should be."""


class NotSent(Exception):
    """The destination has not taken everything; the words say why, without patient data."""


class NeverTaken(NotSent):
    """It has what it takes, but some objects are of a kind that it does not: asking again would
    change nothing."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"it does not take objects like {', '.join(names)}; all others were sent. "
            "Let it take them, or name the `outputs` it is to get in its settings"
        )


def transmit(destination: Destination, files: Sequence[Path], ae_title: str) -> None:
    """Send all, again if need be: an instance has its UID, so an archive keeps one. What one
    object meets with keeps none of the others back. NotSent, NeverTaken."""
    if not files:
        return
    if destination.url:
        _stow(destination, files)
    else:
        _c_store(destination, files, ae_title)


def _c_store(destination: Destination, files: Sequence[Path], ae_title: str) -> None:
    from pydicom.filereader import read_file_meta_info
    from pynetdicom import AE

    kinds = {_kind(read_file_meta_info(file)) for file in files}
    if len(kinds) > MAX_CONTEXTS:
        raise NotSent(f"{len(kinds)} kinds of objects are more than one association takes")
    node = AE(ae_title=ae_title)
    node.connection_timeout = node.acse_timeout = CONNECT_S
    node.dimse_timeout = node.network_timeout = ANSWER_S
    for sop_class, syntax in sorted(kinds):
        node.add_requested_context(sop_class, syntax)
    association = node.associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        tls_args=_tls(destination.tls, destination.host),
    )
    if not association.is_established:
        raise NotSent(_why_not(association, destination))
    try:
        _all_told([(file.name, _store_one(association, file)) for file in files])
    finally:
        if association.is_established:
            association.release()


_UNWANTED = "unwanted"


def _all_told(answers: Sequence[tuple[str, str | None]]) -> None:
    """The answers, by object (None: it was taken), as one: what may change comes first."""
    refused = [f"it refused {name} {why}" for name, why in answers if why not in (None, _UNWANTED)]
    if refused:
        raise NotSent("; ".join(refused))
    if unwanted := [name for name, why in answers if why == _UNWANTED]:
        raise NeverTaken(unwanted)


def _kind(meta: Any) -> tuple[str, str]:
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def _store_one(association: Any, file: Path) -> str | None:
    """Why it was not taken, None where it was. NotSent where nothing more can be sent."""
    try:
        answer = association.send_c_store(file)
    except ValueError:  # no context was accepted for it
        return _UNWANTED
    except RuntimeError:
        raise NotSent("the connection was lost") from None
    status = getattr(answer, "Status", None)
    if status is None:
        raise NotSent("it gave no answer in time, or broke off")
    if status in (0, DUPLICATE) or status >> 12 == 0xB:  # Bxxx: stored, with a warning
        return None
    return f"with status {status:#06x}"


def _why_not(association: Any, destination: Destination) -> str:
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    if association.is_rejected:
        answer = association.acceptor.primitive
        return f"{where} rejected the association ({answer.reason_str})"
    if association.is_aborted:
        return f"{where} can't be reached, or broke off"
    return f"{where} accepted none of the objects' kinds"


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
    from dicomweb_client import DICOMwebClient
    from pydicom import dcmread

    logging.getLogger("dicomweb_client").setLevel(logging.WARNING)  # it logs UIDs
    session = requests.Session()
    try:
        if destination.token_file is not None:
            token = destination.token_file.read_text("utf-8").strip()
            session.headers["Authorization"] = f"Bearer {token}"
    except OSError as error:
        raise NotSent(f"its token file can't be read ({error.strerror})") from None
    if destination.tls is not None:
        session.cert = (str(destination.tls.certificate), str(destination.tls.key))
        session.verify = str(destination.tls.ca)
    client = DICOMwebClient(destination.url, session=session, timeout=ANSWER_S)
    client.set_http_retry_params(retry=False)  # the queue does that, and outlives this process
    try:
        # one by one: a request never holds more than one object
        _all_told([(file.name, _post_one(client, dcmread(file))) for file in files])
    except requests.RequestException as error:
        raise NotSent(f"{destination.url} can't be reached ({type(error).__name__})") from None
    finally:
        session.close()


def _post_one(client: Any, instance: Any) -> str | None:
    """Why it was not taken, None where it was. requests' errors leave, but for HTTP's own."""
    from requests import HTTPError

    try:
        answer = client.store_instances([instance])
    except HTTPError as error:
        code = error.response.status_code if error.response is not None else "?"
        return f"with HTTP status {code}"
    return "in its answer" if answer.get("FailedSOPSequence") else None
