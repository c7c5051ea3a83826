"""Scripts that make every figure of docs/benchmarks.md; PyTorch is allowed here."""
