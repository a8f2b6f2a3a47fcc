"""The form of the segmentation head for the target of a build: fewer kernels, or fewer MACs.

    gpu    a discrete GPU: a tenth fewer kernels, each of which has to be launched
    cpu    a CPU or a Jetson, whose GPU is slower and shares its power with the CPU: 5 to 13 % fewer
           MACs

Kernels were counted in engines of TensorRT-RTX (docs/int8.md); times on a GPU were not measured.
The outputs are the same.
"""

from edgeseg.cards import GraphCard
from edgeseg.config import BuildConfig, OptimizeFor, RuntimeName
from edgeseg.files import quoted
from edgeseg.log import log
from edgeseg.machine.facts import Machine, this_machine
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import best, builders, candidates

HAS: dict[str, str] = {"cpu": "fewer MACs and more kernels", "gpu": "fewer kernels and more MACs"}


def head_form(runtime: RuntimeName, here: Machine) -> OptimizeFor:
    """Return the form for the engines that a runtime builds on a machine."""
    return "gpu" if runtime in trt.FLAVORS and not here.jetson else "cpu"


def exported_form(config: BuildConfig) -> OptimizeFor | None:
    """Return the form to export for a build; None where a graph has to be taken as it is.

    The calibration of INT8 belongs to one graph. Torch-TensorRT reads the run.
    """
    if config.precision == "int8" or config.via != "onnx":
        return None
    here = this_machine(config.device)
    return head_form(config.runtime or best(builders(candidates(here))).runtime, here)


def tell_form(card: GraphCard, runtime: RuntimeName, config: BuildConfig, here: Machine) -> None:
    """Log that a graph has the form for another target, and the export for this one."""
    wanted = head_form(runtime, here)
    if card.optimized_for in (wanted, "any") or config.via != "onnx":
        return
    target = "a Jetson" if here.jetson else {"cpu": "a CPU", "gpu": "a discrete GPU"}[wanted]
    height, width = card.frame_size
    batch = card.frame_shape[0]
    again = ", then calibrate again" if config.precision == "int8" else ""
    log.info(
        f"the head of this graph has {HAS[card.optimized_for]} than the form for {target}. Which "
        f"is faster was not measured here; the other: edgeseg export {quoted(card.name)} "
        f"--frame-size {quoted(f'{width}x{height}')} --format {quoted(card.frame_format)} "
        f"--batch {quoted(str(batch))} --optimize-for {wanted}{again}"
    )
