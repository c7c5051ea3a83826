"""PyTorch to ONNX. Needs the extra `export`; nothing under vfx_edge/ imports this."""
