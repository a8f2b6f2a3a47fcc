"""Settings of every command but `train`: frozen, keyword-only, validated on construction.

The CLI turns each field into a flag (`--frame-size`); a TOML file sets fields by name
(`settings.py`); flags override the file. The settings of `train` are in `recipes.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from edgeseg.addresses import public
from edgeseg.errors import ConfigError
from edgeseg.files import quoted
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat, even_sides
from edgeseg.frame.tiles import TileRequest
from edgeseg.limits import THRESHOLD, check_limit
from edgeseg.settings import Settings, fraction, parse_duration, parse_pace, parse_size, setting
from edgeseg.verdict.region_config import RegionConfig

Precision = Literal["fp32", "fp16", "int8", "bf16"]
Clipping = Literal["relative", "max"]
Similarity = Literal["kept", "equalized"]
Typing = Literal["strong", "weak"]
Via = Literal["onnx", "torch-tensorrt"]
Io = Literal["auto", "mapped", "copy"]
Wait = Literal["auto", "block", "spin"]
Binding = Literal["auto", "cuda-python", "pycuda"]
OptimizeFor = Literal["cpu", "gpu"]
RuntimeName = Literal["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime"]
CameraFormat = Literal["mjpeg", "yuyv", "uyvy", "nv12", "gray", "bayer_rggb"]

MOST = 1 << 62


@dataclass(frozen=True, kw_only=True)
class ExportConfig(TileRequest, Settings):
    """The input of the exported graph, its tiles, and the tolerance of its parity check.

    Without a request the tiles are those of the run.
    """

    PANELS: ClassVar[dict[str, str]] = {
        "Tiles [default: those of the run]": "tiles tile_size overlap"
    }

    frame_size: str | None = setting(
        None, "Frame size as WIDTHxHEIGHT [default: size of the training images]"
    )
    format: FrameFormat = setting("bgr", "Pixel format of the frames; OpenCV's is bgr")
    batch: int = setting(1, "Frames per inference", low=1, high=256)
    optimize_for: OptimizeFor = setting(
        "cpu", "Form of the head, the outputs are the same: cpu has fewer MACs, gpu fewer kernels"
    )
    tolerance: float = fraction(1e-4, "Largest difference from PyTorch's anomaly map")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_tiles()
        self.size()

    def size(self) -> tuple[int, int] | None:
        """Return (height, width), or None if it was not given."""
        if self.frame_size is None:
            return None
        height, width = parse_size(self.frame_size, "--frame-size")
        check_limit("EDGESEG_MAX_PIXELS", self.batch * height * width, "pixels of a batch")
        return self.checked((height, width))

    def checked(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width); ConfigError where the pixel format has no such frame."""
        if not PIXEL_FORMATS[self.format].fits(*size):
            height, width = (max(side // 2 * 2, 2) for side in size)
            raise ConfigError(
                f"invalid frame_size for {self.format}: {size[1]}x{size[0]} (expected "
                f"{even_sides(self.format)})",
                remedy=f"--frame-size {width}x{height}",
                code="config/odd-size",
            )
        return size


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig(Settings):
    """The frames on which INT8 calibration ranges are measured, and how outliers are clipped."""

    good_count: int = setting(200, "Good images, from the training set", low=0, high=1_000_000)
    defective_count: int = setting(0, "Defective images, from the test set", low=0, high=1_000_000)
    synthetic_count: int = setting(0, "Good images with a synthetic anomaly", low=0, high=1_000_000)
    seed: int = setting(
        0, "Seed of the image selection and the synthetic anomalies", low=0, high=MOST
    )
    clip_backbone: Clipping = setting("relative", "Clipping method in teacher and student")
    clip_similarity: Clipping = setting("max", "Clipping method of the similarity")
    clip_head: Clipping = setting("max", "Clipping method in the segmentation head")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.good_count + self.defective_count + self.synthetic_count:
            raise ConfigError(
                "good_count, defective_count and synthetic_count are all 0 "
                "(expected at least one image)",
                remedy="--good-count 200",
                code="config/no-images",
            )

    def clipping(self, module: str) -> Clipping:
        """Return the method for a network module; rest, the network input, is never clipped.

        The brightest pixels of an image may be the defect.
        """
        methods = {"teacher": self.clip_backbone, "student": self.clip_backbone}
        methods |= {"similarity": self.clip_similarity, "head": self.clip_head}
        return methods.get(module, "max")


@dataclass(frozen=True, kw_only=True)
class BuildConfig(Settings):
    """Precision, runtime and target of an engine, and the limits of its accuracy gate."""

    PANELS: ClassVar[dict[str, str]] = {
        "Advanced": "similarity via device workspace_mib optimization_level lean",
        "Accuracy gate": "data max_drop max_flip_rate gate_image_count",
    }

    precision: Precision = setting("fp16", "Precision; bf16 needs OpenVINO and AVX512-BF16 or AMX")
    ranges: Path | None = setting(
        None, "Calibration file for int8 [default: calibration/NAME.ranges.json]"
    )
    similarity: Similarity | None = setting(
        None,
        "Similarity in int8: kept in a higher precision, or equalized to int8 "
        "[default: kept on GPUs, equalized on CPUs]",
    )
    runtime: RuntimeName | None = setting(None, "Runtime [default: the best one installed]")
    compute_capability: str | None = setting(
        None,
        "Target GPU, e.g. 8.6 [default: this machine's]; others, or several (8.6,8.9), need "
        "tensorrt-rtx",
    )
    device: int = setting(
        0, "GPU to build on, by CUDA's number; edgeseg doctor lists them", low=0, high=63
    )
    via: Via = setting("onnx", "Builder input: the ONNX graph, or PyTorch's by torch-tensorrt")
    workspace_mib: int = setting(
        1024, "Scratch memory of TensorRT's builder, in MiB", low=1, high=1 << 20
    )
    optimization_level: int | None = setting(
        None,
        "How long TensorRT's builder searches for faster kernels, 0..5 [default: TensorRT's, 3]",
        low=0,
        high=5,
    )
    lean: bool = setting(
        False,
        "Build for TensorRT's lean runtime of the same version: 45 MB on a device that only runs "
        "engines",
    )
    data: Path | None = setting(None, "Images for the accuracy gate: labelled, or good ones only")
    max_drop: float = fraction(
        0.01,
        "Largest drop of pixel AP and image AUROC; layers fall back to a higher precision, "
        "else the build fails",
    )
    max_flip_rate: float = fraction(
        0.01, "Largest share of verdicts that change, 0..1; a single one is always allowed"
    )
    gate_image_count: int = setting(
        400, "Most images to evaluate, sampled evenly", low=2, high=1_000_000
    )


@dataclass(frozen=True, kw_only=True)
class VerifyConfig(Settings):
    """The frames on which two models are compared, and the limits of their differences."""

    data: Path | None = setting(None, "Folder of images [default: synthetic frames]")
    image_count: int = setting(16, "Images to use, sampled evenly", low=1, high=100_000)
    max_map_diff: float | None = fraction(
        None, "Largest difference of the anomaly maps at any pixel [default: 0.05; INT8: 0.2]"
    )
    max_score_diff: float = fraction(0.05, "Largest difference of the image scores")
    min_iou: float | None = fraction(
        None, "Smallest intersection over union of the masks [default: 0.95; INT8: 0.7]"
    )
    max_flip_rate: float | None = fraction(
        None, "Largest share of verdicts that change, 0..1 [default: 0; INT8: 0.01, at least one]"
    )


@dataclass(frozen=True, kw_only=True)
class GpuConfig(Settings):
    """How frames reach an engine on an NVIDIA GPU; ignored by CPU runtimes."""

    PANELS: ClassVar[dict[str, str]] = {"NVIDIA GPU": "device io wait cuda_graph cuda"}

    device: int = setting(0, "GPU by CUDA's number; edgeseg doctor lists them", low=0, high=63)
    io: Io = setting("auto", "Frame memory: mapped (Jetson) or copy (discrete GPUs)")
    wait: Wait = setting(
        "auto",
        "How the CPU waits for the GPU: block or spin (one core busy, returns sooner) "
        "[auto: spin on a discrete GPU with more than 4 cores]",
    )
    cuda_graph: bool = setting(True, "Replay a captured CUDA graph for each frame")
    cuda: Binding = setting("auto", "Python binding of CUDA")


ANY_GPU = GpuConfig()


@dataclass(frozen=True, kw_only=True)
class StreamConfig(GpuConfig, RegionConfig):
    """Where frames come from, where results go, and when a stream ends."""

    PANELS: ClassVar[dict[str, str]] = {
        "Advanced": "reconnects keep_warm in_flight budget_ms max_misses nvtx",
        **RegionConfig.PANELS,
        **GpuConfig.PANELS,
    }

    camera: str | None = setting(
        None, "Camera: 0, /dev/video0, csi://0 or rtsp://HOST/PATH [default: 0]"
    )
    source: str | None = setting(
        None,
        "Other source: video, image, folder, genicam://SERIAL, watch://DIR, gst://PIPELINE or "
        "test://640x480@30",
    )
    width: int | None = setting(
        None, "Requested frame width [default: the graph's]", low=16, high=16384
    )
    height: int | None = setting(
        None, "Requested frame height [default: the graph's]", low=16, high=16384
    )
    fps: float | None = setting(
        None, "Requested frame rate (camera) or playback rate (file)", low=0.1, high=1000.0
    )
    camera_format: CameraFormat | None = setting(
        None, "Requested pixel format; CSI cameras send nv12"
    )
    out: Path | None = setting(None, "Video of the results (.mp4, .avi, .mkv, .mov)")
    jsonl: Path | None = setting(None, "JSON Lines file that each frame appends a line to")
    overwrite: bool = setting(False, "Replace existing files of --out and --jsonl")
    window: bool | None = setting(
        None, "Show the results in a window [default: if there is a display]"
    )
    strict: bool = setting(False, "Exit with code 2 if a frame or an image was broken")
    frames: int | None = setting(None, "Stop after this many frames", low=1, high=MOST)
    seconds: float | None = setting(None, "Stop after this many seconds", low=0.001, high=1e9)
    threshold: float | None = setting(
        None, "Pixel threshold [default: the model's]", low=-THRESHOLD, high=THRESHOLD
    )
    image_threshold: float | None = setting(
        None, "Image threshold [default: the model's]", low=-THRESHOLD, high=THRESHOLD
    )
    reconnects: int = setting(
        10, "Attempts to reconnect to a lost camera before the stream fails", low=0, high=1_000_000
    )
    interval: str | None = setting(
        None, "Take one frame per interval (500ms, 10s, 2min), like a slow trigger"
    )
    keep_warm: bool = setting(False, "Run warm-up inferences while waiting, to keep the clocks up")
    in_flight: int = setting(
        1, "In-flight requests: 1 for latency, 2 for throughput", low=1, high=2
    )
    budget_ms: float | None = setting(
        None,
        "Deadline from arrival to mask in ms; a later frame is a deadline miss",
        low=0.001,
        high=1e9,
    )
    max_misses: int = setting(
        0, "Most deadline misses; with more the exit code is 3", low=0, high=MOST
    )
    nvtx: bool = setting(False, "Annotate the stages for Nsight Systems")

    def __post_init__(self) -> None:
        if self.camera is not None and self.source is not None:
            raise ConfigError(
                f"camera is {public(self.camera)} and source is {public(self.source)} "
                "(expected one of them)",
                remedy=f"--source {quoted(public(self.source))}",
                code="config/conflict",
            )
        if (self.width is None) != (self.height is None):
            raise ConfigError(
                f"width is {self.width} and height is {self.height} (expected both or neither)",
                remedy="--width 1280 --height 720",
                code="config/conflict",
            )
        super().__post_init__()
        self.every()

    def address(self) -> str:
        """Return the source; a camera's number never means a folder of that name."""
        camera = self.camera or "0"
        return self.source or (f"v4l2://{camera}" if camera.isdecimal() else camera)

    def every(self) -> float | None:
        """Return the seconds from one trigger to the next; None: every frame is taken."""
        return None if self.interval is None else parse_duration(self.interval, "--interval")


@dataclass(frozen=True, kw_only=True)
class BenchConfig(GpuConfig):
    """How a model's latency is measured."""

    data: Path | None = setting(None, "Folder of images [default: synthetic frames]")
    iterations: int = setting(200, "Timed inferences", low=1, high=100_000_000)
    warmup: int = setting(10, "Warm-up iterations", low=0, high=1_000_000)
    seconds: float | None = setting(
        None, "Stop earlier, after this many seconds of timed iterations", low=0.001, high=1e9
    )
    pace: str | None = setting(
        None, "Start one inference per 33ms, 10s or at 30fps [default: back to back]"
    )
    keep_warm: bool = setting(
        False, "Run warm-up inferences between paced ones, to keep the clocks up"
    )
    threads: int | None = setting(None, "CPU threads [default: all cores]", low=1, high=4096)

    def __post_init__(self) -> None:
        super().__post_init__()
        period = self.period()
        if self.keep_warm and period is None:
            raise ConfigError(
                "keep_warm needs idle time between inferences (expected a pace)",
                remedy="--keep-warm --pace 10s",
                code="config/no-pace",
            )

    def period(self) -> float | None:
        """Return the seconds from the start of one inference to the next; None: back to back."""
        return None if self.pace is None else parse_pace(self.pace, "--pace")


@dataclass(frozen=True, kw_only=True)
class ProfileConfig(Settings):
    """How a model's layers are timed, and where the result goes."""

    data: Path | None = setting(None, "Folder of images [default: synthetic frames]")
    out: Path = setting(Path("profiles"), "Folder for the results")
    iterations: int = setting(  # ONNX Runtime keeps a million events
        50, "Timed inferences, and as many without layer timing", low=1, high=1000
    )
    warmup: int = setting(5, "Warm-up iterations before each of the two", low=0, high=1000)
    slowest: int = setting(10, "Number of slowest layers to list", low=0, high=100_000)
    threads: int | None = setting(None, "CPU threads [default: all cores]", low=1, high=4096)
    graph: Path | None = setting(None, "ONNX file that a TensorRT engine was built from")
    nvtx: bool = setting(False, "Annotate the stages for Nsight Systems")


@dataclass(frozen=True, kw_only=True)
class ReplayConfig(Settings):
    """Which kept frames are judged again, and what may come out."""

    recipe: str | None = setting(None, "Only frames of this recipe [default: all]")
    max_flip_rate: float | None = fraction(
        None, "Exit code 3 if more verdicts change, as a share [default: any may]"
    )
    export: Path | None = setting(
        None, "New folder for labeled frames, good/ bad/ masks/; nothing is judged then"
    )
