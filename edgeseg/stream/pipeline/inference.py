"""The inference thread: frames from the ring, through in-flight requests, to the dispatcher.

    one in flight    take, start, finish, dispatch; then the next frame
    two in flight    the second is started before the first is finished, so the device never idles

No buffer is allocated after the start. A broken frame takes its turn without being computed.
"""

import threading
import time
from collections import deque
from contextlib import suppress
from typing import Protocol

from edgeseg.config import StreamConfig
from edgeseg.cuda.nvtx import marker
from edgeseg.errors import EdgesegError
from edgeseg.files import quoted
from edgeseg.frame.pixel_formats import picture_size
from edgeseg.log import log
from edgeseg.runtime.base import Slot
from edgeseg.stream.pipeline.capture import Capture
from edgeseg.stream.pipeline.in_flight import InFlightRequest
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.pipeline.latency import Stages
from edgeseg.stream.pipeline.pace import KEEP_WARM_NS
from edgeseg.stream.sink.base import Record
from edgeseg.stream.source.base import Frame
from edgeseg.verdict.names import ANOMALOUS, UNKNOWN

POLL = 0.1  # seconds between checks of the limits while no frame comes


class Taker(Protocol):
    """Takes the results of inference, such as a `Dispatcher`."""

    def offer(self, record: Record, slot: Slot | None = None, done: int | None = None) -> None:
        """Take one result; then the slot is free again.

        slot, done: the arrays and the time of the mask; None for a frame that was not judged.
        """

    def end(self) -> None:
        """No result follows."""

    def close(self) -> None:
        """Wake up a waiting `offer`; later results are discarded."""


class Inference:
    """Computes every frame of a capture while the `with` block runs, and counts results."""

    def __init__(
        self,
        judge: Judge,
        capture: Capture,
        dispatcher: Taker,
        stages: Stages,
        config: StreamConfig,
    ) -> None:
        self.judge = judge
        """On duty; another one may take its place at any time, for the frames to come."""
        self._capture, self._dispatcher = capture, dispatcher
        self._stages, self._config = stages, config
        self._budget = config.budget_ms
        self._mark = marker(on=config.nvtx)
        self._submitted: deque[tuple[Frame, Judge, InFlightRequest]] = deque()
        self._taken = 0
        self.path = ""
        """How frames reach the graph's memory."""
        self.writes: int | None = None
        """How often the CPU writes a frame on that path; None if it is unknown."""
        self._path_of: str | None = None
        self._longest_ns = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._ended = threading.Event()
        self.error: BaseException | None = None
        self.anomalous = self.unknown = self.misses = self.keep_warm_iterations = 0
        self.not_judged = 0
        """Frames that the source could not read; they are unknown."""
        self.seconds = 0.0
        """From the start to the end of the thread."""

    def __enter__(self) -> "Inference":
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()
        self._dispatcher.close()
        # Without a time limit and ignoring SIGINT: buffers must not be freed while a device
        # writes into them.
        while not self._ended.is_set():
            with suppress(KeyboardInterrupt):
                self._ended.wait(POLL)
        self._thread.join()

    def stop(self) -> None:
        """Take no further frame; those in flight are finished and dispatched."""
        self._stopping.set()
        self._capture.ring.close()

    def wait(self, timeout: float) -> bool:
        """Wait for the end of the thread, at most `timeout` seconds; whether it has ended."""
        return self._ended.wait(timeout)

    def _work(self) -> None:
        try:
            self._process()
        except BaseException as error:  # of any kind: the main thread raises it
            self.error = error
        finally:
            self.seconds = time.perf_counter() - self._began
            self._dispatcher.end()
            self._ended.set()

    def _process(self) -> None:
        try:
            while not self._at_end():
                self._step()
        except EdgesegError:  # a lost camera: frames that were taken before are finished
            self._complete_all()
            raise
        self._complete_all()

    def _step(self) -> None:
        frame = self._capture.ring.take(self._timeout())
        if frame is not None:
            self._submit(frame)
        if self._submitted and (frame is None or len(self._submitted) == self._config.in_flight):
            self._complete()
        elif frame is None and self.judge.keep_warm is not None:
            self._keep_warm(self.judge.keep_warm)

    def _complete_all(self) -> None:
        while self._submitted:
            self._complete()

    def _at_end(self) -> bool:
        config = self._config
        if self._stopping.is_set() or self._capture.ring.over:
            return True
        if config.frames is not None and self._taken >= config.frames:
            return True
        elapsed = time.perf_counter() - self._began
        return config.seconds is not None and elapsed >= config.seconds

    def _timeout(self) -> float:
        if self._submitted:
            return 0.0
        return KEEP_WARM_NS / 1e9 if self.judge.keep_warm else POLL

    def _submit(self, frame: Frame) -> None:
        frame.started = time.perf_counter_ns()
        if not self._capture.stamps:
            frame.stamp()
            frame.started = frame.arrival
        judge = self.judge
        request = judge.requests[0]
        if not frame.fault:
            request = judge.request(frame)
            self._start(frame, request)
        self._submitted.append((frame, judge, request))
        self._taken += 1

    def _start(self, frame: Frame, request: InFlightRequest) -> None:
        if self._path_of != self._capture.source.path:
            self._path_of = self._capture.source.path
            self._log_path(frame, request)
        with self._mark("fill"):
            request.fill(frame.image, frame.format)
        with self._mark("start"):
            request.start()
        frame.submitted = time.perf_counter_ns()

    def _complete(self) -> None:
        frame, judge, request = self._submitted.popleft()
        if frame.fault:
            self._report_broken(frame, judge)
        else:
            self._finish(frame, judge, request)
        self._capture.source.judged(frame)
        self._capture.ring.release(frame)

    def _report_broken(self, frame: Frame, judge: Judge) -> None:
        self.unknown += 1
        self.not_judged += 1
        with self._mark("dispatch"):
            self._dispatcher.offer(judge.not_judged(frame))

    def _finish(self, frame: Frame, judge: Judge, request: InFlightRequest) -> None:
        with self._mark("finish"):
            request.finish()
        frame.done = time.perf_counter_ns()
        seconds = self._stages.add(
            frame, submitted=request.pipelined is not None, device=request.device_seconds
        )
        self._longest_ns = max(self._longest_ns, frame.done - frame.started)
        record = judge.judged(frame, request, seconds * 1e3)
        self.anomalous += record.verdict == ANOMALOUS
        self.unknown += record.verdict == UNKNOWN
        self.misses += self._budget is not None and seconds * 1e3 > self._budget
        with self._mark("dispatch"):
            self._dispatcher.offer(record, request.slot, frame.done)

    def _keep_warm(self, request: InFlightRequest) -> None:
        """Run a keep-warm iteration, unless a frame is due before its end."""
        begin, due = time.perf_counter_ns(), self._capture.due
        if due is not None and begin < due < begin + self._longest_ns:
            return
        request.start()
        request.finish()
        self._longest_ns = max(self._longest_ns, time.perf_counter_ns() - begin)
        self.keep_warm_iterations += 1

    def _log_path(self, frame: Frame, request: InFlightRequest) -> None:
        """Log how frames reach the graph, and how to avoid a conversion on the CPU."""
        source, wanted = self._capture.source, self.judge.card.frame_format
        height, width = frame.sent_size or picture_size(frame.format, frame.image.shape)
        rows, columns = request.size
        what = converted = option = ""
        if (height, width) != (rows, columns):
            what = f"resized from {width}x{height} to {columns}x{rows}"
            option = f"--frame-size {width}x{height}" + (
                "" if wanted == "bgr" else f" --format {wanted}"
            )
        elif wanted != frame.format:
            what = f"converted from {frame.format} to {wanted}"
            option = f"--frame-size {columns}x{rows} --format {frame.format}"
        elif source.sends not in (None, wanted):
            converted = f"converted from {source.sends} to {wanted}"
            option = f"--frame-size {columns}x{rows} --format {source.sends}"
        self.path, self.writes = source.path, frame.writes
        if self.writes is not None:
            self.writes += request.count_writes(frame.image, frame.format)
        if self.path and what:
            self.path += f", {what}"
        if self.path:
            writes = "unknown" if self.writes is None else self.writes
            log.info(f"{source.name}: {self.path}; CPU writes per frame: {writes}")
        if converted := what or converted:
            log.info(
                f"{source.name}: frames are {converted} on the CPU, included in the latency; "
                f"to avoid it: edgeseg export {quoted(self.judge.card.name)} {option}, and use "
                "the file that it writes"
            )
