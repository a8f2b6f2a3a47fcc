"""Settings: frozen, keyword-only, refused at birth when they make no sense.

The CLI turns each field into a flag (`--image-size`), a TOML file sets fields by their names
(`settings.py`), and a flag beats the file. Nobody reads an environment variable or a global.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from edgeseg.addresses import public
from edgeseg.errors import ConfigError
from edgeseg.recipes import TrainConfig as TrainConfig  # from here, like the others
from edgeseg.settings import check_choices, parse_duration, parse_size, setting, within

Precision = Literal["fp32", "fp16", "int8", "bf16"]
Clipping = Literal["entropy", "percentile", "max"]
Product = Literal["kept", "equalized"]
Via = Literal["onnx", "torch-tensorrt"]
Io = Literal["auto", "mapped", "copy"]
Binding = Literal["auto", "cuda-python", "pycuda"]
RuntimeName = Literal["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime"]
FrameFormat = Literal["bgr", "rgb", "gray"]
CameraFormat = Literal["mjpeg", "yuyv", "uyvy", "nv12", "gray"]

REWRITES = ("pooled", "taps")
"""The exact rewrites of a graph by name, in their order; deploy/exact.py has them."""
AUTO_REWRITES = REWRITES
"""Those that save time: all of them."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What the exported graph takes and how strictly it is checked."""

    frame_size: str | None = setting(
        None, "WIDTHxHEIGHT of the frames; default: the training images' size, or the network's"
    )
    format: FrameFormat = setting("bgr", "Channel order of the frames: bgr (OpenCV), rgb, gray")
    batch: int = setting(1, "Frames in one run")
    tolerance: float = setting(1e-4, "Largest difference of a map from PyTorch's")
    rewrites: str = setting(
        "auto",
        f"Exact rewrites that save work: auto, none, or names with commas: {','.join(REWRITES)}",
    )

    def __post_init__(self) -> None:
        check_choices(self)
        within("batch", self.batch, 1, 256)
        within("tolerance", self.tolerance, 0.0, 1.0)
        self.size()
        self.rewrite_names()

    def size(self) -> tuple[int, int] | None:
        """Return (height, width), or None when it was not given."""
        if self.frame_size is None:
            return None
        return parse_size(self.frame_size, "--frame-size")

    def rewrite_names(self) -> tuple[str, ...]:
        """Return the names of the rewrites to try, in their order."""
        if self.rewrites in ("auto", "none"):
            return AUTO_REWRITES if self.rewrites == "auto" else ()
        wanted = [name.strip() for name in self.rewrites.split(",")]
        for name in wanted:
            if name not in REWRITES:
                near = get_close_matches(name, REWRITES, 1) or ["auto"]
                raise ConfigError(
                    f"rewrites has '{name}'; auto, none, or of {', '.join(REWRITES)} was expected.",
                    remedy=f"--rewrites {near[0]}",
                )
        return tuple(name for name in REWRITES if name in wanted)


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig:
    """On which frames the ranges of INT8 are measured, and how outliers are clipped."""

    frames: int = setting(200, "Good images, from those for training")
    defective: int = setting(0, "Defective images, from those for testing")
    synthetic: int = setting(0, "Good images with a synthetic anomaly")
    seed: int = setting(0, "Fixes the choice of images and the anomalies")
    backbone: Clipping = setting(
        "entropy", "Ranges in teacher and student: entropy, percentile or max"
    )
    product: Clipping = setting("max", "Ranges of the product of their unit vectors")
    head: Clipping = setting("max", "Ranges in the head")
    percentile: float = setting(99.99, "Share of values that the method percentile leaves whole")

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("frames", "defective", "synthetic"):
            within(name, getattr(self, name), 0, 1_000_000)
        if not self.frames + self.defective + self.synthetic:
            raise ConfigError(
                "frames, defective and synthetic are all 0; some image was expected.",
                remedy="--frames 200",
            )
        within("percentile", self.percentile, 50.0, 100.0)

    def clipping(self, part: str) -> Clipping:
        """Return the method for a part: `backbone`, `product`, `head`, or `picture`: never clipped.

        What is brightest in a picture may be the defect.
        """
        method: Clipping = "max" if part == "picture" else getattr(self, part)
        return method


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Which engine is built from a graph, and for what."""

    precision: Precision = setting(
        "fp16", "fp32, fp16, int8, or bf16: by OpenVINO, on a CPU that computes in it"
    )
    ranges: Path | None = setting(
        None, "What edgeseg calibrate wrote, for int8; default: calibration/NAME.ranges.json"
    )
    product: Product | None = setting(
        None,
        "In int8, the product of the unit vectors: kept as it is (default for a GPU), or equalized "
        "and int8 (default for a CPU)",
    )
    runtime: RuntimeName | None = setting(
        None, "tensorrt, tensorrt-rtx, openvino or onnxruntime; default: the best of this machine"
    )
    compute_capability: str | None = setting(
        None, "GPU to build for, such as 8.6; tensorrt-rtx needs no GPU to do so"
    )
    via: Via = setting(
        "onnx", "onnx, or torch-tensorrt: from the run by PyTorch's builder, not run on a GPU yet"
    )
    workspace_mib: int = setting(1024, "Scratch memory for TensorRT's builder, MiB")
    data: Path | None = setting(
        None, "Labelled images, or good ones: measures what the precision costs before it builds"
    )
    max_drop: float = setting(
        0.01, "How far pixel AP and image AUROC may fall; else layers keep theirs, or no engine"
    )
    max_flips: float = setting(0.01, "Share of the verdicts that may flip, beyond a single one")
    gate_frames: int = setting(400, "Of more images in --data than these, evenly chosen ones")

    def __post_init__(self) -> None:
        check_choices(self)
        within("workspace_mib", self.workspace_mib, 1, 1 << 20)
        within("max_drop", self.max_drop, 0.0, 1.0)
        within("max_flips", self.max_flips, 0.0, 1.0)
        within("gate_frames", self.gate_frames, 2, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """On what two models are compared, and how far apart they may be."""

    data: Path | None = setting(None, "Folder of images; without one, synthetic pictures")
    frames: int = setting(16, "Images to take from it, evenly chosen")
    max_map_diff: float | None = setting(
        None, "Largest difference of the maps, at any pixel; default: 0.05, with INT8 0.2"
    )
    max_score_diff: float = setting(0.05, "Largest difference of the scores")
    min_iou: float | None = setting(
        None,
        "Smallest overlap (intersection over union) of the masks; default: 0.95, with INT8 0.7",
    )
    max_flips: int | None = setting(
        None, "Frames that one may accept and the other reject; default: 0, with INT8 1 in 100"
    )

    def __post_init__(self) -> None:
        within("frames", self.frames, 1, 100_000)
        if self.max_map_diff is not None:
            within("max_map_diff", self.max_map_diff, 0.0, 1.0)
        within("max_score_diff", self.max_score_diff, 0.0, 1.0)
        if self.min_iou is not None:
            within("min_iou", self.min_iou, 0.0, 1.0)
        if self.max_flips is not None:
            within("max_flips", self.max_flips, 0, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """Which part of a table is run, on what, and how many runs at a time."""

    data: Path | None = setting(
        None, "Folder of one data set, or of its categories; a table of complexity needs none"
    )
    categories: str | None = setting(None, "Only these: bottle,cable")
    rows: str | None = setting(None, "Only the rows with these labels, separated by commas")
    seeds: int | None = setting(None, "Number of seeds, 0 and up; default: the paper's")
    config: Path | None = setting(
        None, "TOML file of settings of `edgeseg train`, for every row; they beat the table's"
    )
    textures: Path | None = setting(
        None, "Folder of images pasted as anomalies: the papers' are DTD"
    )
    out: Path = setting(Path("reproductions"), "Folder of the runs and the reports")
    processes: int | None = setting(
        None, "Trainings at a time; default: as many as cores and memory allow"
    )

    def __post_init__(self) -> None:
        if self.seeds is not None:
            within("seeds", self.seeds, 1, 1000)
        if self.processes is not None:
            within("processes", self.processes, 1, 1024)

    def names(self) -> list[str] | None:
        """Return the categories that were named, or None for all of them."""
        return None if self.categories is None else self.categories.split(",")


@dataclass(frozen=True, kw_only=True)
class GpuConfig:
    """How frames reach an engine on a GPU; without meaning for a CPU's."""

    io: Io = setting("auto", "CUDA engines: mapped (Jetson), copy (a GPU with memory of its own)")
    cuda_graph: bool = setting(True, "CUDA engines: replay a captured graph for each frame")
    cuda: Binding = setting("auto", "CUDA engines: through cuda-python or pycuda")


ANY_GPU = GpuConfig()


@dataclass(frozen=True, kw_only=True)
class StreamConfig(GpuConfig):
    """Where frames come from, where results go, and when a stream ends."""

    camera: str | None = setting(
        None, "Camera: 0, v4l2:///dev/video0, csi://0, rtsp://HOST/PATH; the default is camera 0"
    )
    source: str | None = setting(
        None, "Instead of a camera: a video, an image, a folder, gst://PIPELINE, test://640x480@30"
    )
    width: int | None = setting(
        None, "Width that the camera is asked for, with --height; default: the graph's frames"
    )
    height: int | None = setting(None, "Height that the camera is asked for, with --width")
    fps: float | None = setting(
        None, "Frames a second wanted from the source: a camera is asked, a file is read so fast"
    )
    format: CameraFormat | None = setting(
        None, "What a USB camera sends: mjpeg, yuyv, uyvy, nv12, gray; a CSI camera: nv12"
    )
    out: Path | None = setting(None, "Video of the results (.mp4, .avi, .mkv, .mov)")
    jsonl: Path | None = setting(None, "One JSON line for each frame")
    window: bool = setting(True, "Show the results where there is a display")
    frames: int | None = setting(None, "End after this many frames")
    seconds: float | None = setting(None, "End after this many seconds")
    threshold: float | None = setting(
        None, "A pixel is anomalous above it; default: the model's own"
    )
    image_threshold: float | None = setting(
        None, "A frame is anomalous above this score; default: the model's own"
    )
    reconnects: int = setting(10, "Attempts to find a lost camera again before the stream fails")
    interval: str | None = setting(
        None, "Take one frame each 10s, 500ms or 2min, as a slow line triggers it"
    )
    keep_warm: bool = setting(
        False, "Dummy runs while no frame comes, so that no clock falls asleep"
    )
    in_flight: int = setting(1, "Frames computed at a time: 1 for latency, 2 for throughput")
    budget_ms: float | None = setting(
        None, "A frame that takes longer from arrival to mask, in milliseconds, is a miss"
    )
    max_misses: int = setting(0, "With more misses than these the exit code is 3")
    nvtx: bool = setting(False, "Mark the stages of a frame for Nsight Systems")

    def __post_init__(self) -> None:
        if self.camera is not None and self.source is not None:
            raise ConfigError(
                f"camera is {public(self.camera)} and source is {public(self.source)}; "
                "one of them was expected.",
                remedy=f"--source {public(self.source)}",
            )
        if (self.width is None) != (self.height is None):
            raise ConfigError(
                f"width is {self.width} and height is {self.height}; both or none were expected.",
                remedy="--width 1280 --height 720",
            )
        check_choices(self)
        for name in ("width", "height"):
            if getattr(self, name) is not None:
                within(name, getattr(self, name), 16, 16384)
        if self.fps is not None:
            within("fps", self.fps, 0.1, 1000.0)
        if self.frames is not None:
            within("frames", self.frames, 1, 1 << 62)
        if self.seconds is not None:
            within("seconds", self.seconds, 0.001, 1e9)
        for name in ("threshold", "image_threshold"):
            if getattr(self, name) is not None:
                within(name, getattr(self, name), -1e6, 1e6)
        within("reconnects", self.reconnects, 0, 1_000_000)
        within("in_flight", self.in_flight, 1, 2)
        within("max_misses", self.max_misses, 0, 1 << 62)
        if self.budget_ms is not None:
            within("budget_ms", self.budget_ms, 0.001, 1e9)
        self.every()

    def address(self) -> str:
        """Return what to open."""
        return self.source or self.camera or "0"

    def every(self) -> float | None:
        """Return the seconds from one trigger to the next; None: every frame is taken."""
        return None if self.interval is None else parse_duration(self.interval, "--interval")


@dataclass(frozen=True, kw_only=True)
class BenchConfig(GpuConfig):
    """How a model's latency is measured."""

    data: Path | None = setting(None, "Folder of images to run on; without one, synthetic frames")
    runs: int = setting(200, "Timed runs")
    warmup: int = setting(10, "Runs before the clock starts")
    seconds: float | None = setting(None, "End earlier, after this many seconds of timed runs")
    fps: float | None = setting(
        None, "A run at each beat of so many a second, idle between; default: back to back"
    )
    interval: str | None = setting(
        None, "A run each 10s, 500ms or 2min, as a slow line triggers it, idle between"
    )
    keep_warm: bool = setting(
        False, "Dummy runs in the idle time, about each 50 ms, so that no clock falls asleep"
    )
    threads: int | None = setting(None, "Threads of a CPU runtime; default: its own choice")

    def __post_init__(self) -> None:
        check_choices(self)
        within("runs", self.runs, 1, 100_000_000)
        within("warmup", self.warmup, 0, 1_000_000)
        if self.seconds is not None:
            within("seconds", self.seconds, 0.001, 1e9)
        if self.threads is not None:
            within("threads", self.threads, 1, 4096)
        if self.fps is not None:
            within("fps", self.fps, 0.001, 10_000.0)
        if self.fps is not None and self.interval is not None:
            raise ConfigError(
                f"fps is {self.fps:g} and interval is {self.interval}; one of them was expected.",
                remedy=f"--interval {self.interval}",
            )
        period = self.period()
        if self.keep_warm and period is None:
            raise ConfigError(
                "keep_warm fills the idle time between runs, and without a pace there is none.",
                remedy="--keep-warm --interval 10s",
            )

    def period(self) -> float | None:
        """Return the seconds from one run's beginning to the next; None: back to back."""
        if self.interval is not None:
            return parse_duration(self.interval, "--interval")
        return None if self.fps is None else 1 / self.fps


@dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """How a model's layers are timed, and where the result goes."""

    data: Path | None = setting(None, "Folder of images to run on; without one, synthetic frames")
    out: Path = setting(Path("profiles"), "Folder for the JSON document and the picture")
    runs: int = setting(50, "Timed runs, and as many without timing of layers")
    warmup: int = setting(5, "Runs before each of the two")
    slowest: int = setting(10, "Layers to list")
    threads: int | None = setting(None, "Threads of a CPU runtime; default: its own choice")
    graph: Path | None = setting(
        None, "ONNX file that an engine was built from, where the engine is none itself"
    )
    nvtx: bool = setting(False, "Mark the stages of a frame for Nsight Systems")

    def __post_init__(self) -> None:
        within("runs", self.runs, 1, 1000)  # ONNX Runtime keeps a million events
        within("warmup", self.warmup, 0, 1000)
        within("slowest", self.slowest, 0, 100_000)
        if self.threads is not None:
            within("threads", self.threads, 1, 4096)
