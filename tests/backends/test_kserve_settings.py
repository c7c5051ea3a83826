"""Where a server is: an address, or a file of settings."""

from pathlib import Path

import pytest

from vfx_edge.backends.kserve_settings import VARIABLE, ServerInvalid, server_of


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("", "nothing names it"),
        ("http://a:8000", "not grpcs://HOST:PORT"),
        ("grpcs://a", "not grpcs://HOST:PORT"),
        ("grpcs://a:99999", "no number from 1 to 65535"),
        ("grpcs://a b:1", "not grpcs://HOST:PORT"),
        ("grpcs://ü:1", "not grpcs://HOST:PORT"),
        ("grpcs://user:word@a:1", "not grpcs://HOST:PORT"),
        ("nowhere.toml", "No such file"),
        ("url = 'grpc://gpu:1'\ntoken_file = 't'", "everybody on the way could read it"),
        ("url = 'grpc://gpu:1'\nca = 't'", "needs grpcs://"),
        ("url = 'grpcs://gpu:1'\nkey = 't'", "belong together"),
        ("url = 'grpcs://gpu:1'\ntimeout_s = -1", "timeout_s"),
        ("url = 'grpcs://gpu:1'\ntiemout_s = 1", "tiemout_s"),
        ("url = 3", "url"),
        ("[", "can't be asked"),
    ],
)
def test_a_server_that_can_not_be_meant_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, words: str
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if "=" in named or named == "[":
        (tmp_path / "s.toml").write_text(named, encoding="utf-8")
        named = str(tmp_path / "s.toml")
    with pytest.raises(ServerInvalid, match=words) as caught:
        server_of(named)
    assert caught.value.exit_code == 2


def test_paths_in_the_settings_start_at_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("url = 'grpcs://gpu:8001'\nca = 'ca.pem'\nin_flight = 2", encoding="utf-8")
    server = server_of(str(path))
    assert (server.ca, server.in_flight, server.address) == (tmp_path / "ca.pem", 2, "gpu:8001")
