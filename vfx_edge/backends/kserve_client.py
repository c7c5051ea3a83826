"""One connection to a server by the KServe v2 protocol: NVIDIA's client, over gRPC.

gRPC, because Triton, OpenVINO Model Server and MLServer all take binary tensors by it; over HTTP
not all do. Nothing is sent but the names of model and tensors and the numbers of a batch.
"""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.errors import one_line
from vfx_edge.backends.kserve_settings import Server, read
from vfx_edge.backends.protocol import Array
from vfx_edge.quiet import runtime_quiet

T = TypeVar("T")
DTYPES = {"FP32": np.float32, "FP16": np.float16}
"""The protocol's name of a type -> ours: what a network may take and answer."""
_PASSING = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED"}
_NO_TRUST = re.compile(
    "(tls|ssl) handshake failed|verification check failed|certificate_verify_failed", re.IGNORECASE
)
"""gRPC's words, none of which a host's name can hold. "Handshake read failed" is none of them: so
ends a connection to one that is just being restarted."""
_NO_KEYS = "create security handshaker"
_TOO_LARGE = "larger than max"
_WORD = re.compile(r"[^\w .:+-]")
"""Left out of what the server calls itself: it stands in results and on terminals."""
_ANSWER_S = 10.0
"""For what is no inference: the server has it at hand."""
_MOST_MESSAGE = 2**31 - 1
MOST_TOLD = 16 << 20
"""Bytes of what a server tells of itself and its models."""
_OPTIONS = [
    ("grpc.max_send_message_length", _MOST_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", int(1000 * _ANSWER_S)),  # so long a handshake may take
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Crops go to the server that is named, and to no proxy that the environment names: neither by
    # https_proxy and its like, nor by GRPC_ADDRESS_HTTP_PROXY.
    ("grpc.enable_http_proxy", 0),
    ("grpc.address_http_proxy_enabled_addresses", ""),
    # One that is gone without a word is noticed.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


class CallFailed(Exception):
    """The server refused, or did not answer. Inside the backend only."""

    def __init__(self, status: str, words: str) -> None:
        self.status = status
        super().__init__(one_line(words) or status)

    @property
    def trust(self) -> bool:
        """Its certificate is not one that is trusted, or it speaks without TLS."""
        return self.status == "UNAVAILABLE" and bool(_NO_TRUST.search(str(self)))

    @property
    def keys(self) -> bool:
        """The settings' own certificates or key can't be used."""
        return self.status == "UNAVAILABLE" and _NO_KEYS in str(self)

    @property
    def too_large(self) -> bool:
        """A request for the server, or its answer for us."""
        return self.status == "RESOURCE_EXHAUSTED" and _TOO_LARGE in str(self)

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered in a while."""
        return self.status in _PASSING and not (self.trust or self.keys or self.too_large)


@dataclass(frozen=True)
class Tensor:
    """As the server tells it; -1: a free dimension."""

    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """What the server says of one model."""

    version: str
    """The newest that it serves; "" where it has no versions."""
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclass(frozen=True)
class Answer:
    """To one request."""

    version: str
    values: NDArray[Any]
    """As the server shaped them; float32 or float16."""


def installed() -> str:
    """Why the client can't be imported; "" where it can."""
    try:
        _library()
    except ImportError as error:
        return one_line(error)
    return ""


def _library() -> Any:
    # Its own lines would stand beside our one sentence. Whoever looks for a fault sets it.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with runtime_quiet():
        import tritonclient.grpc

    return tritonclient.grpc


class Connection:
    """To one server. CallFailed from every method; safe for one thread at a time."""

    def __init__(self, server: Server, most_bytes: int = MOST_TOLD) -> None:
        """most_bytes: of an answer. ServerInvalid where a certificate or the token can't be
        read."""
        self._client = _library()
        self.address = server.address
        self._timeout_s = server.timeout_s
        for path in (server.ca, server.certificate, server.key):
            if path is not None:
                read(path)
        token = server.token()
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._to = self._client.InferenceServerClient(
            f"dns:///{server.address}",  # else a host named "unix" would be another kind of address
            ssl=server.tls,
            root_certificates=_text(server.ca),
            private_key=_text(server.key),
            certificate_chain=_text(server.certificate),
            channel_args=[*_OPTIONS, ("grpc.max_receive_message_length", most_bytes)],
        )

    def close(self) -> None:
        self._to.close()

    def who(self) -> str:
        """The server's own name and version: "triton 2.59.0"."""
        told = self._ask(self._to.get_server_metadata)
        return _WORD.sub("", one_line(f"{told.name} {told.version}", 80)).strip()

    def model(self, name: str) -> Model:
        """What it says of this model."""
        told = self._ask(self._to.get_model_metadata, name)
        versions = sorted(told.versions, key=lambda v: (len(v), v))
        newest = versions[-1] if versions else ""
        return Model(newest, _tensors(told.inputs), _tensors(told.outputs))

    def names(self) -> tuple[str, ...]:
        """Of its models that are ready; () where it does not tell: the protocol leaves it to it."""
        try:
            told = self._ask(self._to.get_model_repository_index)
        except CallFailed as error:
            if error.passing:
                raise
            return ()
        here = (model for model in told.models if model.state in ("", "READY"))
        return tuple(one_line(model.name) for model in here)

    def parameters(self, name: str, version: str) -> dict[str, str]:
        """Of the model's configuration; {} where it does not tell: Triton alone does."""
        try:
            told = self._ask(self._to.get_model_config, name, version).config
        except CallFailed as error:
            if error.passing:
                raise
            return {}
        return {key: value.string_value for key, value in told.parameters.items()}

    def infer(
        self, name: str, version: str, given: tuple[str, Array], wanted: str
    ) -> "Future[Answer]":
        """Send one batch. given: the input's name and its numbers; wanted: the output's name."""
        library, (input_name, batch) = self._client, given
        tensor = library.InferInput(input_name, batch.shape, _name_of(batch.dtype))
        tensor.set_data_from_numpy(batch)
        asked = library.InferRequestedOutput(wanted)
        coming: Future[Answer] = Future()

        def arrived(result: Any, error: Any) -> None:
            try:
                if error is not None:
                    raise _failed(error, self._timeout_s)
                coming.set_result(_answer(result, name, wanted))
            except Exception as failure:  # noqa: BLE001  raised by whoever waits
                coming.set_exception(failure)

        try:
            self._to.async_infer(
                name, [tensor], arrived, model_version=version, outputs=[asked],
                client_timeout=self._timeout_s, headers=self._headers,
            )  # fmt: skip
        except library.InferenceServerException as error:
            coming.set_exception(_failed(error, self._timeout_s))
        return coming

    def _ask(self, call: Callable[..., T], *given: object) -> T:
        timeout_s = min(self._timeout_s, _ANSWER_S)
        try:
            return call(*given, headers=self._headers, client_timeout=timeout_s)
        except self._client.InferenceServerException as error:
            raise _failed(error, timeout_s) from None


def _failed(error: Any, timeout_s: float) -> CallFailed:
    status, words = str(error.status()).rpartition(".")[2], str(error.message() or "")
    late = status == "DEADLINE_EXCEEDED"
    return CallFailed(status, f"no answer within {timeout_s:g} s" if late else words)


def _answer(result: Any, model: str, wanted: str) -> Answer:
    """CallFailed where it is another model's, or no tensor: cut short, of another type or name."""
    response, told = result.get_response(), result.get_output(wanted)
    if response.model_name not in ("", model):
        raise CallFailed("DATA_LOSS", f"'{response.model_name}' answers instead of '{model}'")
    if told is None:
        raise CallFailed("DATA_LOSS", f"its answer holds no '{wanted}'")
    if told.datatype not in DTYPES:  # the client would read some otherwise than as numbers
        raise CallFailed("DATA_LOSS", f"its answer is of type {told.datatype}, not FP32 or FP16")
    try:
        values = result.as_numpy(wanted)
    except (ValueError, TypeError) as error:
        raise CallFailed("DATA_LOSS", f"its answer is cut short or no tensor: {error}") from None
    return Answer(one_line(response.model_version), values)


def _tensors(told: Sequence[Any]) -> dict[str, Tensor]:
    return {one.name: Tensor(one_line(one.datatype), tuple(one.shape)) for one in told}


def _name_of(dtype: np.dtype[Any]) -> str:
    return next(name for name, ours in DTYPES.items() if ours == dtype)


def _text(path: object) -> str | None:
    return None if path is None else str(path)
