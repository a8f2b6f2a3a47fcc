"""Checks with PyTorch on CUDA: memory that it shares, and the exported graph in FP16 and FP32."""

from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cuda.driver import open_cuda
from edgeseg.gpu_check.finding import GpuFinding, Skipped
from edgeseg.packages.extras import require

if TYPE_CHECKING:
    from onnx import ModelProto

    from edgeseg.runtime.pytorch import PyTorchBackend

SIDE, FRAMES = 256, 4
SPREAD = 2.0  # standard deviation of the logits, so that the map is neither constant nor saturated
MOST_HALF, MOST_SINGLE = 0.05, 1e-3  # difference of the maps
LEAST_IOU = 0.95  # of the masks, as `edgeseg verify` demands
WARM, TIMED = 10, 50


def cuda_torch() -> Any:
    """Import PyTorch; Skipped where it is missing or sees no GPU."""
    torch = require("torch", extra="train")
    if not torch.cuda.is_available():
        raise Skipped(f"PyTorch {torch.__version__} does not see the GPU")
    return torch


def array_interface(*, count: int = 1 << 20) -> GpuFinding:
    """Hand device memory to PyTorch without a copy, in both directions."""
    torch = cuda_torch()
    pattern = np.random.default_rng(0).integers(0, 256, count, np.uint8)
    with open_cuda() as cuda, cuda.current(), cuda.stream() as stream:
        memory, host = cuda.buffer(count), cuda.pinned(count)
        host.view.array[...] = pattern
        stream.copy_in(memory.address, host.view)
        stream.synchronize()
        tensor = torch.as_tensor(_Interface(memory.address, count), device="cuda")
        same = tensor.data_ptr() == memory.address
        read = bool((tensor.cpu().numpy() == pattern).all())
        tensor.bitwise_not_()
        torch.cuda.synchronize()
        stream.copy_out(host.view, memory.address)
        stream.synchronize()
        written = bool((host.view.array == ~pattern).all())
        del tensor
    found = [f"{what}: {'yes' if true else 'no'}" for what, true in
             (("same address", same), ("reads", read), ("writes", written))]  # fmt: skip
    return GpuFinding(same and read and written, ", ".join(found), {"bytes": count})


class _Interface:
    """Device memory as `__cuda_array_interface__` describes it."""

    def __init__(self, address: int, count: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (count,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }


def half(*, device: str = "cuda", side: int = SIDE) -> GpuFinding:
    """Run the paper's graph typed FP16 and in FP32, node by node, on the same frames."""
    from edgeseg.gpu_check.typed_graph import TypedGraph
    from edgeseg.quantize.fp16 import to_fp16

    torch = cuda_torch() if device == "cuda" else require("torch", extra="train")
    model, frames = paper_graph(side), random_frames(side)
    typed, plain = TypedGraph(to_fp16(model), device), TypedGraph(model, device)
    with exact(torch):
        found = compare([typed, plain], frames, torch)
        figures: dict[str, Any] = found | {
            "fp16_convolutions": typed.half_convolutions,
            "side": side,
        }
        if device == "cuda":
            figures["ms_p50"] = {
                name: _milliseconds(run, frames[0], torch)
                for name, run in (("fp16", typed), ("fp32", plain))
            }
    text = f"{found['map_diff']:.2g} of maps that span {found['span']:.2g}, mask IoU "
    text += f"{found['iou']:.4f}, {typed.half_convolutions} convolutions in FP16"
    met = found["map_diff"] <= MOST_HALF and found["iou"] >= LEAST_IOU and found["span"] > 0.1
    return GpuFinding(met and typed.half_convolutions > 0, text, figures)


def single(*, device: str = "cuda", side: int = SIDE) -> GpuFinding:
    """Compare the graph in FP32 on the GPU with ONNX Runtime on the CPU."""
    from edgeseg.gpu_check.typed_graph import TypedGraph

    torch = cuda_torch() if device == "cuda" else require("torch", extra="train")
    ort = require("onnxruntime", extra="cpu")
    model, frames = paper_graph(side), random_frames(side)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def on_cpu(inputs: dict[str, Any]) -> dict[str, Any]:
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        outputs = zip(names, session.run(None, arrays), strict=True)
        return {name: torch.from_numpy(array) for name, array in outputs}

    with exact(torch):
        found = compare([TypedGraph(model, device), on_cpu], frames, torch)
    text = f"{found['map_diff']:.2g} of maps that span {found['span']:.2g}, mask IoU "
    text += f"{found['iou']:.4f}"
    met = found["map_diff"] <= MOST_SINGLE and found["iou"] >= LEAST_IOU and found["span"] > 0.1
    return GpuFinding(met, text, found)


def exact(torch: Any) -> Any:
    """Return a context in which FP32 convolutions are FP32, and not TF32."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False)


Run = Callable[[dict[str, Any]], dict[str, Any]]


def compare(runs: list[Run], frames: list[NDArray[np.uint8]], torch: Any) -> dict[str, float]:
    """Compare two graphs: largest difference and span of the maps, worst IoU of the masks.

    The threshold is the median of each map, so that half of the pixels are anomalous.
    """
    worst, span, iou = 0.0, 0.0, 1.0
    for frame in frames:
        inputs = {"frame": torch.from_numpy(frame), "threshold": torch.tensor([0.5])}
        middle = runs[1](inputs)["anomaly_map"].median().item()
        inputs["threshold"] = torch.tensor([middle])
        one, other = ({k: v.cpu().float() for k, v in run(inputs).items()} for run in runs)
        maps = one["anomaly_map"], other["anomaly_map"]
        difference = (maps[0] - maps[1]).abs().max().item()
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
        span = max(span, (maps[1].max() - maps[1].min()).item())
        masks = one["mask"] > 0, other["mask"] > 0
        union = (masks[0] | masks[1]).sum().item()
        iou = min(iou, (masks[0] & masks[1]).sum().item() / max(union, 1))
    return {"map_diff": worst, "span": span, "iou": iou, "frames": float(len(frames))}


def _milliseconds(run: Run, frame: NDArray[np.uint8], torch: Any) -> float:
    """Return the median device time of a run, node by node from Python."""
    inputs = {"frame": torch.from_numpy(frame).cuda(), "threshold": torch.tensor([0.5]).cuda()}
    times = []
    for _ in range(WARM + TIMED):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run(inputs)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return float(median(times[WARM:]))


def random_frames(side: int, count: int = FRAMES) -> list[NDArray[np.uint8]]:
    """Return frames of coarse random squares and noise, [1, S, S, 3]."""
    random = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        coarse = random.integers(0, 200, (1, side // 16, side // 16, 3))
        fine = random.integers(0, 56, (1, side, side, 3))
        frames.append((coarse.repeat(16, 1).repeat(16, 2) + fine).astype(np.uint8))
    return frames


def paper_graph(side: int) -> "ModelProto":
    """Return the exported graph of `network`."""
    from edgeseg.exporter.trace import trace
    from edgeseg.model.export_head import export_form
    from edgeseg.runtime.base import INPUTS, output_names

    torch = require("torch", extra="train")
    backend = network(side)
    slot = backend.new_slot()
    inputs = torch.from_numpy(slot.frame), torch.from_numpy(slot.threshold)
    return trace(export_form(backend.module), inputs, INPUTS, output_names(backend.card))


def network(side: int) -> "PyTorchBackend":
    """Return DeSTSeg of the paper with random weights, whose map has a spread."""
    from torch import nn

    torch = require("torch", extra="train")
    backend = _random_network(side)
    slot = backend.new_slot()
    logits: list[Any] = []
    head = backend.module.get_submodule("detector.head")
    last = [module for module in head.modules() if isinstance(module, nn.Conv2d)][-1]
    hook = last.register_forward_hook(lambda module, given, out: logits.append(out))
    backend.bind(slot)
    np.copyto(slot.frame, random_frames(side, 1)[0])
    backend.run()
    hook.remove()
    with torch.no_grad():
        factor = SPREAD / logits[0].std()
        last.weight.mul_(factor)
        if last.bias is not None:
            last.bias.sub_(logits[0].mean()).mul_(factor)
    return backend


def _random_network(side: int) -> "PyTorchBackend":
    from edgeseg.cards import GraphCard
    from edgeseg.model.detectors import build_detector
    from edgeseg.model.fused import Fused
    from edgeseg.model.teacher import Teacher
    from edgeseg.recipes import TrainConfig
    from edgeseg.runtime.pytorch import PyTorchBackend

    torch = require("torch", extra="train")
    torch.manual_seed(0)
    config = TrainConfig(model="destseg", profile="paper", image_size=side)
    settings = config.to_json()
    detector = build_detector("destseg", Teacher("resnet18"), settings, (side, side))
    for norm in (m for m in detector.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        if not norm.weight.any():  # timm starts the last one of a block at 0
            torch.nn.init.constant_(norm.weight, 0.5)
    module = Fused(
        detector,
        network_size=(side, side),
        frame_size=(side, side),
        frame_format="bgr",
        aspect="stretch",
        top=config.top,
    )
    card = GraphCard(
        name="random",
        model="destseg",
        frame_format="bgr",
        frame_shape=(1, side, side, 3),
        network_size=(side, side),
        aspect="stretch",
        threshold=0.5,
        image_threshold=0.5,
        weights_sha256="0" * 64,
        training=settings,
        versions={},
    )
    return PyTorchBackend(module, card)
