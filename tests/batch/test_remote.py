"""What a DICOMweb server may answer, and what is made of it."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.batch.lying_archive import BOUNDARY, Archive, Reply, archive, in_json, parts
from tests.batch.small_images import image_bytes
from tests.service.nodes import certificate
from vfx_edge.batch import remote
from vfx_edge.batch.remote import NothingFound, QueryInvalid, query_of, server_of, studies_at
from vfx_edge.inputs import dicomweb
from vfx_edge.inputs.dicomweb import Client
from vfx_edge.inputs.dicomweb_server import Server, ServerFailed, ServerUnusable
from vfx_edge.inputs.multipart import Incomplete, NotWanted, Parts
from vfx_edge.inputs.study_uid import is_uid

STUDY, SERIES, MODALITY, MODALITIES = "0020000D", "0020000E", "00080060", "00080061"
COUNT, IMAGES_OF_SERIES = "00201208", "00201209"
TWO = (image_bytes("1.2", "1.2.1"), image_bytes("1.2", "1.2.2"))
NO_SERIES = in_json()
Item = Mapping[str, Sequence[Any]]


def studies(*uids: str) -> Callable[[str, dict[str, list[str]]], Reply]:
    """An honest server that pages."""

    def says(_path: str, query: dict[str, list[str]]) -> Reply:
        at, most = int(query["offset"][0]), int(query["limit"][0])
        found: list[Item] = [{STUDY: [uid], COUNT: [7]} for uid in uids[at : at + most]]
        return in_json(*found)

    return says


def names(running: Archive, query: dict[str, str] | None = None) -> list[str]:
    return [study.name for study in studies_at(running.server(), query or {}).studies]


def fetched(running: Archive, folder: Path, room: int = 2**20) -> list[bytes]:
    folder.mkdir(exist_ok=True)
    with Client(running.server()) as client:
        client.fetch("1.2", folder, room)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_all_pages_are_asked_for_and_what_the_server_says_makes_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dicomweb, "PAGE", 3)
    uids = [f"1.2.{number}" for number in range(10, 17)]
    with archive(studies(*uids)) as running:
        found = studies_at(running.server(), {})
        assert [study.name for study in found.studies] == uids
        assert {study.told for study in found.studies} == {("", "7")}
        assert found.problems == ()
        assert found.studies[0].place == f"{running.url}/studies/1.2.10"


@pytest.mark.parametrize(("count", "limit"), [(5, 3), (2, 3)])
def test_a_server_that_knows_no_pages_gives_all_at_once(
    monkeypatch: pytest.MonkeyPatch, count: int, limit: int
) -> None:
    monkeypatch.setattr(dicomweb, "PAGE", limit)
    every = in_json(*({STUDY: [f"1.2.{number}"]} for number in range(count)))
    with archive(lambda *_: every) as running:
        assert len(names(running)) == count


@pytest.mark.parametrize(
    "reply",
    [
        in_json(*({STUDY: [f"1.2.{number}"]} for number in range(3))),
        in_json({STUDY: ["1.2.3"]}, headers=(("Warning", '299 pacs: "there are more"'),)),
    ],
)
def test_a_page_that_comes_again_is_not_taken_for_all(
    monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setattr(dicomweb, "PAGE", 3)
    with (
        archive(lambda *_: reply) as running,
        pytest.raises(ServerFailed, match="same page"),
    ):
        names(running)


def test_answers_without_end_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "MOST_STUDIES", 20)
    new = iter(range(1000))
    with (
        archive(lambda *_: in_json({STUDY: [f"1.2.{next(new)}"]})) as running,
        pytest.raises(ServerFailed, match="more than 20 studies"),
    ):
        names(running)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"{}", "application/dicom+json"),
        Reply(b"[1]", "application/dicom+json"),
        Reply(b"[" * 200_000, "application/dicom+json"),
        Reply(b"<html>", "text/html"),
        Reply(b"[]", "application/dicom+json", status=401),
        Reply(b"[]", "application/dicom+json", length=10),
    ],
)
def test_a_query_that_is_not_answered_is_a_sentence(reply: Reply) -> None:
    with archive(lambda *_: reply) as running, pytest.raises(ServerFailed) as told:
        names(running)
    assert str(told.value).startswith("The DICOMweb server 127.0.0.1:")
    assert str(told.value).endswith("--retry-failed.")


def test_a_page_that_unpacks_to_more_than_a_page_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dicomweb, "MOST_PAGE_BYTES", 2**20)
    packed = gzip.compress(b" " * 2**23)
    reply = Reply(packed, "application/dicom+json", headers=(("Content-Encoding", "gzip"),))
    with archive(lambda *_: reply) as running, pytest.raises(ServerFailed, match="more than 1 MiB"):
        names(running)


def test_what_was_not_asked_for_is_named_and_left_out() -> None:
    items: list[Item] = [
        {STUDY: ["1.2"]},
        {STUDY: ["1.3"], MODALITIES: ["MR"]},
        {STUDY: ["../../etc"]},
        {STUDY: ["1.4"], MODALITIES: ["CT", "SR"]},
        {COUNT: [3]},
    ]
    with archive(lambda *_: in_json(*items)) as running:
        found = studies_at(running.server(), query_of([]))
        assert [study.name for study in found.studies] == ["1.2", "1.4"]
        assert [problem.lost for problem in found.problems] == [True, False]
        assert names(running, {"StudyInstanceUID": "1.4\\1.9"}) == ["1.4"]
    with archive(lambda *_: in_json()) as running, pytest.raises(NothingFound):
        names(running)


def test_only_series_of_ct_are_fetched(tmp_path: Path) -> None:
    def says(path: str, query: dict[str, list[str]]) -> Reply:
        if path == "/studies/1.2/series":
            kinds = {"1.2.1": ["CT"], "1.2.2": ["SR"], "1.2.3": []}
            every: list[Item] = [{SERIES: [uid], MODALITY: kind} for uid, kind in kinds.items()]
            return in_json(*(every if query["offset"] == ["0"] else ()))
        return Reply(parts(image_bytes("1.2", path[-5:])))

    with archive(says) as running:
        assert len(fetched(running, tmp_path / "in")) == 2
    series = [path for path in running.asked if not path.endswith("/series")]
    assert series == ["/dicom-web/studies/1.2/series/1.2.1", "/dicom-web/studies/1.2/series/1.2.3"]


def test_a_study_without_ct_is_a_sentence(tmp_path: Path) -> None:
    with (
        archive(lambda *_: in_json({SERIES: ["1.2.2"], MODALITY: ["MR"]})) as running,
        pytest.raises(ServerFailed, match="no CT series"),
    ):
        fetched(running, tmp_path / "in")


@pytest.mark.parametrize("series", [Reply(b"", status=404), NO_SERIES])
def test_a_server_that_lists_no_series_gives_the_study(tmp_path: Path, series: Reply) -> None:
    says = lambda path, _: series if path.endswith("/series") else Reply(parts(*TWO))  # noqa: E731
    with archive(says) as running:
        assert fetched(running, tmp_path / "in") == list(TWO)
    single = Reply(TWO[0], "application/dicom")
    says = lambda path, _: series if path.endswith("/series") else single  # noqa: E731
    with archive(says) as running:
        assert fetched(running, tmp_path / "one") == [TWO[0]]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(parts(*TWO, end=False)), "broke off"),
        (Reply(parts(*TWO)[:-60]), "broke off"),
        (Reply(parts(*TWO), length=10**6), "broke off"),
        (Reply(b"no parts at all, but long enough to be some"), "broke off"),
        (Reply(b""), "broke off"),
        (Reply(parts()), "sent 0 of 1 images"),
        (Reply(parts(*TWO), "multipart/related"), "no DICOM"),
        (Reply(b"<html>", "text/html"), "no DICOM"),
        (Reply(parts(image_bytes("1.3"))), "no image of the study"),
        (Reply(parts(b"no image")), "no image of the study"),
        (Reply(parts(TWO[0] + b"\0" * 2**20)), "room for"),
        (Reply(b"", status=302, headers=(("Location", "/elsewhere"),)), "sends elsewhere"),
        (Reply(b"", status=500), "status 500"),
    ],
)
def test_images_that_do_not_come_whole_are_a_sentence(
    tmp_path: Path, reply: Reply, why: str
) -> None:
    says = lambda path, _: NO_SERIES if path.endswith("/series") else reply  # noqa: E731
    with archive(says) as running, pytest.raises(ServerFailed, match=why):
        fetched(running, tmp_path / "in")
    asked = len([path for path in running.asked if path.endswith("/studies/1.2")])
    assert asked == (dicomweb.GOES if why.startswith(("broke", "sent")) else 1)


def test_more_images_than_a_study_has_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicomweb, "MAX_FILES", 1)
    says = lambda path, _: NO_SERIES if path.endswith("/series") else Reply(parts(*TWO))  # noqa: E731
    with archive(says) as running, pytest.raises(ServerFailed, match="more than 1 images"):
        fetched(running, tmp_path / "in")


def test_fewer_images_than_the_server_told_are_asked_for_again(tmp_path: Path) -> None:
    goes = iter(range(9))

    def says(path: str, query: dict[str, list[str]]) -> Reply:
        if path.endswith("/series"):
            told: Item = {SERIES: ["1.2.1"], MODALITY: ["CT"], IMAGES_OF_SERIES: [2]}
            return in_json(*([told] if query["offset"] == ["0"] else []))
        return Reply(parts(*TWO[: 1 + next(goes)]))

    with archive(says) as running:
        assert fetched(running, tmp_path / "in") == list(TWO)


def test_the_token_goes_to_the_server_alone_and_may_be_renewed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n", encoding="ascii")
    with archive(lambda *_: in_json()) as other:
        moved = (("Location", f"{other.url}/studies"),)
        with archive(lambda *_: Reply(b"", status=307, headers=moved)) as running:
            for word in ("first", "second"):
                token.write_text(f"{word}\n", encoding="ascii")
                with pytest.raises(ServerFailed, match="sends elsewhere"):
                    studies_at(running.server(token_file=token), {})
            assert running.tokens == ["Bearer first", "Bearer second"]
    assert other.asked == []


def test_a_certificate_is_trusted_only_by_its_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, authority = certificate(tmp_path, "authority")
    _, stranger = certificate(tmp_path, "stranger")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stranger))  # gives way to what is named
    theirs = certificate(tmp_path, "archive", "authority")
    access = tmp_path / "pacs.toml"
    access.write_text('ca = "authority.pem"\n', encoding="ascii")
    with archive(studies("1.2"), theirs) as running:
        with pytest.raises(ServerFailed, match="certificate"):
            names(running)
        known = server_of(running.url, access)
        assert known.ca == authority
        assert len(studies_at(known, {}).studies) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://", "no http"),
        ("https://pacs:x/dicom-web", "no address"),
        ("https://me:secret@pacs/dicom-web", "~/.netrc"),
        ("https://pacs/dicom-web?PatientID=1", "--query"),
        ("http://pacs/dicom-web", "https://"),
    ],
)
def test_an_address_that_cant_be_used_is_a_sentence(tmp_path: Path, url: str, why: str) -> None:
    (tmp_path / "token").write_text("x", encoding="ascii")
    access = tmp_path / "pacs.toml"
    access.write_text('token_file = "token"\n', encoding="ascii")
    with pytest.raises(ServerUnusable, match=why) as told:
        server_of(url, access)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("text", ["ca = 3", "url = 'x'", "ca = 'gone.pem'", "= ", "\x00"])
def test_a_file_of_access_that_is_none_is_a_sentence(tmp_path: Path, text: str) -> None:
    access = tmp_path / "pacs.toml"
    access.write_text(text, encoding="ascii")
    with pytest.raises(ServerUnusable):
        server_of("https://pacs/dicom-web", access)
    with pytest.raises(ServerUnusable):
        server_of("https://pacs/dicom-web", tmp_path / "gone.toml")


@pytest.mark.parametrize("text", ["", "two\nlines", "a b", "gr\u00fcn", "\x00"])
def test_a_token_that_no_header_can_hold_is_a_sentence(tmp_path: Path, text: str) -> None:
    token = tmp_path / "token"
    token.write_text(text, encoding="utf-8")
    server = Server("http://127.0.0.1:9/dicom-web", token_file=token, tries=0)
    with pytest.raises(ServerUnusable, match="no token"):
        studies_at(server, {})


@pytest.mark.parametrize("key", ["ca", "certificate"])
def test_a_certificate_that_is_none_is_told_before_the_server_is_blamed(
    tmp_path: Path, key: str
) -> None:
    (tmp_path / "c.pem").write_text("no PEM", encoding="ascii")
    access = tmp_path / "pacs.toml"
    access.write_text(f"{key} = 'c.pem'", encoding="ascii")
    with pytest.raises(ServerUnusable, match="PEM"):
        server_of("https://pacs/dicom-web", access)


def test_a_query_is_of_dicoms_attributes() -> None:
    assert query_of(["StudyDate=20250101-", "00081030=CT*"]) == {
        "ModalitiesInStudy": "CT",
        "StudyDate": "20250101-",
        "StudyDescription": "CT*",
    }
    assert query_of(["ModalitiesInStudy=MR"]) == {"ModalitiesInStudy": "MR"}
    for words in (["limit=3"], ["StudyDate"], ["StudyDate="], ["StudyDate=1", "00080020=2"]):
        with pytest.raises(QueryInvalid):
            query_of(words)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ServerFailed, match="can't be reached"):
        studies_at(Server("http://127.0.0.1:9/dicom-web", tries=0), remote.ASKED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Value", "vr", STUDY, COUNT, "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_whatever_json_is_answered_gives_uids_or_a_sentence(items: list[Any]) -> None:
    client = Client(Server("http://127.0.0.1:9"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            pages = iter([(items, False), ([], False)])
            patch.setattr(client, "_page", lambda *_: next(pages))
            found = list(client.studies({})) if all(isinstance(one, dict) for one in items) else []
    finally:
        client.__exit__()
    assert all(answer is None or is_uid(answer.uid) for answer in found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 200), st.integers(1, 64))
def test_whatever_bytes_are_answered_are_whole_parts_or_none(
    tmp_path: Path, noise: bytes, at: int, step: int
) -> None:
    body = parts(b"one", b"two")
    body = body[:at] + noise + body[at:]
    taken = Parts(tmp_path, 1000, 3)
    try:
        with taken.multipart(BOUNDARY) as write:
            for start in range(0, len(body), step):
                write(body[start : start + step])
    except (Incomplete, NotWanted):
        pass
    taken.back_to(0)
    assert list(tmp_path.iterdir()) == []
