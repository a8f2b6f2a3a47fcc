"""The commands that run a model: predict, stream, benchmark, profile."""

from pathlib import Path
from typing import Annotated

from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import option, takes
from edgeseg.cli.help import GROUPS
from edgeseg.cli.models import (
    DeviceNumber,
    EngineArgument,
    Runtime,
    Strict,
    Threads,
    argument,
    is_model,
)
from edgeseg.config import BenchConfig, GpuConfig, ProfileConfig, StreamConfig
from edgeseg.errors import ConfigError
from edgeseg.files import quoted
from edgeseg.verdict.region_config import RegionConfig

PANEL = GROUPS[3]
_IMAGES = "Model [default: newest engine], then image files or folders"


@command(PANEL)
@takes(RegionConfig)
def predict(
    config: RegionConfig,
    images: Annotated[list[Path], argument("[MODEL] IMAGES...", _IMAGES)],
    out: Annotated[Path, option("Folder for the results [required]", "DIR")],
    threshold: Annotated[
        float | None, option("Pixel threshold [default: the model's]", "X")
    ] = None,
    image_threshold: Annotated[
        float | None, option("Image threshold [default: the model's]", "X")
    ] = None,
    strict: Strict = False,
    runtime: Runtime = None,
    device: DeviceNumber = 0,
    threads: Threads = None,
) -> Report:
    """Write mask, overlay, anomaly map, regions and verdict of each image."""
    from edgeseg.evaluation.remembered import warn_if_useless
    from edgeseg.loading import find_engine, open_model, warn_unchecked
    from edgeseg.stream.predict import image_files
    from edgeseg.stream.predict import predict as run_predict
    from edgeseg.verdict.verdict import check_thresholds

    model = images.pop(0) if len(images) > 1 and is_model(images[0]) else None
    if misplaced := [path for path in images if is_model(path)]:
        raise ConfigError(
            f"missing IMAGES: {misplaced[0]} is a model (expected image files or folders after it)",
            remedy=f"edgeseg predict {quoted(misplaced[0])} IMAGES --out {quoted(out)}",
            code="config/no-data",
        )
    check_thresholds(threshold, image_threshold)
    gpu = GpuConfig(device=device)
    path = find_engine(model, device=device)
    files = image_files(images, out, model=path)
    with open_model(path, runtime=runtime, threads=threads, gpu=gpu) as backend:
        warn_if_useless(path, backend.card)
        warn_unchecked(backend.card)
        return run_predict(
            backend,
            files,
            out,
            threshold=threshold,
            image_threshold=image_threshold,
            regions=config,
            strict=strict,
        )


@command(PANEL)
@takes(StreamConfig)
def stream(
    config: StreamConfig,
    model: EngineArgument = None,
    runtime: Runtime = None,
    threads: Threads = None,
) -> Report:
    """Run on a camera, a video or a folder, and report the latency."""
    from edgeseg.evaluation.remembered import warn_if_useless
    from edgeseg.loading import find_engine, open_model, warn_unchecked
    from edgeseg.stream.sink.open import check_sinks
    from edgeseg.stream.stream import stream_from

    path = find_engine(model, device=config.device)
    check_sinks(config, path)
    with open_model(
        path, runtime=runtime, threads=threads, gpu=config, whole_frames=True
    ) as backend:
        warn_if_useless(path, backend.card)
        warn_unchecked(backend.card)
        return stream_from(backend, config)


@command(PANEL)
@takes(BenchConfig)
def benchmark(config: BenchConfig, model: EngineArgument = None, runtime: Runtime = None) -> Report:
    """Measure the latency on this machine: median, p99, maximum."""
    from edgeseg.bench.benchmark import benchmark as run_benchmark
    from edgeseg.data.frames import load_frames
    from edgeseg.loading import find_engine, open_model

    path = find_engine(model, device=config.device)
    with open_model(path, runtime=runtime, threads=config.threads, gpu=config) as backend:
        return run_benchmark(backend, load_frames(backend.card, config.data), config)


@command(PANEL)
@takes(ProfileConfig)
def profile(
    config: ProfileConfig,
    model: EngineArgument = None,
    runtime: Runtime = None,
    device: DeviceNumber = 0,
) -> Report:
    """Measure the time of each layer and each module."""
    from edgeseg.bench.profile import profile as run_profile
    from edgeseg.data.frames import load_frames
    from edgeseg.loading import find_engine, open_model

    gpu = GpuConfig(device=device)
    path = find_engine(model, device=device)
    with open_model(path, runtime=runtime, threads=config.threads, gpu=gpu) as backend:
        return run_profile(backend, path, load_frames(backend.card, config.data), config)
