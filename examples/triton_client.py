"""Sends one frame of raw bytes to a Triton server and prints the verdict; needs only Python.

    python examples/triton_client.py MODEL frame.raw mask.raw [--url http://127.0.0.1:8000]

The frame has the size and the format of the graph, N = 1. Thresholds and limits are the server's:
parameters of the model's configuration. The verdict is `unknown` for whatever cannot be judged.
Protocol: Open Inference Protocol v2 with Triton's extensions for binary tensors and configurations.
"""

import argparse
import json
import math
import struct
import urllib.error
import urllib.request
from pathlib import Path

LENGTH = "Inference-Header-Content-Length"


def configuration(url: str, model: str) -> dict:
    """Return what edgeseg stored with the version that is served: thresholds, limits, shapes."""
    config = json.loads(_ask(f"{url}/v2/models/{model}/config")[0])
    versions = config["version_policy"]["specific"]["versions"]
    found = {name: each["string_value"] for name, each in config["parameters"].items()}
    ours = {k: json.loads(v) for k, v in found.items() if k.startswith("edgeseg.")}
    card = {name.removeprefix("edgeseg."): value for name, value in ours.items()}
    return card | {"version": str(versions[0])}


def infer(url: str, model: str, frame: bytes, card: dict) -> dict:
    """Return the outputs of one frame, as bytes by name."""
    tensors = {
        "frame": ("UINT8", card["frame_shape"], frame),
        "threshold": ("FP32", [1], struct.pack("<f", card["threshold"])),
    }
    inputs = [
        {"name": n, "datatype": t, "shape": s, "parameters": {"binary_data_size": len(data)}}
        for n, (t, s, data) in tensors.items()
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body = b"".join([head, *(data for _, _, data in tensors.values())])
    answer, length = _ask(f"{url}/v2/models/{model}/infer", body, len(head))
    outputs, at = {}, length
    found = json.loads(answer[:length])
    if found["model_version"] != card["version"]:
        raise ValueError("another version was loaded since its thresholds were read: ask again")
    for tensor in found["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        outputs[tensor["name"]] = answer[at : at + size]
        at += size
    return outputs


def verdict(outputs: dict, card: dict) -> str:
    """Return `good`, `anomalous` or `unknown`, as edgeseg does for the rule `score`."""
    (score,) = struct.unpack("<f", outputs["score"])
    limits = card["input_check"]
    check = struct.unpack(f"<{len(limits)}f", outputs.get("input_check", b""))
    if not all(map(math.isfinite, (score, *check))):
        return "unknown"
    for value, limit in zip(check, limits, strict=True):
        low, high = limit["low"], limit["high"]
        if (low is not None and value < low) or (high is not None and value > high):
            return "unknown"
    if card["rule"]["by"] != "score":
        return "unknown"  # the regions of the mask decide, which this example does not find
    return "anomalous" if score > card["image_threshold"] else "good"


def main() -> None:
    """Read a frame, write its mask and print verdict and score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("frame", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    options = parser.parse_args()
    try:
        url = options.url.rstrip("/")
        card = configuration(url, options.model)
        outputs = infer(url, options.model, options.frame.read_bytes(), card)
        options.mask.write_bytes(outputs["mask"])
        print(verdict(outputs, card), *struct.unpack("<f", outputs["score"]))
    except Exception as error:  # no answer, or a strange one, is no verdict
        detail = error.read().decode() if isinstance(error, urllib.error.HTTPError) else error
        raise SystemExit(f"unknown: no answer that can be judged: {detail}") from error


def _ask(url: str, body: bytes | None = None, head: int = 0) -> tuple[bytes, int]:
    """Return a response and the length of its JSON; head: the length of the request's JSON."""
    headers = {LENGTH: str(head)} if body else {}
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found = answer.read()
        return found, int(answer.headers.get(LENGTH, len(found)))


if __name__ == "__main__":
    main()
