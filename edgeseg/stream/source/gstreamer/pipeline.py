"""A GStreamer pipeline that ends in an appsink, by PyGObject.

What its elements report is read from the bus whenever a frame is asked for, so no main loop of GLib
is needed. A frame is asked for in short slices: an error, the end, or that the stream stops is
noticed within one.
"""

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

from edgeseg.addresses import public
from edgeseg.log import log
from edgeseg.packages.gstreamer import load_gstreamer
from edgeseg.stream.source.gstreamer.text import OPEN_SECONDS

SLICE = 0.1  # seconds
DECODER = "decoder"
FILES = "Source/File"  # the class of elements that read files
FILE_FRAMES = 2  # of a file, that wait to be read
NEVER = (1 << 64) - 1  # no time stamp
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"']*", re.IGNORECASE)


class PipelineFailed(Exception):
    """A pipeline cannot be built, or one of its elements failed; str() is what that said."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        """missing: an element is not installed."""
        super().__init__(_URL.sub(lambda found: public(found[0]), text))
        self.missing = missing


class Pipeline:
    """Runs from `start` to `close`."""

    def __init__(self, name: str, text: str, end: str = "") -> None:
        """Build it; PipelineFailed.

        name: for the log; end: elements between the decodebin called DECODER and the appsink;
        JPEGs pass none.
        """
        self.library = load_gstreamer()
        self._core, self._name, self._end = self.library.core, name, end
        try:
            self._pipeline = self._core.parse_launch(text)
        except Exception as error:  # GLib.Error
            raise self._refused(error) from error
        sinks = (each for each in self._elements() if isinstance(each, self.library.app.AppSink))
        self.sink: Any = next(sinks, None)
        if self.sink is None:
            raise PipelineFailed("it is no pipeline: it needs elements, joined by !")
        self._bus = self._pipeline.get_bus()
        self._error: PipelineFailed | None = None
        self._warning = ""
        self.taken = 0
        """Frames that were asked for and came."""
        if end:
            self._pipeline.get_by_name(DECODER).connect("pad-added", self._link)

    def start(self, *, newest: bool = False) -> bool:
        """Start it; return whether it is a camera. PipelineFailed.

        One that is not live and has an end, or reads files, is a file: its appsink drops nothing
        from now on. With `newest` it is read as a camera all the same.
        """
        states, now = self._core.State, self._core.StateChangeReturn
        found, until = self._pipeline.set_state(states.PAUSED), time.monotonic() + OPEN_SECONDS
        while found == now.ASYNC:
            found = self._pipeline.get_state(int(SLICE * 1e9))[0]
            self._look()
            if self._error or time.monotonic() > until:
                break
        if found in (now.FAILURE, now.ASYNC) or self._error:
            self._look()
            raise self._error or PipelineFailed(f"it does not start within {OPEN_SECONDS:g} s")
        live = newest or found == now.NO_PREROLL or not self._ends()
        if not live:
            self.sink.set_drop(False)
            self.sink.set_max_buffers(FILE_FRAMES)
        if self._pipeline.set_state(states.PLAYING) == now.FAILURE:
            self._look()
            raise self._error or PipelineFailed("it does not start")
        return live

    def pull(self, seconds: float, stopping: threading.Event | None = None) -> Any:
        """Wait for the next frame; None if none came, or at the end. PipelineFailed.

        Returns a Gst.Sample; what came before an error is returned before that is raised.
        """
        until = time.monotonic() + seconds
        while stopping is None or not stopping.is_set():
            sample = self.sink.try_pull_sample(int(min(SLICE, seconds) * 1e9))
            self._look()
            if sample is not None:
                self.taken += 1
                return sample
            if self._error:
                raise self._error
            if self.ended or time.monotonic() >= until:
                break
        return None

    @property
    def ended(self) -> bool:
        """Whether the last frame was taken."""
        return bool(self.sink.is_eos())

    def passed(self) -> int:
        """Return how many frames have reached the appsink, where it drops old ones; else 0."""
        if not self.sink.get_drop():
            return 0
        count = int(self.sink.get_property("stats").get_value("rendered"))
        return count - int(self.sink.get_max_buffers())  # so many may still wait

    def close(self) -> None:
        """Stop every element; nothing is captured afterwards."""
        self._pipeline.set_state(self._core.State.NULL)

    def _elements(self) -> Iterator[Any]:
        """Yield the elements, also those of bins."""
        if isinstance(self._pipeline, self._core.Pipeline):
            elements, results = self._pipeline.iterate_recurse(), self._core.IteratorResult
            while (found := elements.next())[0] in (results.OK, results.RESYNC):
                if found[0] == results.RESYNC:  # a bin has got others: from the begin
                    elements.resync()
                else:
                    yield found[1]

    def _ends(self) -> bool:
        """Whether its length is known, or it reads files."""
        _, duration = self._pipeline.query_duration(self._core.Format.TIME)
        factories = [factory for each in self._elements() if (factory := each.get_factory())]
        kinds = {factory.get_metadata("klass") for factory in factories}
        sources = {kind for kind in kinds if kind.startswith("Source")}
        return 0 < duration < NEVER or sources == {FILES}

    def _link(self, _: Any, pad: Any) -> None:
        """Link what is decoded to the appsink, in a thread of GStreamer."""
        caps = pad.get_current_caps() or pad.query_caps(None)
        if caps.get_structure(0).get_name() == "image/jpeg":
            pad.link(self.sink.get_static_pad("sink"))
            return
        try:
            end = self._core.parse_bin_from_description(f"{self._end} ! identity", True)
        except Exception as error:  # GLib.Error
            self._error = self._refused(error)
            return
        self._pipeline.add(end)
        end.link(self.sink)
        end.sync_state_with_parent()
        pad.link(end.get_static_pad("sink"))

    def _look(self) -> None:
        """Take what the elements report; the first error is the cause of the others."""
        kinds = self._core.MessageType
        while message := self._bus.timed_pop_filtered(0, kinds.ERROR | kinds.WARNING):
            if message.type == kinds.WARNING:
                said = str(PipelineFailed(_said(message, message.parse_warning())))
                if said != self._warning:  # some come with every frame
                    log.warning(f"{self._name}: {said}")
                self._warning = said
            elif self._error is None:
                error = message.parse_error()
                self._error = PipelineFailed(_said(message, error), missing=self._lacks(error[0]))

    def _lacks(self, error: Any) -> bool:
        core, stream = self._core.CoreError, self._core.StreamError
        return bool(
            error.matches(self._core.core_error_quark(), core.MISSING_PLUGIN)
            or error.matches(self._core.stream_error_quark(), stream.CODEC_NOT_FOUND)
        )

    def _refused(self, error: Any) -> PipelineFailed:
        """Return the error of a text that cannot be built."""
        quark, unknown = self._core.parse_error_quark(), self._core.ParseError.NO_SUCH_ELEMENT
        return PipelineFailed(error.message, missing=error.matches(quark, unknown))


def presentation(sample: Any) -> int | None:
    """Return the time stamp of a frame in its stream, in nanoseconds; None without one."""
    found = int(sample.get_buffer().pts)
    return found if found < NEVER else None


def _said(message: Any, said: tuple[Any, str | None]) -> str:
    """Return an element's name, its message, and the detail behind it."""
    error, debug = said
    _, _, detail = (debug or "").partition("\n")  # after the line of the source
    detail = " ".join(detail.split())
    text = error.message.rstrip(".") + (f": {detail}" if detail else "")
    return f"{message.src.get_name()}: {text.rstrip('.')}"
