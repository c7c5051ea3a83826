"""`python -m vfx_edge`, the same as `vfx-edge`."""

from vfx_edge.cli import program

if __name__ == "__main__":
    program()
