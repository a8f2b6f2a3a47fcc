"""TensorRT's Python interface of 8.6, 10.3 and 11.1 without a GPU; it records its calls.

Names and numbers are those of NVIDIA's bindings at these versions; their behavior is not simulated.
"""

from enum import IntEnum
from types import SimpleNamespace

import onnx

FLOAT, BOOL, INT8 = "float32", "bool", "int8"


class Layer:
    def __init__(self, name, dtype):
        self.name, self.num_outputs, self.precision, self.output_types = name, 1, None, {}
        self._dtype = dtype

    def get_output(self, index):
        return SimpleNamespace(dtype=self._dtype)

    def set_output_type(self, index, dtype):
        self.output_types[index] = dtype


class Network:
    def __init__(self, flags):
        self.flags, self.layers = flags, []

    @property
    def num_layers(self):
        return len(self.layers)

    def get_layer(self, index):
        return self.layers[index]


class Options:
    def __init__(self):
        self.flags, self.profiling_verbosity, self.pool = {"TF32"}, None, {}

    def set_flag(self, flag):
        self.flags.add(flag.name)

    def clear_flag(self, flag):
        self.flags.discard(flag.name)

    def set_memory_pool_limit(self, pool, size):
        self.pool[pool] = size

    def create_timing_cache(self, data):
        return TimingCache(bytes(data))

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        self.timing_cache = cache
        return not cache.data.startswith(b"another device")

    def get_timing_cache(self):
        return self.timing_cache


class TimingCache:
    def __init__(self, data):
        self.data = data

    def serialize(self):
        return self.data + b" timed"


class Runtime:
    """Reads any plan; `inspected` is what the inspector of its engine says."""

    inspected = "{}"

    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, data):
        inspector = SimpleNamespace(get_engine_information=lambda form: self.inspected)
        return SimpleNamespace(create_engine_inspector=lambda: inspector)


def library(version, *, strong_builds=True, warning=None, listed="", inspected="{}"):
    """A module like `tensorrt`; `.builds` lists (network, options, model) of every build.

    listed: the end of the build log; inspected: the JSON of the engine inspector.
    """
    major = int(version.split(".")[0])
    creation, flags = {"EXPLICIT_BATCH": 0}, ["FP16", "INT8", "TF32", "OBEY_PRECISION_CONSTRAINTS"]
    lean = ["VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME"]
    if major >= 10:
        creation["STRONGLY_TYPED"] = 1
    if major >= 11:
        creation, flags = {"STRONGLY_TYPED": 0}, ["TF32"]
    trt = SimpleNamespace(
        __version__=version,
        NetworkDefinitionCreationFlag=IntEnum("NetworkDefinitionCreationFlag", creation),
        BuilderFlag=IntEnum("BuilderFlag", [*flags, *lean]),
        ProfilingVerbosity=SimpleNamespace(DETAILED="detailed"),
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
        float32=FLOAT,
        ILogger=type("ILogger", (), {}),
        LayerInformationFormat=SimpleNamespace(JSON="json"),
        Runtime=type("Runtime", (Runtime,), {"inspected": inspected}),
        builds=[],
    )

    class Parser:
        num_errors = 0

        def __init__(self, network, logger):
            self.network, self.logger = network, logger

        def parse(self, data):
            self.network.model = onnx.load_from_string(data)
            for node in self.network.model.graph.node:
                dtype = {"Greater": BOOL, "QuantizeLinear": INT8}.get(node.op_type, FLOAT)
                self.network.layers.append(Layer(node.name, dtype))
            if warning:
                self.logger.log(SimpleNamespace(name="WARNING"), warning)
            return True

    class Builder:
        def __init__(self, logger):
            self.logger = logger

        def create_network(self, flags):
            return Network(flags)

        def create_builder_config(self):
            return Options()

        def build_serialized_network(self, network, options):
            trt.builds.append((network, options, network.model))
            strong = major >= 11 or (major >= 10 and network.flags == 1 << 1)
            if strong and not strong_builds:
                self.logger.log(SimpleNamespace(name="ERROR"), "no implementation for stem")
                return None
            self.logger.log(SimpleNamespace(name="VERBOSE"), listed)
            return b"plan"

    trt.OnnxParser, trt.Builder = Parser, Builder
    return trt
