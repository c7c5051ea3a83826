"""`python -m vfx_edge`, the same as `vfx-edge`."""

from vfx_edge.cli import main

if __name__ == "__main__":
    main()
