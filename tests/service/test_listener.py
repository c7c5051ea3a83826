"""The DICOM node among real peers: DCMTK's echoscu and storescu."""

import shutil
import time
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    UltrasoundImageStorage,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode

from tests.contract.dicom_files import write_series
from tests.service.nodes import (
    AE_TITLE,
    certificate,
    connected,
    echo,
    listening,
    store,
    store_status,
)
from tests.waiting import eventually, lasts
from vfx_edge.service.receive.listener import Listener
from vfx_edge.service.settings import DAY_S, ServiceUnusable, Settings, SettingsInvalid, Tls
from vfx_edge.service.store.spool import Spool


def test_echo_and_store_are_answered(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", slices=12)
    with listening(tmp_path) as node:
        assert echo(node.port)
        assert store(node.port, tmp_path / "ct").returncode == 0
        (study,) = node.spool.incoming()
        assert study.instances == 12
        assert node.half_received() == []
    sent = {path.read_bytes()[-4096:] for path in paths}
    kept = list((tmp_path / "spool" / "incoming").rglob("*.dcm"))
    assert {path.read_bytes()[-4096:] for path in kept} == sent
    read = pydicom.dcmread(kept[0])
    assert (read.PatientName, read.PatientID) == ("Doe^Jane", "SECRET-4711")


def test_the_same_instances_again_replace_the_first(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices=4)
    with listening(tmp_path) as node:
        for _ in range(2):
            assert store(node.port, tmp_path / "ct").returncode == 0
        assert node.received() == 4


def test_transfer_syntaxes_are_kept_as_sent(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "ct", slices=1)
    with listening(tmp_path) as node:
        assert store(node.port, tmp_path / "ct", "-xb").returncode == 0  # DCMTK turns it around
        assert _syntaxes(tmp_path) == {ExplicitVRBigEndian}
        ds = pydicom.dcmread(path)
        ds.compress(RLELossless)
        ds.save_as(path)
        assert store(node.port, tmp_path / "ct", "-xr").returncode == 0
        assert RLELossless in _syntaxes(tmp_path)


def _syntaxes(folder: Path) -> set[str]:
    kept = (folder / "spool" / "incoming").rglob("*.dcm")
    return {pydicom.dcmread(path).file_meta.TransferSyntaxUID for path in kept}


def test_ct_is_taken_and_nothing_else(tmp_path: Path) -> None:
    entity = AE("SCANNER")
    for wanted in (EnhancedCTImageStorage, UltrasoundImageStorage):
        entity.add_requested_context(wanted)
    with listening(tmp_path) as node:
        association = entity.associate("127.0.0.1", node.port, ae_title=AE_TITLE)
        taken = [context.abstract_syntax for context in association.accepted_contexts]
        association.release()
    assert taken == [EnhancedCTImageStorage]


def test_titles_and_addresses_are_let_in_by_list(tmp_path: Path) -> None:
    with listening(tmp_path, callers=("SCANNER", "PACS")) as node:
        assert echo(node.port)
        assert not echo(node.port, calling="STRANGER")
        assert not echo(node.port, called="SOMEONE")
        assert eventually(lambda: node.counts["refused", "ae_title"] == 2)
    with listening(tmp_path, addresses=("10.0.0.0/8", "192.168.7.4")) as node:
        assert not echo(node.port)
        assert node.counts["refused", "address"] >= 1
    with listening(tmp_path, addresses=("127.0.0.0/8",)) as node:
        assert echo(node.port)


def test_a_study_is_complete_at_the_end_of_its_last_association(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices=3)
    with listening(tmp_path, complete_on="association") as node:
        store(node.port, tmp_path / "ct")
        (study,) = node.spool.incoming()
        assert eventually(lambda: node.completed == [study.key])
        store(node.port, tmp_path / "ct", "--abort")  # to be sent again: only quiet tells
        assert lasts(lambda: node.completed == [study.key])
        first, second = (_sender(node.port) for _ in range(2))
        for slice_ in map(pydicom.dcmread, sorted((tmp_path / "ct").iterdir())):
            assert first.send_c_store(slice_).Status == 0
            assert second.send_c_store(slice_).Status == 0
        first.release()
        assert lasts(lambda: node.completed == [study.key])
        second.release()
        assert eventually(lambda: node.completed == [study.key] * 2)


def test_a_clock_that_is_set_ends_no_association(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    with listening(tmp_path, idle_timeout_s=DAY_S) as node:
        sender = _sender(node.port)
        monkeypatch.setattr(time, "time", lambda: now() + 2 * DAY_S)
        assert lasts(lambda: sender.is_established)
        assert sender.send_c_store(write_series(tmp_path / "ct", slices=1)[0]).Status == 0
        sender.release()


UID_WITH_ZEROS = "1.2.840.0113619.2.055"


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_uids_with_leading_zeros_are_taken_as_they_are(tmp_path: Path) -> None:
    """Scanners write them, though PS3.5 forbids them."""
    (path,) = write_series(tmp_path / "ct", slices=1)
    image = pydicom.dcmread(path)
    image.StudyInstanceUID = f"{UID_WITH_ZEROS}.1"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"{UID_WITH_ZEROS}.01")
    image.save_as(path)
    with listening(tmp_path) as node:
        assert store(node.port, tmp_path / "ct").returncode == 0
        (study,) = node.spool.incoming()
        assert study.key == f"{UID_WITH_ZEROS}.1"
        (kept,) = (node.spool.root / "incoming").rglob("*.dcm")
        assert kept.stem == f"{UID_WITH_ZEROS}.01"


def test_a_file_meta_group_in_the_data_set_is_left_out(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "ct", slices=1)
    image = pydicom.dcmread(path)
    body = encode(image, False, True)
    assert body is not None
    syntax = b"1.2.840.10008.1.2.1\0"
    stray = b"\2\0\x10\0UI" + len(syntax).to_bytes(2, "little") + syntax
    with listening(tmp_path) as node:
        sender = _sender(node.port, ExplicitVRLittleEndian)
        assert store_status(sender, stray + body, image.SOPInstanceUID) == 0
        sender.release()
        (kept,) = (node.spool.root / "incoming").rglob("*.dcm")
        assert kept.read_bytes().endswith(body)
        assert stray not in kept.read_bytes()[-len(stray + body) :]
        assert pydicom.dcmread(kept).PatientID == image.PatientID


def _sender(port: int, *syntaxes: str) -> Association:
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage, list(syntaxes) or None)
    return entity.associate("127.0.0.1", port, ae_title=AE_TITLE)


def test_nearly_full_disk_is_said_and_nothing_is_kept(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices=2)
    room = shutil.disk_usage(tmp_path).total // 2**20
    with listening(tmp_path, min_free_mib=room + 1) as node:
        sent = store(node.port, tmp_path / "ct")
        assert "Rejected Transient" in sent.stdout + sent.stderr
        assert node.received() == 0
        assert node.half_received() == []
        assert echo(node.port)


def test_a_large_instance_stops_before_it_takes_the_room_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room is looked at while an instance comes, not when it is there."""
    write_series(tmp_path / "ct", slices=1)
    large = next((tmp_path / "ct").iterdir())
    image = pydicom.dcmread(large)
    image.add_new(0x00091002, "OB", bytes(64 * 2**20))
    image.save_as(large)
    with listening(tmp_path) as node:
        looks = iter([2**40, 2**40])  # at the association, and after the first 8 MiB
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(looks, 0)))
        assert store(node.port, tmp_path / "ct").returncode != 0
        assert eventually(lambda: node.half_received() == [])
        assert node.received() == 0


@pytest.mark.parametrize("ending", ["abort", "refused", "release"])
def test_a_study_whose_association_was_cut_off_waits(tmp_path: Path, ending: str) -> None:
    """Until the sender has tried again and came to the end."""
    paths = write_series(tmp_path / "ct", slices=3)
    with listening(tmp_path) as node:
        sender = _sender(node.port)
        assert sender.send_c_store(paths[0]).Status == 0
        if ending == "refused":
            free, node.spool.min_free_bytes = node.spool.min_free_bytes, 2**60
            assert sender.send_c_store(paths[1]).Status == 0xA700
            node.spool.min_free_bytes = free
        sender.abort() if ending == "abort" else sender.release()
        (study,) = node.spool.incoming()
        assert eventually(lambda: node.spool.incoming()[0].cut_off is (ending != "release"))
        assert store(node.port, tmp_path / "ct").returncode == 0
        assert eventually(lambda: not node.spool.incoming()[0].cut_off)
        assert study.instances == 1


def test_a_study_is_unfinished_from_its_first_image_until_all_have_released(tmp_path: Path) -> None:
    """Killed in between, the service must not take what is there for the whole study."""
    paths = write_series(tmp_path / "ct", slices=3)
    with listening(tmp_path) as node:
        first, second = _sender(node.port), _sender(node.port)
        for sender, path in ((first, paths[0]), (second, paths[1])):
            assert sender.send_c_store(path).Status == 0
            assert Spool(node.spool.root).incoming()[0].cut_off  # as a new process would see it
        first.release()
        assert lasts(lambda: node.spool.incoming()[0].cut_off)
        second.release()
        assert eventually(lambda: not node.spool.incoming()[0].cut_off)


@pytest.mark.parametrize(("priority", "urgent"), [(1, True), (0, False), (2, False)])
def test_a_high_priority_makes_a_study_urgent(tmp_path: Path, priority: int, urgent: bool) -> None:
    """0 is medium, 1 high, 2 low: PS3.7, 9.3.1.1."""
    (path,) = write_series(tmp_path / "ct", slices=1)
    with listening(tmp_path) as node:
        sender = _sender(node.port)
        assert sender.send_c_store(path, priority=priority).Status == 0
        sender.release()
        (study,) = node.spool.incoming()
        done = node.spool.complete(study.key)
    assert done is not None
    assert done.urgent is urgent


def test_what_a_caller_or_the_message_calls_urgent_is(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", slices=1)
    with listening(tmp_path, urgent_callers=("SCANNER",)) as node:
        store(node.port, tmp_path / "ct")
        (study,) = node.spool.incoming()
        done = node.spool.complete(study.key)
    assert done is not None
    assert done.urgent


@pytest.mark.parametrize(
    "wrong", [{"ae_title": "LONGER THAN SIXTEEN"}, {"addresses": ("10.0.0.300",)}]
)
def test_titles_and_addresses_that_are_none_are_said(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid), listening(tmp_path, **wrong):
        pass


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        again = Settings(spool=tmp_path / "other", port=node.port)
        with pytest.raises(ServiceUnusable, match=str(node.port)):
            Listener(again, Spool(again.spool)).start()


def test_tls_wants_a_certificate_of_its_own_authority(tmp_path: Path) -> None:
    _, authority = certificate(tmp_path, "authority")
    ours = certificate(tmp_path, "node", "authority")
    theirs = certificate(tmp_path, "scanner", "authority")
    stranger = certificate(tmp_path, "stranger")
    tls = Tls(certificate=ours[1], key=ours[0], ca=authority)
    write_series(tmp_path / "ct", slices=3)
    with listening(tmp_path, tls=tls) as node, connected(node.port):  # one who never shakes hands
        assert echo(node.port, AE_TITLE, "SCANNER", "+tls", *theirs, "+cf", authority)
        assert not echo(node.port, AE_TITLE, "SCANNER", "+tls", *stranger, "+cf", authority)
        assert not echo(node.port, AE_TITLE, "SCANNER", "+tla", "+cf", authority)
        assert not echo(node.port)
        sent = store(node.port, tmp_path / "ct", "+tls", *theirs, "+cf", authority)
        assert sent.returncode == 0, sent.stderr
        assert node.received() == 3
