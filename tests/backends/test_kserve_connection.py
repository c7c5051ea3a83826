"""The way to a server: lost and found again, trusted or not, and past no proxy."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

pytest.importorskip("tritonclient.grpc", reason="needs the extra kserve")
import grpc

from tests.backends.played_server import BATCH, Played, opened, serving, settings
from tests.service.nodes import certificate
from vfx_edge.backends import probe_served
from vfx_edge.backends.errors import ServedOtherwise, ServerFailed
from vfx_edge.backends.kserve_backend import request_size
from vfx_edge.backends.kserve_client import CallFailed
from vfx_edge.backends.kserve_settings import VARIABLE, ServerInvalid
from vfx_edge.errors import BackendError
from vfx_edge.manifest import ModelManifest


@pytest.mark.parametrize(
    ("words", "trust", "passing"),
    [
        ("Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL", True, False),
        ("Custom verification check failed with error: UNAUTHENTICATED: Hostname", True, False),
        ("Failed to create security handshaker", False, False),
        ("Handshake read failed (Socket closed)", False, True),
        ("errors resolving ssl-certificate.example:8001", False, True),
    ],
)
def test_what_a_lost_connection_means(words: str, *, trust: bool, passing: bool) -> None:
    """As gRPC says it. A server that is restarted behind another is no untrusted one."""
    failed = CallFailed("UNAVAILABLE", words)
    assert (failed.trust, failed.passing) == (trust, passing)


@pytest.mark.parametrize(
    "variables",
    [
        {"grpc_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"},
        {
            "GRPC_ADDRESS_HTTP_PROXY": "127.0.0.1:1",
            "GRPC_ADDRESS_HTTP_PROXY_ENABLED_ADDRESSES": "127.0.0.1",
        },
    ],
)
def test_no_proxy_of_the_environment_is_used(
    played: Played, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Nothing listens there."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with serving(played) as port:
        (state,) = probe_served(f"grpc://127.0.0.1:{port}")
    assert state.available, state.reason


def test_what_passes_is_asked_again(
    models: ModelManifest, played: Played, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codes = grpc.StatusCode
    with serving(played) as port:
        named = settings(tmp_path, port, patience_s=60)
        with opened(models, named) as there:
            wanted = there.network("finder").run(BATCH)
            played.fails = [codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED, codes.NOT_FOUND]
            before = len(played.asked)
            np.testing.assert_array_equal(there.network("finder").run(BATCH), wanted)
            parts = -(-len(BATCH) // request_size(models.network("finder")))
            assert len(played.asked) - before == parts + 3, "what was answered is not asked again"
    assert "does not answer" in caplog.text


def test_a_server_that_goes_and_comes_back(
    models: ModelManifest, played: Played, tmp_path: Path
) -> None:
    with serving(played) as port:
        there = opened(models, settings(tmp_path, port, patience_s=60))
        wanted = there.network("finder").run(BATCH)
    back = threading.Event()
    done = threading.Event()

    def again() -> None:
        back.wait()
        with serving(played, port):
            done.wait()

    other = threading.Thread(target=again)
    other.start()
    with there:
        threading.Timer(0.3, back.set).start()
        np.testing.assert_array_equal(there.network("finder").run(BATCH), wanted)
    done.set()
    other.join()


def test_one_that_comes_back_as_another_is_refused(
    models: ModelManifest, played: Played, tmp_path: Path
) -> None:
    with (
        serving(played) as port,
        opened(models, settings(tmp_path, port, patience_s=60)) as there,
    ):
        played.fails = [grpc.StatusCode.UNAVAILABLE]
        played.hash = "cd" * 32
        with pytest.raises(ServedOtherwise, match="cdcdcdcdcdcd"):
            there.network("finder").run(BATCH)


def test_one_that_does_not_answer_in_time_and_one_that_is_gone(
    models: ModelManifest, played: Played, tmp_path: Path
) -> None:
    with serving(played) as port:
        there = opened(models, settings(tmp_path, port))
        network: Any = there.network("finder")
        network._link.server = replace(network._link.server, timeout_s=0.1)
        network._link.close()
        played.stuck = threading.Event()
        with pytest.raises(ServerFailed, match=r"no answer within 0[.]1 s"):
            network.run(BATCH)
        played.stuck.set()
    with there, pytest.raises(ServerFailed, match="can't be reached"):
        there.network("finder").run(BATCH)
    with pytest.raises(BackendError, match="kserve' can't be used: it can't be reached") as caught:
        opened(models, settings(tmp_path, port))
    assert caught.value.exit_code == 5


def test_tls_and_token(models: ModelManifest, played: Played, tmp_path: Path) -> None:
    _, ca = certificate(tmp_path, "own")
    _, stranger = certificate(tmp_path, "stranger")
    key, signed = certificate(tmp_path, "here", "own")
    played.token = "s3cret"
    token = tmp_path / "token"
    token.write_text("s3cret\n", encoding="utf-8")
    with serving(played, certificate=(key, signed)) as port:
        good = {"tls": True, "ca": ca, "token_file": token}
        with opened(models, settings(tmp_path, port, **good)) as there:
            assert there.network("finder").run(BATCH).shape[0] == len(BATCH)
            assert there.backend.server is not None
            assert there.backend.server.tls
            token.write_text("renewed", encoding="utf-8")
            played.token = "renewed"
            assert there.network("finder").run(BATCH).shape[0] == len(BATCH), "read anew"
        for wrong, words in (
            ({"tls": True, "token_file": token}, "its certificate is not one to trust"),
            ({**good, "ca": stranger}, "its certificate is not one to trust"),
            ({"tls": True, "ca": ca}, "it wants a token"),
            ({**good, "token_file": ca}, "holds no token in one line"),
        ):
            with pytest.raises((BackendError, ServerInvalid), match=words):
                opened(models, settings(tmp_path, port, **wrong))
        token.write_text("wrong", encoding="utf-8")
        with pytest.raises(BackendError, match="the token is refused"):
            opened(models, settings(tmp_path, port, **good))


def test_doctor_asks_it_once(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with serving(played) as port:
        (state,) = probe_served(f"grpc://127.0.0.1:{port}")
    assert (state.available, state.device) == (True, f"played 1.0 at 127.0.0.1:{port}")
    (gone,) = probe_served(f"grpc://127.0.0.1:{port}")
    assert not gone.available
    assert "can't be reached" in gone.reason
    (nobody,) = probe_served()
    assert (nobody.available, nobody.remedy[:4]) == (False, "give")
