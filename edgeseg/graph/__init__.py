"""A view of an ONNX graph: producers, readers, and the network module of each node."""
