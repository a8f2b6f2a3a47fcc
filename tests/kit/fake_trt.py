"""Stand-ins for TensorRT whose engines are the CUDA simulator's `infer` (red is the defect).

`install("10.3.0")` replaces `tensorrt`, without the attributes that this release lacks;
`install("1.7.1", rtx=True)` replaces `tensorrt_rtx`. A plan is JSON. Stricter than TensorRT: a
context keeps its addresses after its first run, cannot be captured before it, and the default
stream is refused. A context writes its activation memory, which others share, in its stream; it
holds device memory of its own, too, so that a leaked one is a leak to the driver.
"""

import ctypes
import json
import sys
from enum import IntEnum
from importlib.machinery import ModuleSpec
from types import ModuleType

from tools.cudasim import simulator

ACTIVATIONS = 4096  # bytes
TYPES = {"uint8": "UINT8", "float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16"}
ORDER = ("frame", "threshold", "mask", "score", "anomaly_map", "input_check")

refusals = set()
"""What the next engine refuses: `read`, `context`, `address`, `enqueue`; `survived`: nothing, but
it logs an error."""
asked = []
"""Each context's strategy for CUDA graphs."""
caches = []
"""The cache of kernels of each context."""
lent = []
"""The address of each context's activation memory."""


class ILogger:
    Severity = IntEnum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)

    def __init__(self):
        self.started = True


TensorIOMode = IntEnum("TensorIOMode", "NONE INPUT OUTPUT", start=0)
DataType = IntEnum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8 FP8 BF16", start=0)
LayerInformationFormat = IntEnum("LayerInformationFormat", "ONELINE JSON", start=0)
CudaGraphStrategy = IntEnum("CudaGraphStrategy", "DISABLED WHOLE_GRAPH_CAPTURE", start=0)


ExecutionContextAllocationStrategy = IntEnum(
    "ExecutionContextAllocationStrategy", "STATIC ON_PROFILE_CHANGE USER_MANAGED", start=0
)


class IProfiler:
    def __init__(self):
        self.started = True


def call(function, *arguments):
    code = getattr(simulator.library(), function)(*arguments)
    assert code == 0, f"{function}: {code}"


def survive(logger, where):
    if "survived" in refusals:
        logger.log(ILogger.Severity.ERROR, f"Unable to determine GPU memory usage in {where}")


class Runtime:
    def __init__(self, logger):
        assert logger.started  # ILogger.__init__ was called
        self.logger = logger

    def deserialize_cuda_engine(self, data):
        if "read" in refusals or not data.startswith(b"{"):
            self.logger.log(ILogger.Severity.ERROR, "Serialization assertion magicTag failed")
            return None
        survive(self.logger, "reading")
        return ICudaEngine(self, json.loads(data))


class ICudaEngine:
    def __init__(self, runtime, plan):
        self.runtime, self.plan, self.logger = runtime, plan, runtime.logger
        self.names = list(plan["tensors"])
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_shape(self, name):
        return tuple(self.plan["tensors"][name][1])

    def get_tensor_dtype(self, name):
        return DataType[TYPES[self.plan["tensors"][name][0]]]

    def get_tensor_mode(self, name):
        inputs = self.plan["inputs"]
        return TensorIOMode.INPUT if name in inputs else TensorIOMode.OUTPUT

    def create_engine_inspector(self):
        return EngineInspector()

    def create_runtime_config(self):
        return IRuntimeConfig()

    @property
    def device_memory_size_v2(self):
        return ACTIVATIONS

    @property
    def device_memory_size(self):
        return ACTIVATIONS

    def create_execution_context_without_device_memory(self):
        return new_context(self, None)

    def create_execution_context(self, config):
        lent = getattr(config, "lent", config)
        assert lent is ExecutionContextAllocationStrategy.USER_MANAGED
        return new_context(self, config)


def new_context(engine, config):
    if "context" in refusals:
        engine.logger.log(ILogger.Severity.ERROR, "out of memory for activations")
        return None
    survive(engine.logger, "a context")
    asked.append(getattr(config, "cuda_graph_strategy", None))
    return IExecutionContext(engine)


class EngineInspector:
    def get_engine_information(self, form):
        assert form == LayerInformationFormat.JSON
        layers = [{"Name": "red", "Metadata": "[ONNX Layer: Gather_1]"}, {"Name": "reformat"}]
        return json.dumps({"Layers": layers})


class IRuntimeConfig:
    cuda_graph_strategy = CudaGraphStrategy.DISABLED

    def set_execution_context_allocation_strategy(self, strategy):
        self.lent = strategy

    def create_runtime_cache(self):
        return IRuntimeCache()

    def set_runtime_cache(self, cache):
        caches.append(cache)
        return True


class IRuntimeCache:
    def __init__(self):
        self.data = b""

    def deserialize(self, blob):
        valid = blob.startswith(b"kernels")
        self.data = blob if valid else b""
        return valid

    def serialize(self):
        return self.data or b"kernels"


class IExecutionContext:
    def __init__(self, engine):
        self.engine, self.addresses, self.runs = engine, {}, 0
        self.profiler = self.device_memory = None
        self.memory = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(self.memory), ctypes.c_size_t(ACTIVATIONS))

    def __del__(self):
        if self.memory.value:
            call("cuMemFree_v2", self.memory)

    def set_device_memory(self, address, size):
        assert size == ACTIVATIONS
        self.device_memory = address

    def set_tensor_address(self, name, address):
        if "address" in refusals or name not in self.engine.names or address % 256 or self.runs:
            return False
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle):
        plan, log = self.engine.plan, self.engine.logger.log
        if "enqueue" in refusals:
            log(ILogger.Severity.ERROR, "enqueueV3: an illegal kernel")
            return False
        if not stream_handle or set(self.addresses) != set(self.engine.names):
            log(ILogger.Severity.ERROR, "the default stream, or a tensor without an address")
            return False
        if not self.runs and capturing(stream_handle):
            log(ILogger.Severity.ERROR, "a first run cannot be captured")
            return False
        self.runs += 1
        assert not self.device_memory % 256
        lent.append(self.device_memory)
        write = (
            ctypes.c_uint64(self.device_memory),
            ctypes.c_ubyte(0),
            ctypes.c_size_t(ACTIVATIONS),
        )
        call("cuMemsetD8Async", *write, ctypes.c_void_p(int(stream_handle)))
        addresses = tuple(self.addresses[name] for name in ORDER if name in self.addresses)
        shape = tuple(plan["tensors"]["frame"][1])
        code = simulator.infer(
            int(stream_handle),
            addresses,
            shape,
            plan["tensors"]["anomaly_map"][1][1],
            plan["red"],
            plan["tensors"].get("input_check", (None, (0, 0)))[1][1],
        )
        if code:
            log(ILogger.Severity.ERROR, f"enqueueV3: CUDA error {code}")
        elif self.profiler is not None:
            assert self.profiler.started and not capturing(stream_handle)
            self.profiler.report_layer_time("red", float(self.runs))
            self.profiler.report_layer_time("reformat", 0.5)
        return code == 0


def capturing(stream):
    status = ctypes.c_int()
    call("cuStreamIsCapturing", ctypes.c_void_p(int(stream)), ctypes.byref(status))
    return status.value != 0


NAMES = (
    *("ILogger", "Runtime", "ICudaEngine", "IExecutionContext", "IRuntimeConfig"),
    *("TensorIOMode", "DataType", "CudaGraphStrategy", "IProfiler", "EngineInspector"),
    *("IRuntimeCache", "LayerInformationFormat", "ExecutionContextAllocationStrategy"),
)


def install(version, *, rtx=False):
    """Put a release's module where `import` finds it; once in a process, whose classes it trims."""
    module = ModuleType("tensorrt_rtx" if rtx else "tensorrt")
    module.__version__, module.__spec__ = version, ModuleSpec(module.__name__, None)
    lacking = [] if rtx else [(IRuntimeConfig, "cuda_graph_strategy")]
    release = (99, 0) if rtx else tuple(map(int, version.split(".")[:2]))
    if release < (10, 13):
        lacking.append((ICudaEngine, "create_runtime_config"))
    if release < (10, 1):
        lacking += [
            (ICudaEngine, "device_memory_size_v2"),
            (IExecutionContext, "set_device_memory"),
        ]
    if release >= (11, 0):
        lacking += [
            (ICudaEngine, "device_memory_size"),
            (ICudaEngine, "create_execution_context_without_device_memory"),
        ]
    for kind, name in lacking:
        if hasattr(kind, name):
            delattr(kind, name)
    for name in NAMES:
        old = release < (10, 0) and name == "ExecutionContextAllocationStrategy"
        if (rtx or name not in ("CudaGraphStrategy", "IRuntimeCache")) and not old:
            setattr(module, name, globals()[name])
    sys.modules[module.__name__] = module


def plan(card):
    """Return the bytes of an engine for an EngineCard."""
    red = 2 if card.graph.frame_format == "bgr" else 0
    tensors = {**card.inputs, **card.outputs}
    return json.dumps({"tensors": tensors, "inputs": list(card.inputs), "red": red}).encode()
