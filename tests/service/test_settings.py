"""The configuration file: what it may hold, and the message for a mistake in it."""

import math
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from vfx_edge.backends.cache import cache_root
from vfx_edge.backends.errors import NoCache
from vfx_edge.manifest.files import installed_sets
from vfx_edge.service.settings import BOUNDS, Settings, SettingsInvalid, load_settings

WHOLE = """
spool = "/var/lib/vfx-edge"
outputs = ["json", "html"]
quiet_s = 10
callers = ["CT1", "CT2"]

[tls]
certificate = "a.pem"
key = "b.pem"
ca = "c.pem"

[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "10.0.0.7"
port = 104

[[destinations]]
name = "web"
url = "https://pacs.example/dicom-web"
token_file = "/etc/vfx-edge/token"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "service.toml"
    path.write_text(text)
    return path


def test_a_whole_file_and_options_that_overrule_it(tmp_path: Path) -> None:
    config = written(tmp_path, WHOLE)
    settings = load_settings(config, {"quiet_s": 3.0, "language": "de", "backend": None})
    assert (settings.quiet_s, settings.language, settings.backend) == (3.0, "de", "auto")
    assert settings.spool == Path("/var/lib/vfx-edge")
    assert [one.name for one in settings.destinations] == ["pacs", "web"]
    assert settings.tls is not None
    assert settings.tls.ca == Path("c.pem")


def test_without_a_file_the_spool_is_the_users_own() -> None:
    assert load_settings(None, {}).spool.parts[-2:] == ("vfx-edge", "spool")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quiet = 10", "quiet: "),
        ('quiet_s = "long"', "quiet_s: "),
        ("device = -1", "no card number -1"),
        ("gpu_memory_gib = 0", "0 GiB of a card's memory make no sense"),
        ('precision = "fp8"', "'fp8' is no precision: use one of auto, fp32"),
        ("quiet_s = 0", "quiet_s must be from 0.1 to 86400"),
        ('complete_on = "never"', "complete_on: "),
        ("quiet_s = ", "it is no TOML"),
        ('[[destinations]]\nname = "a"', "needs either host and ae_title, or url"),
        ('[[destinations]]\nname = "a"\nhost = "h"', "needs an ae_title"),
        ('[[destinations]]\nname = "a"\nurl = "http://x"\n' * 2, "the same name"),
        ('[[destinations]]\nname = "a"\nurl = "http://x"\naetitle = "A"', "aetitle"),
        ('[tls]\ncertificate = "a"', "tls.key"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(written(tmp_path, text), {"spool": "x"})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


DESTINATION = {"name": "pacs", "host": "10.0.0.7", "ae_title": "PACS"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keep_days": -1}, "keep_days must be from 0 to 36500"),
        ({"keep_days": math.nan}, "keep_days must be from 0 to 36500"),
        ({"job_attempts": 0}, "job_attempts must be from 1 to 1000"),
        ({"max_associations": 0}, "max_associations must be from 1 to 1000"),
        ({"quiet_s": math.inf}, "quiet_s must be from 0.1 to 86400"),
        ({"quiet_s": math.nan}, "quiet_s must be from 0.1 to 86400"),
        ({"retry_first_s": 0}, "retry_first_s must be from 0.1 to 86400"),
        ({"retry_most_s": 0}, "retry_most_s must be from 0.1 to 86400"),
        ({"give_up_s": -5}, "give_up_s must be from 0 to 31536000"),
        ({"max_pdu_bytes": 1}, "max_pdu_bytes must be from 4096 to 16777216"),
        ({"max_instance_mib": 0}, "max_instance_mib must be from 1 to 1048576"),
        ({"idle_timeout_s": 0}, "idle_timeout_s must be from 1 to 86400"),
        ({"min_free_mib": -1}, "min_free_mib must be from 0 to "),
        ({"port": 70000}, "port must be from 0 to 65535"),
        ({"host": ""}, "host must be named"),
        ({"destinations": [{**DESTINATION, "port": 0}]}, "'pacs' must be from 1 to 65535"),
        ({"destinations": [{**DESTINATION, "name": " "}]}, "a destination needs a name"),
        ({"destinations": [{"name": "web", "url": "ftp://x"}]}, "'web' must begin with http"),
    ],
)
def test_what_would_silently_ruin_the_service_is_refused(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(None, {"spool": "x", **given})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_number_among_the_settings_has_bounds() -> None:
    numbers = {one.name for one in fields(Settings) if type(one.default) in (int, float)}
    assert numbers == BOUNDS.keys() | {"device"}, "BackendRequest knows its own"


def test_a_server_for_the_networks_is_named_with_the_backend() -> None:
    settings = load_settings(None, {"spool": "x", "backend": "kserve=/etc/server.toml"})
    assert (settings.request.backend, settings.request.server) == ("kserve", "/etc/server.toml")
    with pytest.raises(SettingsInvalid, match="only kserve=SERVER is asked elsewhere"):
        load_settings(None, {"spool": "x", "backend": "cpu=/etc/server.toml"})


def test_the_wait_doubles_up_to_its_limit() -> None:
    settings = Settings(spool=Path("x"), retry_first_s=1, retry_most_s=10)
    assert [settings.backoff_s(n) for n in (0, 1, 2, 3, 4, 5, 5000)] == [1, 1, 2, 4, 8, 10, 10]


def test_a_user_without_a_home_needs_a_spool_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a service's user often is."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "VFX_EDGE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert load_settings(None, {"spool": tmp_path}).spool == tmp_path
    assert "default" in [path.name for path in installed_sets()]
    with pytest.raises(SettingsInvalid, match="no home folder, so name one"):
        load_settings(None, {})
    with pytest.raises(NoCache, match="VFX_EDGE_CACHE"):
        cache_root()
