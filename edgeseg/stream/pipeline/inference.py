"""The thread that computes: frames from the ring, through the lanes, to the outlet.

    one in flight    take, start, finish, hand over; then the next
    two in flight    the second is started before the first is waited for: the device never idles

Nothing here depends on the frame's size: no buffer is made after the start.
"""

import threading
import time
from collections import deque
from contextlib import suppress

from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.cuda.nvtx import marker
from edgeseg.errors import EdgesegError
from edgeseg.log import log
from edgeseg.stream.pipeline.capture import Capture
from edgeseg.stream.pipeline.dispatcher import Outlet
from edgeseg.stream.pipeline.in_flight import Lane, Lanes
from edgeseg.stream.pipeline.pace import WARM_EVERY_NS
from edgeseg.stream.pipeline.results import Record
from edgeseg.stream.pipeline.ring import Frame
from edgeseg.stream.pipeline.stages import Stages

POLL = 0.1  # seconds between looks at the clock while no frame comes


class Inference:
    """Computes every frame of a capture while the `with` block runs, and counts."""

    def __init__(
        self,
        lanes: Lanes,
        capture: Capture,
        outlet: Outlet,
        stages: Stages,
        config: StreamConfig,
        card: GraphCard,
    ) -> None:
        self._lanes, self._spare = lanes.lanes, lanes.spare
        self._capture, self._outlet = capture, outlet
        self._stages, self._config, self._card = stages, config, card
        self._limit = card.image_threshold
        if config.image_threshold is not None:
            self._limit = config.image_threshold
        self._budget = config.budget_ms
        self._mark = marker(on=config.nvtx)
        self._flying: deque[Frame] = deque()
        self._taken = 0
        self._told = False
        self._longest_ns = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._ended = threading.Event()
        self.error: BaseException | None = None
        self.anomalous = self.misses = self.warm_runs = 0
        self.seconds = 0.0
        """From the start to the last mask, and what was waited for after it."""

    def __enter__(self) -> "Inference":
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()
        self._outlet.close()
        # Without a limit, and with a deaf ear to Ctrl-C: buffers must not be freed while a device
        # writes into them.
        while not self._ended.is_set():
            with suppress(KeyboardInterrupt):
                self._ended.wait(POLL)
        self._thread.join()

    def stop(self) -> None:
        """Take no further frame; those in flight are finished and handed over."""
        self._stopping.set()
        self._capture.ring.close()

    def _work(self) -> None:
        try:
            self._feed()
        except BaseException as error:  # whatever it is, the main thread raises it
            self.error = error
        finally:
            self.seconds = time.perf_counter() - self._began
            self._outlet.end()
            self._ended.set()

    def _feed(self) -> None:
        try:
            while not self._at_end():
                self._step()
        except EdgesegError:  # a camera that died: what was taken before is computed
            self._land_all()
            raise
        self._land_all()

    def _step(self) -> None:
        frame = self._capture.ring.take(self._patience())
        if frame is not None:
            self._launch(frame)
        if self._flying and (frame is None or len(self._flying) == self._config.in_flight):
            self._land()
        elif frame is None and self._spare is not None:
            self._warm(self._spare)

    def _land_all(self) -> None:
        while self._flying:
            self._land()

    def _at_end(self) -> bool:
        config = self._config
        if self._stopping.is_set() or self._capture.ring.over:
            return True
        if config.frames is not None and self._taken >= config.frames:
            return True
        elapsed = time.perf_counter() - self._began
        return config.seconds is not None and elapsed >= config.seconds

    def _patience(self) -> float:
        if self._flying:
            return 0.0
        return WARM_EVERY_NS / 1e9 if self._spare else POLL

    def _launch(self, frame: Frame) -> None:
        lane = self._lanes[frame.place]
        frame.started = time.perf_counter_ns()
        if not self._capture.stamps:
            frame.stamp()
            frame.started = frame.arrival
        if not self._told:
            self._tell(frame, lane)
        with self._mark("fill"):
            lane.fill(frame.image)
        with self._mark("start"):
            lane.start()
        frame.submitted = time.perf_counter_ns()
        self._flying.append(frame)
        self._taken += 1

    def _land(self) -> None:
        frame = self._flying.popleft()
        lane = self._lanes[frame.place]
        with self._mark("finish"):
            lane.finish()
        frame.done = time.perf_counter_ns()
        seconds = self._stages.add(
            frame, submitted=lane.pipelined is not None, device=lane.device_seconds
        )
        self._longest_ns = max(self._longest_ns, frame.done - frame.started)
        score = float(lane.slot.score[0])
        anomalous = not score <= self._limit  # NaN never passes a part as good
        self.anomalous += anomalous
        self.misses += self._budget is not None and seconds * 1e3 > self._budget
        record = Record(
            index=frame.index,
            label=frame.label,
            arrival=frame.clock,
            milliseconds=seconds * 1e3,
            score=score,
            anomalous=anomalous,
            verdict=self._card.classes[anomalous],
        )
        with self._mark("hand over"):
            self._outlet.offer(record, lane.slot, frame.done)
        self._capture.ring.release(frame)

    def _warm(self, lane: Lane) -> None:
        """Run on nobody's frame, unless one is due before that would end."""
        begin, due = time.perf_counter_ns(), self._capture.due
        if due is not None and begin < due < begin + self._longest_ns:
            return
        lane.start()
        lane.finish()
        self._longest_ns = max(self._longest_ns, time.perf_counter_ns() - begin)
        self.warm_runs += 1

    def _tell(self, frame: Frame, lane: Lane) -> None:
        """Say once what the host does to each frame, and how the graph would do it."""
        name, wanted = self._capture.source.name, self._card.frame_format
        height, width = frame.image.shape[:2]
        rows, columns = lane.frame.shape[:2]
        if (height, width) != (rows, columns):
            self._told = True
            log.info(
                f"{name} delivers {width}x{height} and the graph takes {columns}x{rows}: "
                "frames are resized on the CPU, within the latency; to do it inside the graph: "
                f"edgeseg export --frame-size {width}x{height}"
            )
        elif wanted != "bgr":
            self._told = True
            log.info(
                f"{name} delivers bgr and the graph takes {wanted}: frames are converted on "
                "the CPU, within the latency; to do without: edgeseg export --format bgr"
            )
