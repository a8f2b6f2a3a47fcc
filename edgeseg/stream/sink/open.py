"""Open the sinks that the settings name."""

from contextlib import ExitStack

from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.errors import SinkError
from edgeseg.log import log
from edgeseg.stream.sink.base import AnySink
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.sink.video import VideoSink
from edgeseg.stream.sink.window import WindowSink
from edgeseg.stream.source.base import Source


def open_sinks(
    config: StreamConfig, card: GraphCard, source: Source, *, stack: ExitStack
) -> list[AnySink]:
    """Open the sinks; `stack` closes them, also if a later one cannot be opened."""
    sinks: list[AnySink] = []
    if config.window:
        # Before any file: Qt aborts the process when a display does not answer.
        try:
            sinks.append(stack.enter_context(WindowSink(f"edgeseg: {source.name}")))
        except SinkError as error:
            problem = error.problem.rstrip(".")
            log.info(f"{problem}: streaming without a window (to choose this: --no-window)")
    if config.out is not None:
        size = (card.frame_shape[1], card.frame_shape[2])
        video = VideoSink(config.out, size=size, fps=source.fps, live=source.live)
        sinks.append(stack.enter_context(video))
    if config.jsonl is not None:
        sinks.append(stack.enter_context(JsonlSink(config.jsonl)))
    return sinks
