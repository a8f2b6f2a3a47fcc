"""Plans of TensorRT without an accuracy gate."""

from edgeseg.engine.tensorrt import build_plan
from edgeseg.engine.typed import Typed
from edgeseg.quantize.fp16 import to_fp16


def plan_of(runtime, model, config, here, *, keep=frozenset(), int8=None):
    """Build a plan from an FP32 graph; keep: the nodes that stay in FP32."""
    typed = model
    if int8:
        typed = int8.apply(model, "fp16")
    elif config.precision == "fp16":
        typed = to_fp16(model, keep=keep)
    return build_plan(runtime, model, Typed(typed, keep, int8=int8), config, here)
