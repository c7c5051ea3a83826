"""What a card and its driver are taken to be."""

from tests.fake_card import TURING, Machine
from vfx_edge import nvml
from vfx_edge.backends import nvidia
from vfx_edge.backends.cuda_memory import CudaMemory


def test_x(machine: Machine) -> None:
    machine.play(TURING)
    print(nvidia.find_gpu(0), nvml.used_mib(), nvml.driver_version())
    m = CudaMemory()
    a = m.allocate(1 << 30)
    print(nvml.used_mib())
    m.free(a)
    m.close()
    print(nvml.used_mib())
