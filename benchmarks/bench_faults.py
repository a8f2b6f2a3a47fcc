"""Stream for minutes with a random fault every few seconds, and account for every frame.

An MJPEG camera on the loopback sends images to `edgeseg stream --jsonl --out`. The faults:

cut      the camera closes the connection and refuses others for up to 3 s
half     the camera sends one to three JPEG files of which the end is missing
disk     the disk of --jsonl and --out is full for 2 s: a tmpfs where that is allowed, and a limit
         of the file size
pipe     the reader of standard error is gone for 2 s
stop     the process is stopped (SIGSTOP) for 2 s
clock    the wall clock jumps by up to an hour; simulated in `time.time` of the process

The images have few different scores, known from the time before the first fault: any other score is
that of a broken image. Exit code 3 if a frame is unaccounted for, a broken one was judged, or an
output is not readable. POSIX only.
"""

import argparse
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from documents import Figure, emit

IMAGES = 8
REPEATED = 4  # times that each is sent in a row: a busy machine drops frames, but no image
HOLD = 2.0  # seconds that a fault lasts
SAME = 2e-5  # of two scores of the same image, which are rounded to 1e-6
DISK = 24 << 20  # bytes of the tmpfs
FAULTS = ("cut", "half", "disk", "pipe", "stop", "clock")


def main() -> None:
    """Stream, disturb and check."""
    if sys.argv[1:2] == ["--child"]:
        return child(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="an ONNX file, an engine or a run")
    parser.add_argument("--seconds", type=float, default=1800.0, help="length of the stream")
    parser.add_argument("--every", type=float, default=5.0, help="seconds from fault to fault")
    parser.add_argument("--fps", type=float, default=10.0, help="images per second of the camera")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        facts, wrong = Soak(options, Path(folder)).run()
    for name, value in facts.items():
        print(f"{name:<24} {value}")
    for line in wrong:
        print(f"wrong: {line}")
    figures = [
        Figure(name="frames", unit="frames", better="higher", p50=facts["report"]["frames"]),
        Figure(name="faults", unit="faults", p50=sum(facts["faults"].values())),
        Figure(name="findings", unit="findings", p50=len(wrong)),
    ]
    emit(f"faults of {options.model.name}", figures, **facts, wrong=wrong)
    sys.exit(3 if wrong else 0)


def child(offset: Path, words: list[str]) -> None:
    """Run `edgeseg` with a wall clock that SIGUSR1 moves by the seconds in a file."""
    from edgeseg.cli import main as edgeseg

    real, moved = time.time, [0.0]
    signal.signal(signal.SIGUSR1, lambda *_: moved.__setitem__(0, float(offset.read_text())))
    time.time = lambda: real() + moved[0]
    sys.argv = ["edgeseg", *words]
    edgeseg()


class MjpegCamera:
    """Sends numbered JPEG files over HTTP at a fixed rate, to one client."""

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._files = [_jpeg(seed) for seed in range(IMAGES)]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.sent: Counter[str] = Counter()
        """Files that were handed to the network: `whole`, `half`."""
        self.halves = 0
        """Files that are to be cut."""
        self.refuse_until = 0.0
        self._client: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Close the connection and refuse others for some seconds."""
        self.refuse_until = time.monotonic() + seconds
        if client := self._client:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            client, _ = self._listening.accept()
            with client, suppress(OSError):
                if time.monotonic() >= self.refuse_until:
                    self._client = client
                    self._feed(client)

    def _feed(self, client: socket.socket) -> None:
        client.recv(4096)
        kind = "multipart/x-mixed-replace; boundary=frame"
        client.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        due = time.monotonic()
        for number in range(1 << 60):
            data, name = self._files[number // REPEATED % IMAGES], "whole"
            if self.halves:
                self.halves -= 1
                data, name = data[: len(data) // 2], "half"
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            client.sendall(head.encode() + data + b"\r\n")
            self.sent[name] += 1
            due = max(due + self._period, time.monotonic())
            time.sleep(due - time.monotonic() if due > time.monotonic() else 0)


def _jpeg(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (480, 640, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6 + seed)
    stretched = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return cv2.imencode(".jpg", stretched)[1].tobytes()


class PipeReader:
    """Reads a FIFO in a thread; may go away for some time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.writing = os.open(path, os.O_WRONLY)
        self.text = b""
        threading.Thread(target=self._read, daemon=True).start()

    def leave(self, seconds: float) -> None:
        """Close the pipe for some seconds."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        time.sleep(seconds)
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)

    def _read(self) -> None:
        while True:
            with suppress(OSError):
                self.text += os.read(self._descriptor, 1 << 16)
            time.sleep(0.05)


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small tmpfs, where that is allowed; yields whether it was."""
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder]
    mounted = subprocess.run(["mount", *options], capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


class Soak:
    """One stream, its faults and the check of what it left."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._place = folder / "disk"
        self._place.mkdir()
        self._lines, self._video = self._place / "lines.jsonl", self._place / "clip.mp4"
        self._offset = folder / "offset"
        self._camera = MjpegCamera(options.fps)
        self._random = random.Random(options.seed)
        self._faults: Counter[str] = Counter()
        self._wrong: list[str] = []

    def run(self) -> tuple[dict[str, Any], list[str]]:
        """Return the facts, and what is wrong."""
        errors, output = PipeReader(self._folder / "errors"), self._folder / "output"
        with small_disk(self._place) as self._mounted, output.open("w+b") as out:
            command = [sys.executable, __file__, "--child", str(self._offset), *self._words()]
            self._process = subprocess.Popen(command, stdout=out, stderr=errors.writing)
            os.close(errors.writing)
            self._errors = errors
            self._disturb()
            status = self._process.wait()
            out.seek(0)
            printed = out.read().decode().splitlines()
            if status not in (0, 2) or not printed or not printed[-1].startswith("{"):
                tail = errors.text.decode(errors="replace")[-2000:]
                raise SystemExit(f"the stream ended with exit code {status}:\n{tail}")
            report = json.loads(printed[-1])
            facts = self._check(report, status)
        return facts, self._wrong

    def _words(self) -> list[str]:
        options = self._options
        words = ["stream", str(options.model), "--camera", f"http://127.0.0.1:{self._camera.port}/"]
        words += ["--jsonl", str(self._lines), "--out", str(self._video), "--no-window", "--json"]
        return [*words, "--seconds", str(options.seconds), "--reconnects", "1000"]

    def _disturb(self) -> None:
        faults: dict[str, Callable[[], None]] = {name: getattr(self, f"_{name}") for name in FAULTS}
        started = time.monotonic()
        while self._camera.sent["whole"] < 2 * REPEATED * IMAGES or not self._lines.exists():
            if self._process.poll() is not None:
                return
            time.sleep(0.1)
        began, number = time.monotonic(), 0
        self._known = {line["score"] for line in _frames(self._lines)}
        last = self._options.seconds - (began - started) - HOLD
        while (due := (number + 1) * self._options.every) < last:
            time.sleep(max(began + due - time.monotonic(), 0))
            if self._process.poll() is not None:
                return
            number += 1
            name = self._random.choice(FAULTS)
            self._faults[name] += 1
            print(f"{due:.0f} s: {name}", file=sys.stderr, flush=True)
            faults[name]()

    def _cut(self) -> None:
        self._camera.cut(self._random.uniform(0, 3))

    def _half(self) -> None:
        self._camera.halves += self._random.randint(1, 3)

    def _disk(self) -> None:
        filler, process = self._place / "filler", self._process.pid
        if self._mounted:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
        # The last page of a file has room left; and a tmpfs is not allowed everywhere.
        limit = resource.prlimit(process, resource.RLIMIT_FSIZE)
        size = self._lines.stat().st_size
        resource.prlimit(process, resource.RLIMIT_FSIZE, (size, limit[1]))
        time.sleep(HOLD)
        resource.prlimit(process, resource.RLIMIT_FSIZE, limit)
        filler.unlink(missing_ok=True)

    def _pipe(self) -> None:
        self._errors.leave(HOLD)

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(HOLD)
        self._process.send_signal(signal.SIGCONT)

    def _clock(self) -> None:
        self._offset.write_text(str(self._random.uniform(-3600, 3600)))
        self._process.send_signal(signal.SIGUSR1)

    def _check(self, report: dict[str, Any], status: int) -> dict[str, Any]:
        sent = self._camera.sent
        lines = [json.loads(line) for line in self._lines.read_text("ascii").splitlines()]
        frames = [line for line in lines if "index" in line]
        marked = sum(line.get("lost", 0) for line in lines)
        indices = [line["index"] for line in frames]
        judged = [line["score"] for line in frames if line["score"] is not None]
        foreign = [score for score in judged if min(abs(score - s) for s in self._known) > SAME]
        played = _images(self._video)
        places = ("frames", "not_judged", "drops", "trigger_drops", "unread")
        self._expect(
            "every received frame has its place",
            {
                "received": (report["received"], sum(report[place] for place in places)),
                "frames": (
                    report["frames"] + report["not_judged"],
                    len(frames) + report["lost"],
                ),
                "indices": (len(indices), len(set(indices))),
                "last index": (max(indices) < report["received"], True),
                "order of the indices": (indices, sorted(indices)),
                "lines lost at most": (marked <= report["lost"], True),
                "judged at most": (report["frames"] <= sent["whole"], True),
                "judged broken images": (len(foreign), 0),
                "counted broken images": (report["broken"] >= sent["half"], True),
                "exit code": (status, 2 if report["lost"] or report["errors"] else 0),
                "video": (played > 0, True),
            },
        )
        return {
            "seconds": round(report["seconds"], 1),
            "seed": self._options.seed,
            "faults": dict(sorted(self._faults.items())),
            "disk": "tmpfs and RLIMIT_FSIZE" if self._mounted else "RLIMIT_FSIZE",
            "sent": dict(sent),
            "sent_whole_and_not_judged": sent["whole"] - report["frames"],
            "lines": len(frames),
            "lines_marked_lost": marked,
            "video_images": played,
            "exit_code": status,
            "report": report,
        }

    def _expect(self, promise: str, pairs: dict[str, tuple[Any, Any]]) -> None:
        for name, (found, right) in pairs.items():
            if found != right:
                self._wrong.append(f"{promise}: {name}: {found} (expected {right})")


def _frames(path: Path) -> list[dict[str, Any]]:
    whole = path.read_text("ascii").rpartition("\n")[0].splitlines()
    return [line for line in map(json.loads, whole) if "index" in line]


def _images(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


if __name__ == "__main__":
    main()
