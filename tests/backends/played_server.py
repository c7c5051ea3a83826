"""A server of the KServe v2 protocol that may lie, be slow, or ask for a token: gRPC's own server
over the protocol's own messages, its networks computed by ONNX Runtime."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.waiting import HANG_S
from vfx_edge.backends import Budget, Network, OpenModels, default_backends, open_models
from vfx_edge.backends.kserve_names import HASH, model_name
from vfx_edge.manifest import ModelManifest, NetworkSpec
from vfx_edge.study import BackendRequest

BATCH = np.random.default_rng(3).normal(size=(11, 1, 8, 8, 8)).astype(np.float32)
_NETWORKS: dict[str, Network] = {}
"""By the server's name, which holds the hash: opened once for all tests."""


@dataclass
class Played(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """What it does wrong is set while it runs."""

    manifest: ModelManifest
    token: str = ""
    version: str = "1"
    fails: list[grpc.StatusCode] = field(default_factory=list)
    """Of the next inferences, one after the other."""
    stuck: threading.Event | None = None
    """No inference is answered before it is set."""
    change: Callable[[Any], None] = lambda answer: None
    """Of each ModelInferResponse."""
    retell: Callable[[Any], None] = lambda told: None
    """Of each ModelMetadataResponse."""
    hash: str = ""
    """In the configuration; "": it tells no configuration, as most servers."""
    indexed: bool = True
    asked: list[Any] = field(default_factory=list)
    """Every ModelInferRequest."""
    headers: list[dict[str, str]] = field(default_factory=list)
    gather: threading.Barrier | None = None
    """An inference waits until so many are here."""

    def __post_init__(self) -> None:
        for spec in self.manifest.networks:
            if (name := model_name(spec, "fp32")) not in _NETWORKS:
                opened = default_backends()["cpu"].open(spec, spec.read(), "fp32", Budget())
                _NETWORKS[name] = opened

    def ServerMetadata(self, request: Any, context: Any) -> Any:
        self._let_in(context)
        return service_pb2.ServerMetadataResponse(name="played", version="1.0")

    def ModelMetadata(self, request: Any, context: Any) -> Any:
        self._let_in(context)
        spec = self._spec(request.name, context)
        told = service_pb2.ModelMetadataResponse(name=request.name, versions=[self.version])
        for field_, name, shape in (
            (told.inputs, spec.input.name, spec.shape(1)),
            (told.outputs, spec.output.name, spec.answer_shape(1)),
        ):
            field_.add(name=name, datatype="FP32", shape=[-1, *shape[1:]])
        self.retell(told)
        return told

    def ModelConfig(self, request: Any, context: Any) -> Any:
        if not self.hash:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        told = service_pb2.ModelConfigResponse()
        told.config.parameters[HASH].string_value = self.hash
        return told

    def RepositoryIndex(self, request: Any, context: Any) -> Any:
        if not self.indexed:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        names = [model_name(spec, "fp32") for spec in self.manifest.networks]
        every = [service_pb2.RepositoryIndexResponse.ModelIndex(name=name) for name in names]
        return service_pb2.RepositoryIndexResponse(models=every)

    def ModelInfer(self, request: Any, context: Any) -> Any:
        self._let_in(context)
        self.asked.append(request)
        if self.fails:
            context.abort(self.fails.pop(0), "on purpose")
        if self.gather is not None:
            self.gather.wait(HANG_S)
        if self.stuck is not None:
            self.stuck.wait(HANG_S)
        spec = self._spec(request.model_name, context)
        (given,) = request.inputs
        batch = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(given.shape)
        out = _NETWORKS[request.model_name].run(batch)
        answer = service_pb2.ModelInferResponse(
            model_name=request.model_name, model_version=self.version
        )
        answer.outputs.add(name=spec.output.name, datatype="FP32", shape=out.shape)
        answer.raw_output_contents.append(out.tobytes())
        self.change(answer)
        return answer

    def _spec(self, name: str, context: Any) -> NetworkSpec:
        for spec in self.manifest.networks:
            if model_name(spec, "fp32") == name:
                return spec
        context.abort(grpc.StatusCode.NOT_FOUND, f"no model {name}")
        raise AssertionError("abort raises")

    def _let_in(self, context: Any) -> None:
        told = dict(context.invocation_metadata())
        self.headers.append(told)
        if self.token and told.get("authorization") != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid token")


@contextmanager
def serving(
    played: Played, port: int = 0, certificate: tuple[Path, Path] | None = None
) -> Iterator[int]:
    """The port that it listens at. certificate: PEM files of key and certificate."""
    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(played, server)
    if certificate is None:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        key, chain = (path.read_bytes() for path in certificate)
        credentials = grpc.ssl_server_credentials([(key, chain)])
        bound = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    server.start()
    try:
        yield bound
    finally:
        server.stop(None).wait()


def settings(tmp_path: Path, port: int, **more: object) -> str:
    """A file of settings; impatient unless said otherwise."""
    host = "localhost" if more.pop("tls", False) else "127.0.0.1"
    scheme = "grpcs" if host == "localhost" else "grpc"
    values = {"url": f"{scheme}://{host}:{port}", "patience_s": 0, **more}
    lines = [
        f"{k} = {v if isinstance(v, int | float) else repr(str(v))}" for k, v in values.items()
    ]
    path = tmp_path / "server.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def opened(models: ModelManifest, named: str) -> OpenModels:
    return open_models(models, BackendRequest.of(f"kserve={named}"))
