"""PyTorch to one ONNX graph, checked against PyTorch."""
