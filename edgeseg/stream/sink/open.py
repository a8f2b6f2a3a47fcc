"""Check, open and close the sinks that the settings name."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeseg import __version__
from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.errors import EdgesegError, SinkError
from edgeseg.files import check_outputs
from edgeseg.log import log
from edgeseg.stream.sink.base import AnySink
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.sink.video import VideoSink, check_name
from edgeseg.stream.sink.window import WindowSink
from edgeseg.stream.source.base import Source


def check_sinks(config: StreamConfig, *inputs: Path) -> None:
    """Refuse outputs that would replace an input, each other or a file, before any is opened.

    inputs: files that the stream reads besides its source.
    """
    source = Path(config.address().removeprefix("v4l2://"))
    check_outputs({"--out": config.out, "--jsonl": config.jsonl}, [*inputs, source])
    if config.out is not None:
        check_name(config.out, overwrite=config.overwrite)


def open_sinks(
    config: StreamConfig, card: GraphCard, source: Source, *, stack: ExitStack
) -> list[AnySink]:
    """Open the sinks; `stack` closes them, also if a later one cannot be opened."""
    check_sinks(config)
    sinks: list[AnySink] = []
    if config.window is not False:
        try:
            sinks.append(stack.enter_context(WindowSink(f"edgeseg: {source.name}")))
        except SinkError as error:
            if config.window:
                raise
            problem = error.problem.rstrip(".")
            log.info(f"{problem}: streaming without a window (to choose this: --no-window)")
    if config.out is not None:
        video = VideoSink(
            config.out,
            size=card.frame_size,
            fps=source.fps,
            live=source.live,
            overwrite=config.overwrite,
        )
        sinks.append(stack.enter_context(video))
    if config.jsonl is not None:
        lines = JsonlSink(
            config.jsonl, overwrite=config.overwrite, about=_about(config, card, source)
        )
        sinks.append(stack.enter_context(lines))
    return sinks


def close_sinks(sinks: Sequence[AnySink]) -> tuple[EdgesegError, ...]:
    """Close all sinks, and return the errors of those that could not be completed."""
    errors = []
    for sink in sinks:
        try:
            sink.close()
        except EdgesegError as error:
            errors.append(error)
    return tuple(errors)


def _about(config: StreamConfig, card: GraphCard, source: Source) -> dict[str, Any]:
    """Return what judges the frames of this start."""
    given = {"threshold": config.threshold, "image_threshold": config.image_threshold}
    return {
        "edgeseg": __version__,
        "source": source.name,
        "model": card.name,
        "weights_sha256": card.weights_sha256,
        **{key: getattr(card, key) if value is None else value for key, value in given.items()},
        "rule": asdict(config.applied(card.rule)),
    }
