"""Sends a frame by gRPC with NVIDIA's client, in the server's environment; prints the outputs.

python triton_grpc.py PORT MODEL FRAME.npy OUTPUTS.npz [THRESHOLD]
"""

import sys

import numpy as np
from tritonclient import grpc

port, model, path, out, *threshold = sys.argv[1:]
frame = np.load(path)
inputs = [grpc.InferInput("frame", list(frame.shape), "UINT8")]
inputs[0].set_data_from_numpy(frame)
if threshold:
    inputs.append(grpc.InferInput("threshold", [1], "FP32"))
    inputs[1].set_data_from_numpy(np.array(threshold, np.float32))
with grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
    result = client.infer(model, inputs)
    names = [output.name for output in result.get_response().outputs]
np.savez(out, **{name: result.as_numpy(name) for name in names})
