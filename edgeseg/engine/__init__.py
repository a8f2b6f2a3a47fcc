"""Build engines for TensorRT, TensorRT-RTX, OpenVINO and ONNX Runtime, and check graphs first."""
