"""`vfx-edge doctor`: what this machine can run, and what stands in the way of the rest."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli.options import Device

if TYPE_CHECKING:
    from vfx_edge.backends import Availability
    from vfx_edge.doctor import CpuState, Diagnosis, GpuState, ModelSetState


Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL|FILE",
        help="The server of --backend kserve to be asked whether it answers.",
        show_default="what VFX_EDGE_SERVER names",
    ),
]


def doctor(device: Device = 0, server: Server = None) -> None:
    """Say what this machine can run, and what the rest is missing.

    For every backend: available, or all that is missing and what would bring it. Then the
    processor, the graphics cards, and whether the files of the model sets are whole.
    """
    from vfx_edge.doctor import diagnose

    found = diagnose(device, server or "")
    print("Backends, in the order in which --backend auto tries them")
    _backends(found)
    print("\nMachine")
    _cpu(found.cpu)
    _gpu(found.gpu)
    print("\nModel sets")
    for model_set in found.model_sets:
        _model_set(model_set)
    if not found.model_sets:
        print("  none installed: reinstall vfx-edge, or name a folder with --model")
    else:
        print("  whether each network answers on each backend: vfx-edge models verify")
    print("\nPackages")
    print("  " + ", ".join(f"{name} {version}" for name, version in found.packages))


def _backends(found: "Diagnosis") -> None:
    _rows(found.backends, found.auto)
    if found.passed_over:
        print(f"  A card is there, and auto does not use it: it takes {found.auto or 'nothing'}.")
    if found.auto is None:
        print("  none can run here: reinstall vfx-edge")
    print("\nOn a server, never by auto")
    _rows(found.served)


def _rows(found: "tuple[Availability, ...]", auto: str | None = None) -> None:
    for why, states in groupby(found, key=_why):
        alike = tuple(states)
        for state in alike:
            chosen = "   <- auto takes this" if state.name == auto else ""
            told = f"available: {state.device}{chosen}" if state.available else _told(state, alike)
            print(f"  {state.name:<13} {told}")
        if why[1]:
            print(f"  {'':<13} to have {'it' if len(alike) == 1 else 'them'}: {why[1]}")


def _why(state: "Availability") -> tuple[str, str]:
    return (state.name, "") if state.available else (state.reason, state.remedy)


def _told(state: "Availability", alike: "tuple[Availability, ...]") -> str:
    """What holds for several is said once."""
    first = alike[0]
    same = f"as {first.name}" if state is not first else state.reason
    return f"not available: {same}"


def _cpu(cpu: "CpuState") -> None:
    print(f"  CPU     {cpu.name}, {cpu.physical_cores} cores, {cpu.logical_cores} threads,", end="")
    print(f" {cpu.usable_cores} usable; {', '.join(cpu.features) or 'no special arithmetic known'}")
    print(f"  memory  {cpu.memory_gib:.1f} GiB, {cpu.free_gib:.1f} GiB free")


def _gpu(gpu: "GpuState") -> None:
    for number, (card, free) in enumerate(zip(gpu.cards, gpu.free_gib, strict=True)):
        room = "" if free is None else f", {free:.1f} GiB free"
        print(f"  GPU {number}   {card}{room}")
    if gpu.first is None:
        print(f"  driver  {gpu.driver or 'none that can be asked'}")
        return
    serves = ".".join(map(str, gpu.first.driver_cuda))
    print(f"  driver  {gpu.driver or 'of an unknown version'}, serves CUDA {serves}")


def _model_set(state: "ModelSetState") -> None:
    print(f"  {state.name} {state.version} {state.intended_use}  {state.folder}")
    for network in state.networks:
        words = network.problem or "hash and signature match"
        files = ", ".join(network.files)
        print(f"    {', '.join(network.roles):<11} {files}: {words}")
        if network.classes:
            print(f"    {'':<11} classes {network.classes}")
        for engine in network.engines:
            words = f"stale: {engine.problem}" if engine.problem else "fresh"
            beside = engine.path.is_relative_to(state.folder)
            place = engine.path.relative_to(state.folder) if beside else engine.path
            print(f"    {'':<11} {place}: {words}")
    if state.problem and not any(network.problem for network in state.networks):
        print(f"    {state.problem}")
