"""An MJPEG camera over HTTP in a process of its own, as a camera's firmware would serve it.

    python benchmarks/mjpeg_server.py 1920x1080@30 [PORT]

SIGUSR1 makes it send the first half of each frame only, SIGUSR2 whole ones again.

Prints its port, then a line for each frame that it sends: number of the picture, nanoseconds of
`time.perf_counter_ns` when it began to send. The pictures are encoded before and sent in turn; each
carries its number (edgeseg/stream/source/synthetic.py). A frame that is due while the one before is
still being sent is left out, as by a camera.
"""

import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import simplejpeg

from edgeseg.settings import parse_size
from edgeseg.stream.source.synthetic import Stamp, draw_stamp

PICTURES = 96  # 3.2 s at 30 frames/s: a frame that is older would be taken for a newer one
QUALITY = 90


def encode(height: int, width: int) -> list[bytes]:
    """Return JPEGs of a brushed plate with grain, in 4:2:2 as USB and network cameras have it."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    plate = 140 + 20 * np.sin(rows / 7.0) + 15 * columns / width + rng.normal(0, 4.0, rows.shape)
    picture = np.repeat(plate.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    jpegs = []
    for number in range(PICTURES):
        shifted = np.ascontiguousarray(np.roll(picture, 16 * number, axis=1))
        draw_stamp(shifted, Stamp(number, 0))
        jpegs.append(simplejpeg.encode_jpeg(shifted, QUALITY, "BGR", "422"))
    return jpegs


def serve(jpegs: list[bytes], fps: float, port: int = 0) -> None:
    """Serve until the process is ended."""

    half = []
    signal.signal(signal.SIGUSR1, lambda *_: half.append(True))
    signal.signal(signal.SIGUSR2, lambda *_: half.clear())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            begin, number = time.perf_counter(), 0
            while True:
                time.sleep(max(begin + number / fps - time.perf_counter(), 0))
                jpeg = jpegs[number % len(jpegs)]
                jpeg = jpeg[: len(jpeg) // 2] if half else jpeg
                print(number % len(jpegs), time.perf_counter_ns(), flush=True)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:
                    return
                number = max(number + 1, int((time.perf_counter() - begin) * fps))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    size, _, rate = sys.argv[1].partition("@")
    serve(encode(*parse_size(size, "the size")), float(rate), *map(int, sys.argv[2:]))
