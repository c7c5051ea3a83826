"""Networks that are Python functions, with the default set's manifest turned as tests need it."""

from typing import Any

from msgspec.structs import replace

from tests.fake_backend import FakeBackend, FakeNetwork, Function
from vfx_edge.backends import OpenModels
from vfx_edge.backends.protocol import Budget, Network
from vfx_edge.manifest import ModelManifest, NetworkSpec, load_model_set
from vfx_edge.study import BackendUse, ModelUse

WHOLE_RANGE = (-1024.0, 3071.0)


def spec_of(role: str, **input_: Any) -> NetworkSpec:
    """The default network of a role, its input changed; parameters under "parameters".

    Coded scans say what they mean in HU, so no window cuts them off unless it is asked for.
    """
    input_.setdefault("hu_clip", WHOLE_RANGE)
    if role == "labeller":  # wide enough to see the slab that says which level lies here
        input_.setdefault("patch_zyx", (44, 44, 104))
    spec = load_model_set().network(role)
    (parameters,) = (replace(one, **input_.pop("parameters", {})) for one in spec.parameters)
    return replace(spec, input=replace(spec.input, **input_), parameters=(parameters,))


def network(spec: NetworkSpec, function: Function) -> FakeNetwork:
    return FakeBackend(function).open(spec, b"", "auto", Budget())


def models(function: Function, **specs: NetworkSpec) -> OpenModels:
    """All roles of the default set on one function, some specs replaced."""
    manifest: ModelManifest = load_model_set()
    own = tuple(specs.get(role) or spec_of(role) for role in manifest.roles)
    manifest = replace(manifest, networks=own)
    opened: dict[str, Network] = {spec.roles[0]: network(spec, function) for spec in own}
    uses = tuple(ModelUse(role, n.spec.name, n.spec.sha256) for role, n in opened.items())
    return OpenModels(manifest, opened, BackendUse("fake", "fake", "python", "fp32"), uses)
