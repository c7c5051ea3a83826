"""Orthanc as a DICOMweb archive, which may be killed and started again."""

import json
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.service.processes import free_port
from tests.waiting import HANG_S, eventually
from vfx_edge.inputs.dicomweb_server import Server

ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
IS_HERE = ORTHANC is not None and DICOMWEB.is_file()


@dataclass
class Archive:
    """folder: of its files, and its log."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> "Archive":
        self.port = free_port()
        self.folder.mkdir()
        config = {
            "StorageDirectory": str(self.folder / "db"),
            "IndexDirectory": str(self.folder / "db"),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [str(DICOMWEB)],
        }
        (self.folder / "orthanc.json").write_text(json.dumps(config), encoding="ascii")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def server(self, **more: Any) -> Server:
        """As the client knows it, without a second try."""
        return Server(f"http://127.0.0.1:{self.port}/dicom-web", **{"tries": 0, **more})

    def start(self) -> None:
        """Until it answers."""
        with (self.folder / "log").open("ab") as log:
            command = [str(ORTHANC), str(self.folder / "orthanc.json")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        assert eventually(self._is_up), (self.folder / "log").read_text()

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(HANG_S)
            self.process = None

    def store(self, image: bytes) -> None:
        """Takes an image."""
        with self._ask("/instances", image) as answer:
            assert answer.status == 200

    def _is_up(self) -> bool:
        try:
            with self._ask("/system") as answer:
                return bool(answer.read())
        except OSError:
            return False

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body, timeout=HANG_S)
