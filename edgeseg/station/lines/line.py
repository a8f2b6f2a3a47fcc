"""One camera of a station: opened, read, judged, and opened again when it was lost.

A camera that is lost, dead or not there yet disturbs no other: its own thread opens it again, at
first after half a second, later every ten, and records that it is lost.

With one recipe in mode `live`, frames lie in the slots of the graph as in `edgeseg stream`. Else
they lie in memory of their own and are copied to a slot when inference takes them (one write more):
then the recipe changes between two frames, and more frames than slots can wait for their turn.
"""

import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np

from edgeseg.config import StreamConfig
from edgeseg.errors import ConfigError, EdgesegError
from edgeseg.log import log
from edgeseg.station.config import CameraConfig
from edgeseg.station.inspection import CAMERA_LOST, LATE
from edgeseg.station.lines.recorder import Recorder
from edgeseg.station.lines.triggers import HardwareTriggers, SoftwareTriggers
from edgeseg.stream.pipeline.capture import Capture, Ring
from edgeseg.stream.pipeline.inference import Inference
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.pipeline.latency import Stages
from edgeseg.stream.source.base import ANY_REQUEST, Frame, Source, TriggerId
from edgeseg.stream.source.open import open_for

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds before a lost camera is opened again
LENT = 4  # frames that a driver may keep
TICK = 0.02  # seconds between looks at the triggers that wait


def stream_config(camera: CameraConfig) -> StreamConfig:
    """Return the settings of a camera as those of a stream; ConfigError for wrong ones."""
    number = camera.source.isdecimal()
    return StreamConfig(
        camera=camera.source if number else None,
        source=None if number else camera.source,
        width=camera.width,
        height=camera.height,
        fps=camera.fps,
        camera_format=camera.format,  # type: ignore[arg-type]
        reconnects=0,
        window=False,
    )


class CameraLine:
    """Judges the frames of one camera in threads of its own while the `with` block runs."""

    def __init__(
        self, camera: CameraConfig, recipe: str, judges: Mapping[str, Judge], recorder: Recorder
    ) -> None:
        self.camera, self.recorder = camera, recorder
        self._judges = judges
        self._config = stream_config(camera)
        recorder.judges, recorder.recipe = judges, recipe
        self.state = "starting"
        """starting, running, lost, ended"""
        self.problem = ""
        """Why the camera is lost."""
        self.driver_drops = 0
        self._lost_after = -1
        """Frames of the line when it was lost last."""
        self._software = self._hardware = None
        if camera.mode == "triggered" and camera.trigger == "software":
            self._software = SoftwareTriggers(camera.deadline_ms / 1e3, camera.queue, self._late)
        elif camera.mode == "triggered":
            self._hardware = HardwareTriggers()
        self._own_memory = len(judges) > 1 or camera.mode == "triggered"
        self._source: Source | None = None
        self._inference: Inference | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"line {camera.name}", daemon=True)

    @property
    def recipe(self) -> str:
        """The name of the recipe on duty."""
        return self.recorder.recipe

    def switch(self, recipe: str) -> None:
        """Judge the frames to come by another recipe; ConfigError for one that is not loaded."""
        judge = self._judges.get(recipe)
        if judge is None:
            raise ConfigError(
                f"no recipe '{recipe[:48]}' (expected one of {', '.join(self._judges)})",
                remedy="choose one of them, or add it to the station's file and reload it",
                code="station/no-recipe",
            )
        self.recorder.recipe = recipe
        inference = self._inference
        if inference is not None:
            inference.judge = judge

    def trigger(self, part: str = "") -> TriggerId:
        """Ask for a frame; ConfigError for a camera in another mode."""
        if self._software is None:
            raise ConfigError(
                f"camera {self.camera.name} takes no triggers by program",
                remedy='mode = "triggered" and trigger = "software" in the station\'s file',
                code="station/not-triggered",
            )
        asked = self._software.ask(part)
        source = self._source
        if source is not None:
            source.trigger()
        return asked

    @property
    def takes_triggers(self) -> bool:
        """Whether a program may ask for frames."""
        return self._software is not None

    def name_part(self, part: str) -> None:
        """Say which part comes next, to a camera that is triggered by wire."""
        if self._hardware is not None:
            self._hardware.part = part

    def __enter__(self) -> "CameraLine":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopping.set()
        source = self._source
        if source is not None:
            source.stopping.set()
        self._thread.join()

    def _late(self, trigger: TriggerId) -> None:
        self.recorder.without_frame(LATE, trigger)

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._stream()
                if not self._stopping.is_set():
                    self.state = "ended"
                    if self.camera.mode != "file":  # the last part was not the last one of a batch
                        self.recorder.without_frame(CAMERA_LOST)
                    log.info(f"camera {self.camera.name}: the source has ended")
                break
            except Exception as error:  # of any kind: the other cameras go on
                problem = error.problem if isinstance(error, EdgesegError) else repr(error)
                if problem != self.problem:
                    log.warning(f"camera {self.camera.name} is lost: {problem}")
                if self._lost_after != self.recorder.frames:
                    self._lost_after = self.recorder.frames
                    self.recorder.without_frame(CAMERA_LOST)
                self.state, self.problem = "lost", problem
                _forget_frames(error)
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        while self._software is not None:  # a source that has ended gives no frame
            self._software.expire(all_of_them=True)
            if self._stopping.wait(TICK):
                break

    def _wait(self, seconds: float) -> None:
        """Wait, and answer the triggers that come meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopping.wait(TICK):
            if self._software is not None:
                self._software.expire()

    def _stream(self) -> None:
        judge, camera, config = self._judges[self.recipe], self.camera, self._config
        before = self.recorder.frames
        with ExitStack() as stack:
            source = stack.enter_context(open_for(judge.card, config))
            self._source = source
            stack.callback(self._forget)
            for _ in range(self._software.waiting if self._software else 0):
                source.trigger()  # for those who asked while there was no camera
            frames = self._frames(judge, source)
            source.lend(frames[: source.keeps])
            live = camera.mode == "live" and source.live
            ring = Ring(frames[source.keeps :], live=live, tells_drops=True)
            period = None if source.live or config.fps is None else 1 / config.fps
            gate = self._software or self._hardware
            capture = Capture(source, ring, period=period, gate=gate)
            inference = Inference(judge, capture, self.recorder, Stages(), config)
            with capture, inference:
                self._inference = inference
                inference.judge = self._judges[self.recipe]  # it may have changed meanwhile
                while not inference.wait(TICK) and not self._stopping.is_set():
                    if self._software is not None:
                        self._software.expire()
                    if gate is not None or self.recorder.frames != before:
                        self.state, self.problem = "running", ""
                    self.driver_drops = source.driver_drops
                inference.stop()
            if capture.blocked:  # the slots may still be written
                self._own_memory = True
            if inference.error is not None:
                raise inference.error

    def _forget(self) -> None:
        self._source = self._inference = None

    def _frames(self, judge: Judge, source: Source) -> list[Frame]:
        """Return the frames that the source writes."""
        if not self._own_memory and source.keeps <= LENT:
            return [request.frame(place) for place, request in enumerate(judge.requests)]
        count = 3 + source.keeps + (self.camera.queue if self.camera.mode == "triggered" else 0)
        return [own_frame(judge) for _ in range(count)]


def _forget_frames(error: BaseException | None) -> None:
    """Let go of what the functions had that an error passed: each stream of a camera has 4 MB."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__, error = None, error.__cause__ or error.__context__


def own_frame(judge: Judge) -> Frame:
    """Return a frame in memory of its own, of the shape and format that a judge takes."""
    request = judge.requests[0]
    image = np.zeros_like(request.image)
    return Frame(image=image, request=ANY_REQUEST, slot_image=image, slot_format=request.format)
