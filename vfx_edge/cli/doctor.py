"""`vfx-edge doctor`: what this machine can run, and what stands in the way of the rest."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfx_edge.doctor import CpuState, Diagnosis, GpuState, ModelSetState


def doctor() -> None:
    """Say what this machine can run, and what the rest is missing.

    For every backend: available, or why not and what would make it so. Then the processor, the
    GPU, and whether the files of the model sets are whole.
    """
    from vfx_edge.doctor import diagnose

    found = diagnose()
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
    print("\nPackages")
    print("  " + ", ".join(f"{name} {version}" for name, version in found.packages))


def _backends(found: "Diagnosis") -> None:
    for state in found.backends:
        chosen = "   <- auto takes this" if state.name == found.auto else ""
        if state.available:
            print(f"  {state.name:<13} available: {state.device}{chosen}")
        else:
            print(f"  {state.name:<13} not available: {state.reason}")
            if state.remedy:
                print(f"  {'':<13} to have it: {state.remedy}")
    if found.auto is None:
        print("  none can run here: reinstall vfx-edge")


def _cpu(cpu: "CpuState") -> None:
    print(f"  CPU     {cpu.name}, {cpu.physical_cores} cores, {cpu.logical_cores} threads,", end="")
    print(f" {cpu.usable_cores} usable; {', '.join(cpu.features) or 'no special arithmetic known'}")
    print(f"  memory  {cpu.memory_gib:.1f} GiB, {cpu.free_gib:.1f} GiB free")


def _gpu(gpu: "GpuState") -> None:
    if gpu.gpu is None:
        print(f"  GPU     none: {gpu.reason}")
    else:
        print(f"  GPU     {gpu.gpu}")
    print(f"  driver  {gpu.driver or 'no NVIDIA driver'}")


def _model_set(state: "ModelSetState") -> None:
    print(f"  {state.name} {state.version} {state.intended_use}  {state.folder}")
    for network in state.networks:
        words = network.problem or "hash and signature match"
        print(f"    {', '.join(network.roles):<11} {network.file}: {words}")
        if network.classes:
            print(f"    {'':<11} classes {network.classes}")
        for engine in network.engines:
            words = f"stale: {engine.problem}" if engine.problem else "fresh"
            print(f"    {'':<11} {engine.path.name}: {words}")
    if state.problem and not any(network.problem for network in state.networks):
        print(f"    {state.problem}")
