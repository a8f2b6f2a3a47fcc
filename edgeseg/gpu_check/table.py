"""Every check of `edgeseg doctor --gpu`: its name, what is expected, and how long it may take.

    tier 1   a CUDA driver and a binding; kernels stand in for an engine
    tier 2   PyTorch on CUDA
    tier 3   TensorRT or TensorRT-RTX
    tier 4   a camera

Checks of one group share a process. `docs/not-run-on-gpu.md` names each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any


@dataclass(frozen=True, kw_only=True)
class GpuCheck:
    """One line of the report."""

    name: str
    tier: int
    group: str
    function: str
    """`module:function`; it returns an GpuFinding, or raises Skipped."""
    expected: str
    seconds: float = 20.0
    """Time limit, with the start of its process."""
    arguments: Mapping[str, Any] = field(default_factory=dict)


DEVICE = "device"
ENGINE = "engine"  # the group
BUILD = 900.0  # seconds for the checks that build: TensorRT times kernels, minutes long on a Jetson
ROOM = "edgeseg.gpu_check"


def _masks() -> tuple[GpuCheck, ...]:
    bindings = ("cuda-python", "pycuda")
    return tuple(
        GpuCheck(
            name=f"masks-{io}-{'graph' if graph else 'enqueue'}-{in_flight}"
            + ("" if binding == bindings[0] else f"-{binding}"),
            tier=1,
            group=binding,
            function=f"{ROOM}.frames:masks",
            expected="1000 frames, every mask right",
            arguments={"io": io, "graph": graph, "in_flight": in_flight, "binding": binding},
        )
        for binding, io, graph, in_flight in product(
            bindings, ("mapped", "copy"), (True, False), (1, 2)
        )
    )


CHECKS: tuple[GpuCheck, ...] = (
    GpuCheck(
        name=DEVICE, tier=1, group="device", function=f"{ROOM}.device:opens",
        expected="a GPU, a binding and NVRTC", seconds=60.0,
    ),
    GpuCheck(
        name="nvml", tier=1, group="device", function=f"{ROOM}.device:nvml",
        expected="NVML, CUDA and nvidia-smi agree", seconds=40.0,
    ),
    *_masks(),
    GpuCheck(
        name="stream-mapped", tier=1, group="stream", function=f"{ROOM}.frames:stream_loop",
        expected="1000 frames through the loop, every mask right", arguments={"io": "mapped"},
    ),
    GpuCheck(
        name="stream-copy", tier=1, group="stream", function=f"{ROOM}.frames:stream_loop",
        expected="1000 frames through the loop, every mask right", arguments={"io": "copy"},
    ),
    GpuCheck(
        name="memory-1080p", tier=1, group="stream", function=f"{ROOM}.frames:large_frames",
        expected="every mask right; --io auto takes the faster path", seconds=30.0,
    ),
    GpuCheck(
        name="model-dlpack", tier=1, group="stream", function=f"{ROOM}.gpu_frames:model",
        expected="frames in GPU memory, every mask right", arguments={"lender": "dlpack"},
    ),
    GpuCheck(
        name="model-interface", tier=1, group="stream", function=f"{ROOM}.gpu_frames:model",
        expected="frames in GPU memory, every mask right", arguments={"lender": "interface"},
    ),
    GpuCheck(
        name="gil", tier=1, group="waiting", function=f"{ROOM}.waiting:other_threads",
        expected="another thread pauses for at most a quarter of a wait",
    ),
    GpuCheck(
        name="wait", tier=1, group="waiting", function=f"{ROOM}.waiting:blocking",
        expected="a blocking event takes at most 30 % of a core",
    ),
    GpuCheck(
        name="launch", tier=1, group="waiting", function=f"{ROOM}.waiting:launches",
        expected="a graph of 100 kernels at a quarter of their cost or less",
    ),
    GpuCheck(
        name="capture", tier=1, group="waiting", function=f"{ROOM}.waiting:capture",
        expected="50 of 50 captured while another thread allocates",
    ),
    GpuCheck(
        name="open-close", tier=1, group="lifetimes", function=f"{ROOM}.lifetimes:open_close",
        expected="30 times, less than 8 MiB more at the end", seconds=40.0,
    ),
    GpuCheck(
        name="out-of-memory", tier=1, group="lifetimes", function=f"{ROOM}.lifetimes:out_of_memory",
        expected="cuda/out-of-memory, and the context remains usable",
    ),
    GpuCheck(
        name="refused-capture", tier=1, group="lifetimes",
        function=f"{ROOM}.lifetimes:refused_capture",
        expected="enqueued instead, every mask right",
    ),
    GpuCheck(
        name="trap", tier=1, group="trap", function=f"{ROOM}.lifetimes:trap",
        expected="CudaError with its remedy within 10 s, no hang", seconds=30.0,
    ),
    GpuCheck(
        name="array-interface", tier=1, group="pytorch", function=f"{ROOM}.pytorch:array_interface",
        expected="PyTorch reads and writes device memory without a copy", seconds=90.0,
    ),
    GpuCheck(
        name="model-pytorch", tier=2, group="pytorch", function=f"{ROOM}.gpu_frames:model",
        expected="model(tensor) and the tensor of its mask, every mask right", seconds=40.0,
        arguments={"lender": "pytorch"},
    ),
    GpuCheck(
        name="fp16", tier=2, group="pytorch", function=f"{ROOM}.pytorch:half",
        expected="typed graph in FP16: map differs from FP32 by at most 0.05", seconds=90.0,
    ),
    GpuCheck(
        name="fp32", tier=2, group="pytorch", function=f"{ROOM}.pytorch:single",
        expected="graph in FP32: map differs from the CPU by at most 0.001", seconds=40.0,
    ),
    GpuCheck(
        name="train-steps", tier=2, group="train", function=f"{ROOM}.training:steps",
        expected="the loss falls, and the CPU's first loss is the same within 2 %", seconds=90.0,
    ),
    GpuCheck(
        name="commands", tier=2, group="train", function=f"{ROOM}.training:commands",
        expected="train, evaluate, export and verify of a run on cuda", seconds=90.0,
    ),
    GpuCheck(
        name="engine-build", tier=3, group=ENGINE, function=f"{ROOM}.engines:build",
        expected="an FP16 engine for this GPU", seconds=BUILD,
    ),
    GpuCheck(
        name="engine-types", tier=3, group=ENGINE, function=f"{ROOM}.engines:types",
        expected="every convolution in FP16", seconds=120.0,
    ),
    GpuCheck(
        name="engine-masks", tier=3, group=ENGINE, function=f"{ROOM}.engines:masks",
        expected="within the limits of edgeseg verify", seconds=120.0,
    ),
    GpuCheck(
        name="engine-graph", tier=3, group=ENGINE, function=f"{ROOM}.engines:graphs",
        expected="captured as a CUDA graph, mapped and copied", seconds=120.0,
    ),
    GpuCheck(
        name="engine-layers", tier=3, group=ENGINE, function=f"{ROOM}.engines:layer_times",
        expected="times of layers, at most twice the inference that they are of", seconds=120.0,
    ),
    GpuCheck(
        name="engine-latency", tier=3, group=ENGINE, function=f"{ROOM}.engines:latency",
        expected="faster than eager FP32 in PyTorch on this GPU", seconds=120.0,
    ),
    GpuCheck(
        name="engine-head", tier=3, group=ENGINE, function=f"{ROOM}.engines:head_forms",
        expected="the head's form that build-engine takes is not the slower one", seconds=BUILD,
    ),
    GpuCheck(
        name="engine-open", tier=3, group=ENGINE, function=f"{ROOM}.engines:openings",
        expected="opens sooner with the kernels of the first time", seconds=120.0,
    ),
    GpuCheck(
        name="engine-memory", tier=3, group=ENGINE, function=f"{ROOM}.engines:contexts",
        expected="three more contexts take less than twice the activations of one", seconds=120.0,
    ),
    GpuCheck(
        name="engine-rebuild", tier=3, group=ENGINE, function=f"{ROOM}.engines:rebuilt",
        expected="a second build, with the times of the first, takes no longer", seconds=BUILD,
    ),
    GpuCheck(
        name="engine-lean", tier=3, group=ENGINE, function=f"{ROOM}.engines:lean",
        expected="by the lean runtime, within the limits of edgeseg verify", seconds=BUILD,
    ),
    GpuCheck(
        name="engine-idle", tier=3, group=ENGINE, function=f"{ROOM}.engines:idle_gaps",
        expected="measured", seconds=120.0,
    ),
    GpuCheck(
        name="camera", tier=4, group="camera", function=f"{ROOM}.cameras:first_camera",
        expected="30 whole frames in order, at half of the promised rate or more", seconds=40.0,
    ),
    GpuCheck(
        name="camera-csi", tier=4, group="camera", function=f"{ROOM}.cameras:of_jetson",
        expected="30 whole frames in order, at half of the promised rate or more", seconds=40.0,
        arguments={"address": "csi://0"},
    ),
    GpuCheck(
        name="camera-jetson", tier=4, group="camera", function=f"{ROOM}.cameras:of_jetson",
        expected="30 whole frames in order, at half of the promised rate or more", seconds=40.0,
        arguments={"address": "jetson+csi://0"},
    ),
)  # fmt: skip
