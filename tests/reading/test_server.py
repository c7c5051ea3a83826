"""What the browser gets: nothing of the truth or the program before the first answer, and nobody
else anything."""

import http.client
import io
import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from tests.reading.made import LEVELS, NAMES, session, written
from tests.waiting import HANG_S
from vfx_edge.reading.server import COOKIE, MOST_BYTES, PageServer, PortTaken
from vfx_edge.reading.session import Session

OTHER_WAY = ("osteoporotic", "malignant", "osteoporotic")
STATIC = ("/", "/static/cases.css", "/static/cases.js")
PICTURES = [f"/picture/1/{plane}/{at}/{window}.png" for plane in ("sagittal", "coronal", "axial")
            for at in (0, 40, 80) for window in ("bone", "soft")]  # fmt: skip


class Client:
    """A browser that keeps its cookie."""

    def __init__(self, port: int) -> None:
        self.port, self.cookie = port, ""

    def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        sent = {"Host": "127.0.0.1", "Cookie": self.cookie, **headers}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        if "set-cookie" in told:
            self.cookie = told["set-cookie"].partition(";")[0]
        found = answer.status, told, answer.read()
        connection.close()
        return found

    def get(self, path: str) -> bytes:
        status, _, body = self.ask("GET", path)
        assert status == 200, (path, status)
        return body

    def answer(self, number: int, which: str, answer: str, confidence: int | None) -> Any:
        said = {"number": number, "pass": which, "answer": answer, "confidence": confidence}
        status, _, body = self.ask("POST", "/answer", said)
        return json.loads(body) if status == 200 else status


@contextmanager
def served(one: Session, language: str = "en") -> Iterator[tuple[PageServer, Client]]:
    server = PageServer(one, language)
    client = Client(int(server.address.split(":")[2].partition("/")[0]))
    try:
        yield server, client
    finally:
        server.stop()


def entered(server: PageServer, client: Client) -> Client:
    assert client.ask("GET", "/start/" + server.address.rpartition("/")[2])[0] == 303
    return client


def test_before_the_first_answer_nothing_depends_on_truth_or_program(tmp_path: Path) -> None:
    """The same pictures under other labels and answers: the same bytes, whatever is asked for."""
    got = []
    for number, (labels, tiers) in enumerate(
        ((("malignant",) * 3, ("malignant",) * 3), (OTHER_WAY, ("uncertain",) * 3))
    ):
        data = written(tmp_path / str(number), labels=labels, tiers=tiers)
        with served(session(data, tmp_path / f"out{number}")) as (server, client):
            entered(server, client)
            bodies = {path: client.get(path) for path in (*STATIC, "/case", *PICTURES)}
            turn = {"number": 1, "pass": "unaided"}
            for path, body in (("/shown", turn), ("/pause", turn), ("/answer", turn),
                               ("/picture/2/axial/40/bone.png", None)):  # fmt: skip
                method = "GET" if body is None else "POST"
                status, _, answer = client.ask(method, path, body)
                bodies[path] = str(status).encode() + answer
            got.append(bodies)
            state = json.loads(bodies["/case"])
            text = b"".join(body for path, body in bodies.items() if path not in PICTURES)
            second = client.answer(1, "unaided", "malignant", 2)
    assert got[0] == got[1]
    assert state.keys() == {"done", "number", "of", "pass", "planes", "windows", "count", "middle"}
    for word in (*NAMES, *LEVELS, "p0", "0.0625", "0.9625", "0.5125"):
        assert word.encode() not in text, word
    assert not any(Pillow.open(io.BytesIO(bodies[path])).info for path in PICTURES)
    assert second["program"] == {
        "tier": "uncertain", "reason": "", "p_malignant": 0.5125, "height_loss": None,
        "p_osteoporotic": pytest.approx(0.4875), "level": second["program"]["level"],
    }  # fmt: skip
    assert second["first"] == {"answer": "malignant", "confidence": 2}


def test_only_who_opened_the_address_is_answered(tmp_path: Path) -> None:
    data = written(tmp_path / "data", count=2)
    with served(session(data, tmp_path)) as (server, client):
        paths = (*STATIC, "/case", PICTURES[0], "/none", "/start/x")
        assert {client.ask("GET", path)[0] for path in paths} == {403}
        assert client.ask("POST", "/shown", {"number": 1, "pass": "unaided"})[0] == 403
        status, headers, _ = client.ask("GET", server.address.partition("/start")[1] + "/"
                                        + server.address.rpartition("/")[2])  # fmt: skip
        assert (status, headers["location"]) == (303, "/")
        assert headers["set-cookie"].startswith(COOKIE)
        assert {"HttpOnly", "SameSite=strict"} <= set(headers["set-cookie"].split("; "))
        assert client.ask("GET", "/")[0] == 200
        late = Client(client.port)
        assert late.ask("GET", "/start/" + server.address.rpartition("/")[2])[0] == 403
        assert late.ask("GET", "/")[0] == 403
        assert client.ask("GET", "/", Host="evil.example")[0] == 400
        assert client.ask("GET", "/none")[0] == 404
        assert client.ask("GET", "/static/page.html.j2")[0] == 404


def test_each_answer_has_the_headers_of_the_service(tmp_path: Path) -> None:
    data = written(tmp_path / "data", count=2)
    with served(session(data, tmp_path), "de") as (server, client):
        entered(server, client)
        for path in (*STATIC, "/case", PICTURES[0], "/none"):
            _, headers, body = client.ask("GET", path)
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert b"http" not in body.replace(b'http-equiv="', b"")
        _, headers, page = client.ask("GET", "/")
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert b'lang="de"' in page
        assert "Warum ist dieser Wirbel gebrochen?" in page.decode()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b'{"number": 1}', b'{"number": "1", "pass": "unaided"}',
     b'{"number": 1, "pass": "third"}', b'{"number": 1, "pass": "unaided", "more": 1}',
     b'{"number": 1, "pass": "unaided", "answer": "malignant", "confidence": 9}',
     b'{"number": 1, "pass": "unaided", "answer": "benign"}',
     b'{"number": 1, "pass": "unaided", "answer": "' + b"x" * MOST_BYTES + b'"}'],
)  # fmt: skip
def test_what_is_no_answer_is_refused(shared: Client, body: bytes) -> None:
    assert shared.ask("POST", "/answer", body)[0] == 400


def test_an_answer_of_another_page_or_turn_is_refused(shared: Client) -> None:
    turn = {"number": 1, "pass": "unaided"}
    said = {**turn, "answer": "malignant", "confidence": 3}
    plain = {"Content-Type": "text/plain"}
    assert shared.ask("POST", "/answer", json.dumps(said).encode(), **plain)[0] == 400
    assert shared.ask("POST", "/answer", {**said, "pass": "aided"})[0] == 409
    assert shared.ask("POST", "/answer", {**said, "number": 2})[0] == 409
    assert shared.ask("GET", "/answer")[0] == 405
    assert json.loads(shared.get("/case"))["number"] == 1


def test_an_answer_that_cant_be_kept_ends_it(tmp_path: Path) -> None:
    data = written(tmp_path / "data", count=2)
    with served(session(data, tmp_path)) as (server, client):
        entered(server, client)
        with (tmp_path / "readings" / "anna.csv").open("a") as stream:
            stream.write("somebody else\n")
        assert client.answer(1, "unaided", "malignant", 3) == 500
        assert server.ended.is_set()
        assert "another program" in str(server.failure)


def test_a_bug_ends_it_and_tells_the_page_nothing(tmp_path: Path) -> None:
    one = session(written(tmp_path / "data", count=1), tmp_path)
    broken: Future[Any] = Future()
    broken.set_exception(KeyError("Doe^Jane"))
    one._stacks[0] = broken
    with served(one) as (server, client):
        status, _, body = entered(server, client).ask("GET", "/case")
        assert (status, body) == (500, b"Internal Server Error")
        assert server.ended.is_set()
        assert isinstance(server.failure, KeyError)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    one = session(written(tmp_path / "data", count=1), tmp_path)
    with served(one) as (_, client), pytest.raises(PortTaken, match=str(client.port)):
        PageServer(one, "en", client.port)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Of which no test changes anything."""
    folder = tmp_path_factory.mktemp("served")
    with served(session(written(folder / "data", count=2), folder)) as (server, client):
        yield entered(server, client)
