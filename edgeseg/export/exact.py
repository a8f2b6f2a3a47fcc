"""The exact rewrites: less work in the graph, the same answers up to rounding.

Each is a pass of its own module, finds its place by the graph's pattern, and returns a graph that
it does not recognize as it is. Where a model has no head, as STPM, nothing is found.
"""

from collections.abc import Callable, Sequence

from onnx import ModelProto

from edgeseg.export.pooled import pooled
from edgeseg.export.taps import taps

PASSES: dict[str, Callable[[ModelProto], ModelProto]] = {"pooled": pooled, "taps": taps}
"""By the names that `config.REWRITES` lists."""


def rewrite(model: ModelProto, names: Sequence[str]) -> tuple[ModelProto, tuple[str, ...]]:
    """Return the rewritten graph, and the names of the rewrites that found something to do."""
    done = []
    for name in names:
        rewritten = PASSES[name](model)
        if rewritten is not model:
            done.append(name)
        model = rewritten
    return model, tuple(done)
