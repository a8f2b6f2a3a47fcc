"""What edgeseg uses of TensorRT's Python interface: members, and the arguments of calls.

`Builder.create_network(flags)` is a call with one argument by position, named as in the bindings;
without parentheses it is an attribute, or a member of an enumeration.
"""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "edgeseg"

# By the releases that have them, as edgeseg.machine.support says; no other release has them.
USED = {
    "all": """
        ILogger.__init__() ILogger.log(severity,msg) ILogger.Severity.ERROR
        ILogger.Severity.INTERNAL_ERROR ILogger.Severity.WARNING
        TensorIOMode.INPUT float32 uint8 __version__
        Builder.__init__(logger) Builder.create_network(flags) Builder.create_builder_config()
        Builder.build_serialized_network(network,config)
        OnnxParser.__init__(network,logger) OnnxParser.parse(model) OnnxParser.num_errors
        OnnxParser.get_error(index) ParserError.desc()
        IBuilderConfig.profiling_verbosity IBuilderConfig.set_memory_pool_limit(pool,pool_size)
        IBuilderConfig.clear_flag(flag) IBuilderConfig.set_flag(flag)
        IBuilderConfig.builder_optimization_level IBuilderConfig.get_timing_cache()
        IBuilderConfig.create_timing_cache(serialized_timing_cache)
        IBuilderConfig.set_timing_cache(cache,ignore_mismatch) ITimingCache.serialize()
        ProfilingVerbosity.DETAILED MemoryPoolType.WORKSPACE BuilderFlag.TF32
        BuilderFlag.VERSION_COMPATIBLE BuilderFlag.EXCLUDE_LEAN_RUNTIME
        INetworkDefinition.num_layers INetworkDefinition.get_layer(index)
        ILayer.name ILayer.num_outputs ILayer.get_output(index) ITensor.dtype
        Runtime.__init__(logger) Runtime.deserialize_cuda_engine(serialized_engine)
        ICudaEngine.num_io_tensors ICudaEngine.get_tensor_name(index)
        ICudaEngine.get_tensor_dtype(name) ICudaEngine.get_tensor_mode(name)
        ICudaEngine.get_tensor_shape(name) ICudaEngine.create_engine_inspector()
        EngineInspector.get_engine_information(format) LayerInformationFormat.JSON
        IExecutionContext.set_tensor_address(name,memory)
        IExecutionContext.execute_async_v3(stream_handle) IExecutionContext.profiler
        IExecutionContext.device_memory
        IProfiler.__init__() IProfiler.report_layer_time(layer_name,ms)
        DataType.FLOAT DataType.HALF DataType.UINT8 DataType.INT32
    """,
    "weak": """
        BuilderFlag.FP16 BuilderFlag.INT8 BuilderFlag.OBEY_PRECISION_CONSTRAINTS
        ILayer.precision ILayer.set_output_type(index,dtype)
    """,
    "strong": """
        NetworkDefinitionCreationFlag.STRONGLY_TYPED
        ExecutionContextAllocationStrategy.USER_MANAGED ICudaEngine.device_memory_size_v2
        ICudaEngine.create_execution_context(strategy)
        IExecutionContext.set_device_memory(memory,size)
        IBuilderConfig.progress_monitor IProgressMonitor.__init__()
        IProgressMonitor.phase_start(phase_name,parent_phase,num_steps)
        IProgressMonitor.step_complete(phase_name,step) IProgressMonitor.phase_finish(phase_name)
    """,
    "ahead_of_time": """
        IBuilderConfig.num_compute_capabilities ComputeCapability.SM86
        IBuilderConfig.set_compute_capability(compute_capability,index)
        CudaGraphStrategy.WHOLE_GRAPH_CAPTURE IRuntimeConfig.cuda_graph_strategy
        IRuntimeConfig.create_runtime_cache() IRuntimeConfig.set_runtime_cache(cache)
        IRuntimeCache.serialize() IRuntimeCache.deserialize(blob)
    """,
}
# Others have these too, and edgeseg does not use them there.
ALSO_ELSEWHERE = {
    "implicit_batch": """
        NetworkDefinitionCreationFlag.EXPLICIT_BATCH ICudaEngine.device_memory_size
        ICudaEngine.create_execution_context_without_device_memory()
    """,
    "ahead_of_time": """
        ICudaEngine.create_runtime_config() ICudaEngine.create_execution_context(runtime_config)
        IRuntimeConfig.set_execution_context_allocation_strategy(strategy)
    """,
}
# Methods that edgeseg overrides, and what is looked up by a name of another place.
NOT_IN_SOURCES = {
    "IProgressMonitor.phase_start", "IProgressMonitor.step_complete",
    "IProgressMonitor.phase_finish",
    "Builder.__init__", "Runtime.__init__", "ILogger.log", "IProfiler.report_layer_time",
    "ILogger.Severity.ERROR", "ILogger.Severity.INTERNAL_ERROR", "ILogger.Severity.WARNING",
    "ComputeCapability.SM86", "DataType.FLOAT", "DataType.HALF", "DataType.UINT8",
    "DataType.INT32",
}  # fmt: skip
# Expressions of each file -> their class in TensorRT; "" is the module.
EXPRESSIONS = {
    "runtime/tensorrt.py": {
        "library": "", "self.trt": "", "self.trt.ComputeCapability": "ComputeCapability",
        "flags": "NetworkDefinitionCreationFlag", "engine": "ICudaEngine",
        "options": "IRuntimeConfig", "context": "IExecutionContext",
    },
    "runtime/tensorrt_engine.py": {
        "library": "", "self.api.trt": "", "self._runtime": "Runtime",
        "self._engine": "ICudaEngine", "engine": "ICudaEngine", "options": "IRuntimeConfig",
        "context": "IExecutionContext", "self._context": "IExecutionContext",
        "inspector": "EngineInspector",
    },
    "runtime/tensorrt_backend.py": {"contexts[0]": "IExecutionContext"},
    "runtime/tensorrt_layers.py": {"trt": ""},
    "engine/tensorrt.py": {
        "library": "", "builder": "Builder", "network": "INetworkDefinition",
        "parser": "OnnxParser", "parser.get_error(i)": "ParserError",
        "options": "IBuilderConfig", "layer": "ILayer", "layer.get_output(k)": "ITensor",
        "runtime": "Runtime", "engine": "ICudaEngine", "api.trt": "",
    },
    "engine/builder_options.py": {
        "library": "", "options": "IBuilderConfig", "cache": "ITimingCache",
    },
    "cuda/kernel_cache.py": {"options": "IRuntimeConfig", "self._cache": "IRuntimeCache"},
    "engine/torch_tensorrt.py": {"self.api.trt": ""},
}  # fmt: skip
# Attributes of edgeseg's objects of these names.
OWN = {
    "ICudaEngine": {
        *("api", "capture", "compute", "context", "cuda", "errors", "failed", "kernels"),
    },
}


def uses(table):
    """Yield (member, names of arguments or None) of a table's text."""
    for word in table.split():
        member, parenthesis, arguments = word.partition("(")
        names = arguments.removesuffix(")").split(",") if arguments != ")" else []
        yield member, names if parenthesis else None


def used_in_sources(room=""):
    """Return the members of TensorRT's classes that the sources of a room name."""
    found = set()
    for file, expressions in EXPRESSIONS.items():
        if not file.startswith(room):
            continue
        for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            if (kind := expressions.get(ast.unparse(node.value))) is not None:
                if node.attr not in OWN.get(kind, ()):
                    found.add(f"{kind}.{node.attr}".lstrip("."))
            elif isinstance(node.value, ast.Attribute):  # library.BuilderFlag.TF32
                if expressions.get(ast.unparse(node.value.value)) == "":
                    found.add(f"{node.value.attr}.{node.attr}")
    return found


def accepts(signature, names):
    """Whether an overload of a documented signature takes arguments of these names by position."""
    for _, arguments in re.findall(r"\b(\w+)\(self: [^,()]+(?:, )?(.*?)\) -> ", signature):
        found = re.findall(r"(\w+): ([^=]*?)( = .*?)?(?:, (?=\w+: )|$)", arguments)
        needed = [name for name, _, default in found if not default]
        if [name for name, *_ in found][: len(names)] == names and len(needed) <= len(names):
            return True
    return False
