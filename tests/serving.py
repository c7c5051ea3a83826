"""Servers of others that speak the KServe v2 protocol, on this machine: Triton and MLServer, from
the environment that `make servers` makes. Their ONNX Runtime is the same library as ours."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "build" / "peers" / "serving"
PYTHON = HOME / "bin" / "python"
SETTINGS = "model-settings.json"
TRITON_MODEL = '''"""Triton's Python backend: the package brings no other."""
import os
import onnxruntime
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["VFX_TEST_THREADS"])
        self.net = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.given, self.wanted = self.net.get_inputs()[0].name, self.net.get_outputs()[0].name

    def execute(self, requests):
        return [self.answer(pb.get_input_tensor_by_name(one, self.given)) for one in requests]

    def answer(self, given):
        out = self.net.run([self.wanted], {self.given: given.as_numpy()})[0]
        return pb.InferenceResponse([pb.Tensor(self.wanted, out)])
'''
MLSERVER_MODEL = '''"""MLServer's own way to bring a runtime."""
import asyncio
import os
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Onnx(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["VFX_TEST_THREADS"])
        self.net = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload):
        given = payload.inputs[0]
        numbers = self.decode(given, default_codec=NumpyCodec)
        out = await asyncio.to_thread(self.net.run, None, {given.name: numbers})
        names = [one.name for one in self.net.get_outputs()]
        coded = [NumpyCodec.encode_output(n, o) for n, o in zip(names, out)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=coded)
'''


@dataclass
class Server:
    """One that can be killed and begun again at the same address."""

    command: list[str]
    port: int
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when all models are there."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        assert eventually(self._ready), f"see {self.log}"

    def kill(self) -> None:
        """The server and its helpers, at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _ready(self) -> bool:
        import tritonclient.grpc

        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text("utf-8", "replace")[-2000:]
        with tritonclient.grpc.InferenceServerClient(self.url.partition("//")[2]) as client:
            try:
                return bool(client.is_server_ready(client_timeout=2))
            except tritonclient.grpc.InferenceServerException:
                return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def triton(repository: Path, home: Path, threads: int = 1) -> Iterator[Server]:
    """NVIDIA Triton over a copy of a repository, by its Python backend."""
    copy = home / "triton"
    shutil.copytree(repository, copy)
    for config in copy.glob("*/config.pbtxt"):
        text = config.read_text("utf-8").replace('"onnxruntime"', '"python"')
        config.write_text(text, "utf-8")
        (config.parent / "1" / "model.py").write_text(TRITON_MODEL, "utf-8")
    (packages,) = HOME.glob("lib/python3.*/site-packages")
    there = packages / "pytriton" / "tritonserver"
    version = packages.parent.name.removeprefix("python")
    backends = home / "backends"
    shutil.copytree(there / "backends", backends)
    stub = there / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    for program in (backends / "python" / stub.name, there / "bin" / "tritonserver"):
        program.chmod(0o755)
    port = free_port()
    command = [
        str(there / "bin" / "tritonserver"),
        *("--model-repository", str(copy), "--backend-directory", str(backends)),
        *("--grpc-address", "127.0.0.1", "--grpc-port", str(port)),
        *("--allow-http", "false", "--allow-metrics", "false"),
    ]
    more = {
        "PYTHONPATH": str(packages),
        "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
    }
    with _running(command, port, home, threads, more) as server:
        yield server


@contextmanager
def mlserver(repository: Path, home: Path, threads: int = 1) -> Iterator[Server]:
    """Seldon's MLServer over the same files."""
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    folder = home / "mlserver"
    folder.mkdir()
    (folder / "onnx_model.py").write_text(MLSERVER_MODEL, "utf-8")
    port, http = free_port(), free_port()
    facts = {"host": "127.0.0.1", "http_port": http, "grpc_port": port, "parallel_workers": 0,
             "metrics_endpoint": None, "grpc_max_message_length": -1}  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(facts), "utf-8")
    for path in repository.glob("*/config.pbtxt"):
        config = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
        told = {
            "name": config.name,
            "implementation": "onnx_model.Onnx",
            "parameters": {"uri": str(path.parent / "1" / "model.onnx"), "version": "v1"},
            "inputs": [_tensor(one) for one in config.input],
            "outputs": [_tensor(one) for one in config.output],
        }
        (folder / config.name).mkdir()
        (folder / config.name / SETTINGS).write_text(json.dumps(told), "utf-8")
    command = [str(HOME / "bin" / "mlserver"), "start", str(folder)]
    with _running(command, port, home, threads, {"PYTHONPATH": str(folder)}) as server:
        yield server


def _tensor(told: object) -> dict[str, object]:
    dims = [-1, *told.dims]  # type: ignore[attr-defined]
    return {"name": told.name, "datatype": "FP32", "shape": dims}  # type: ignore[attr-defined]


@contextmanager
def _running(
    command: list[str], port: int, home: Path, threads: int, more: dict[str, str]
) -> Iterator[Server]:
    path = f"{HOME / 'bin'}{os.pathsep}{os.environ['PATH']}"
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    own = {**kept, "PATH": path, "VFX_TEST_THREADS": str(threads), **more}
    server = Server(command, port, own, home / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.kill()


SERVERS: dict[str, Callable[..., AbstractContextManager[Server]]] = {
    "triton": triton,
    "mlserver": mlserver,
}
"""(repository, empty folder, threads) -> a server that runs."""
