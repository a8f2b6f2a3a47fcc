"""Latency of one frame in this process and through a running Triton server, in turn.

    python benchmarks/bench_triton.py MODEL.onnx [--url 127.0.0.1:8000] [--rounds 200]

MODEL is the ONNX file that `edgeseg export --to triton` was given; the server has it loaded, with
`--instance-threads` as `--threads` here. Timed: frame in memory to mask in memory, by HTTP on a
connection that stays open, with all outputs or mask and score alone. The masks are compared.

The last line of standard output is one JSON document.
"""

import argparse
import http.client
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from documents import emit
from edgeseg.data.frames import load_frames
from edgeseg.loading import open_model
from edgeseg.runtime.base import output_names
from rounds import PAUSE, inference, speedup, time_rounds

LENGTH = "Inference-Header-Content-Length"


class Connection:
    """Requests for one model on one connection."""

    def __init__(self, url: str, model: str, outputs: Sequence[str]) -> None:
        self._http = http.client.HTTPConnection(url)
        self._path = f"/v2/models/{model}/infer"
        wanted = {"parameters": {"binary_data": True}}
        self._outputs = [{"name": name, **wanted} for name in outputs]

    def infer(self, frame: np.ndarray) -> np.ndarray:
        """Return the mask of a frame, flat."""
        tensor = {"name": "frame", "datatype": "UINT8", "shape": list(frame.shape)}
        tensor["parameters"] = {"binary_data_size": frame.nbytes}
        head = json.dumps({"inputs": [tensor], "outputs": self._outputs}).encode()
        self._http.request("POST", self._path, head + frame.tobytes(), {LENGTH: str(len(head))})
        answer = self._http.getresponse()
        found = answer.read()
        if answer.status != 200:
            raise SystemExit(f"the server refuses: {found.decode()}")
        at = int(answer.headers[LENGTH])
        for each in json.loads(found[:at])["outputs"]:
            size = each["parameters"]["binary_data_size"]
            if each["name"] == "mask":
                return np.frombuffer(found[at : at + size], np.uint8)
            at += size
        raise SystemExit("the server returns no mask")


def main() -> None:
    """Time both and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--url", default="127.0.0.1:8000", help="HOST:PORT of the server's HTTP")
    parser.add_argument("--rounds", type=int, default=200, help="timed rounds")
    parser.add_argument("--warmup", type=int, default=10, help="untimed rounds before them")
    parser.add_argument("--threads", type=int, help="CPU threads in this process")
    parser.add_argument("--data", type=Path, help="folder of images (default: synthetic frames)")
    options = parser.parse_args()
    with open_model(options.model, threads=options.threads) as backend:
        card, frames = backend.card, load_frames(backend.card, options.data)
        name, slot = card.name, backend.new_slot()
        every = Connection(options.url, name, output_names(card))
        few = Connection(options.url, name, ("mask", "score"))
        frames.fill(slot, 0)
        backend.bind(slot)
        backend.run()
        if not np.array_equal(every.infer(slot.frame), slot.mask.ravel()):
            raise SystemExit("the masks differ")

        def by(connection: Connection) -> Callable[[int], float]:
            def timed(turn: int) -> float:
                frames.fill(slot, turn)
                time.sleep(PAUSE)
                connection.infer(slot.frame)
                begin = time.perf_counter()
                connection.infer(slot.frame)
                return time.perf_counter() - begin

            return timed

        candidates = [inference(backend, options.data), by(every), by(few)]
        seconds = time_rounds(candidates, options.rounds, options.warmup)
    titles = ["in this process", "Triton, HTTP, all outputs", "Triton, HTTP, mask and score"]
    figures = []
    for title, own in zip(titles, seconds, strict=True):
        both, line = speedup(title, own, seconds[0], titles[0])
        figures += both
        print(line)
    emit("triton", figures, model=name, frame=list(card.frame_shape))


if __name__ == "__main__":
    main()
