"""build_engine via torch-tensorrt, against a recorder in place of the package: no GPU, no engine.

The signature is that of torch-tensorrt 2.14.0. What is exported, is exported by PyTorch.
"""

import dataclasses
import shutil
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from edgeseg.cards import EngineCard, read_card
from edgeseg.config import BuildConfig
from edgeseg.engine import build_engine as engine
from edgeseg.engine import torch_tensorrt
from edgeseg.engine.build_engine import build_engine
from edgeseg.engine.torch_tensorrt import fp16_convolutions
from edgeseg.errors import BuildError, ConfigError, MissingExtra, ModelError
from edgeseg.graph.files import read_graph
from edgeseg.loading import open_run
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import install_command
from edgeseg.quantize.fp16 import half_nodes
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.engine_files import rebuild
from tests.kit.errors import fails
from tests.kit.logs import logged

aten = torch.ops.aten
GPU = dataclasses.replace(this_machine(), gpu="RTX A2000", compute_capability="8.6", gpu_note="")


class Recorder(ModuleType):
    """`torch_tensorrt`: `.calls` holds what was converted, `.converters` what was registered."""

    def __init__(self, package="tensorrt"):
        super().__init__("torch_tensorrt")
        self.__version__, self.tensorrt_package_name = "2.14.0", package
        self.calls, self.converters = [], []

        def convert_exported_program_to_serialized_trt_engine(
            exported_program,
            inputs=None,
            *,
            arg_inputs=None,
            device=None,
            disable_tf32=False,
            workspace_size=0,
            arg_input_binding_names=None,
            output_binding_names=None,
        ):
            self.calls.append(SimpleNamespace(**locals()))
            return b"a plan"

        def dynamo_tensorrt_converter(key, *, capability_validator, priority):
            return lambda made: self.converters.append((key, capability_validator, priority, made))

        self.dynamo = SimpleNamespace(
            convert_exported_program_to_serialized_trt_engine=(
                convert_exported_program_to_serialized_trt_engine
            ),
            conversion=SimpleNamespace(
                dynamo_tensorrt_converter=dynamo_tensorrt_converter,
                ConverterPriority=SimpleNamespace(HIGH="high"),
            ),
        )


def host(patch):
    """Make a GPU host with Torch-TensorRT, but for the GPU: the export is the CPU's."""
    recorder = Recorder()
    library = SimpleNamespace(__version__="11.1.0.106", uint8="uint8")
    patch.setitem(sys.modules, "torch_tensorrt", recorder)
    patch.setattr(trt, "load", lambda runtime, **lean: trt.Api(trt.FLAVORS[runtime], library))
    patch.setattr(engine, "this_machine", lambda device=0: GPU)
    patch.setattr(torch.cuda, "is_available", lambda: True)
    patch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    patch.setattr(torch_tensorrt, "_device", lambda config: "cpu")
    return recorder


@pytest.fixture
def package(monkeypatch):
    return host(monkeypatch)


def build(exported, tmp_path, **settings):
    config = BuildConfig(via="torch-tensorrt", **settings)
    return build_engine(exported.graph, config, out=tmp_path / "engines")


@pytest.fixture(scope="module")
def made(exported, tmp_path_factory):
    """By precision: what was built, what was said, what the recorder holds."""
    found = {}
    for precision in ("fp32", "fp16"):
        with pytest.MonkeyPatch.context() as patch:
            recorder = host(patch)
            folder = tmp_path_factory.mktemp(precision)
            with logged() as said:
                built = build(exported, folder, precision=precision)
        found[precision] = SimpleNamespace(built=built, said=said, recorder=recorder)
    return found


@pytest.fixture
def call(made):
    """What Torch-TensorRT is told, by precision."""

    def told(precision):
        (only,) = made[precision].recorder.calls
        return only

    return told


def convolutions(program):
    """Path of each convolution -> the type that it reads."""
    names = program.graph_signature.inputs_to_parameters
    nodes = [node for node in program.graph.nodes if node.target is aten.conv2d.default]
    return {
        names[node.args[1].name].removesuffix(".weight"): node.args[0].meta["val"].dtype
        for node in nodes
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_program_has_the_tensors_of_the_graph(call, precision):
    told = call(precision)
    assert told.arg_input_binding_names == ("frame", "threshold")
    assert told.output_binding_names == ("mask", "score", "anomaly_map")
    frame, threshold = told.arg_inputs
    assert (frame.dtype, tuple(frame.shape)) == (torch.uint8, (1, 48, 80, 3))
    assert (threshold.dtype, tuple(threshold.shape)) == (torch.float32, (1,))
    (end,) = (n for n in told.exported_program.graph.nodes if n.op == "output")
    outputs = [(n.meta["val"].dtype, tuple(n.meta["val"].shape)) for n in end.args[0]]
    assert outputs == [
        (torch.uint8, (1, 48, 80)),
        (torch.float32, (1,)),
        (torch.float32, (1, 64, 64)),
    ]


def test_binding_names_have_the_structure_of_the_program(call):
    told = call("fp32")
    spec = told.exported_program.call_spec
    arguments, keywords = spec.in_spec.children()
    flatten = torch.utils._pytree.tree_flatten
    assert flatten(told.arg_input_binding_names)[1] == arguments
    assert flatten(told.output_binding_names)[1] == spec.out_spec
    assert keywords.num_leaves == 0


def test_program_in_fp32_is_the_module(call):
    told = call("fp32")
    assert told.disable_tf32 is True
    assert told.workspace_size == 1 << 30
    types = {
        n.meta["val"].dtype
        for n in told.exported_program.graph.nodes
        if "val" in n.meta and isinstance(n.meta["val"], torch.Tensor)
    }
    assert torch.float16 not in types


def test_program_has_the_fp16_convolutions_of_the_graph(call, exported):
    told = call("fp16")
    assert told.disable_tf32 is False
    model = read_graph(exported.graph)[0]
    halves = half_nodes(model)
    expected = {
        f"detector.{n.name}": torch.float16 if n.name in halves else torch.float32
        for n in model.graph.node
        if n.op_type == "Conv"
    }
    found = convolutions(told.exported_program)
    assert {name: found[name] for name in expected} == expected
    norms = [
        n.args[0].meta["val"].dtype
        for n in told.exported_program.graph.nodes
        if n.target is aten.linalg_vector_norm.default
    ]
    assert norms == [torch.float32] * 6


def test_lower_refuses_a_convolution_that_the_module_lacks(exported):
    with (
        open_run(exported.graph.parent, frame_size=(48, 80), frame_format="bgr") as backend,
        fails(BuildError, "build/module-mismatch"),
    ):
        torch_tensorrt._lower(backend.module, frozenset({"head.conv9"}))


def test_fp16_convolutions_are_those_of_the_module(exported):
    model = read_graph(exported.graph)[0]
    every = {n.name for n in model.graph.node if n.op_type == "Conv"}
    assert fp16_convolutions(model, frozenset()) == every
    kept = frozenset({"head.blocks.0.conv1.kept"})
    assert fp16_convolutions(model, kept) == every - kept


def test_program_in_fp16_gives_the_outputs_of_the_run(call, exported):
    told = call("fp16")
    with (
        open_run(exported.graph.parent, frame_size=(48, 80), frame_format="bgr") as backend,
        torch.inference_mode(),
    ):
        generator = torch.Generator().manual_seed(0)
        frame = torch.randint(0, 256, (1, 48, 80, 3), dtype=torch.uint8, generator=generator)
        inputs = (frame, torch.full((1,), 0.5))
        _, score, anomaly_map = told.exported_program.module()(*inputs)
        _, exact_score, exact = backend.module(*inputs)
    torch.testing.assert_close(anomaly_map, exact, atol=2e-3, rtol=0)
    torch.testing.assert_close(score, exact_score, atol=2e-3, rtol=0)
    assert not torch.equal(anomaly_map, exact)


def test_add_uint8_converter(made):
    ((key, accepts, priority, convert),) = made["fp32"].recorder.converters
    assert (key, priority) == (aten._to_copy.default, "high")
    kinds = [torch.uint8, torch.float32]
    assert [accepts(SimpleNamespace(kwargs={"dtype": k}), None) for k in kinds] == [True, False]
    layer = SimpleNamespace(get_output=lambda index: f"output {index}")
    casts = []

    def add_cast(tensor, kind):
        casts.append((tensor, kind))
        return layer

    ctx = SimpleNamespace(net=SimpleNamespace(add_cast=add_cast))
    assert convert(ctx, key, ("white or black",), {"dtype": torch.uint8}, "mask") == "output 0"
    assert casts == [("white or black", "uint8")]


def test_build_engine_via_torch_tensorrt_writes_a_card(made):
    built, said = made["fp16"].built, made["fp16"].said
    assert built.path.name == "screws-fp16-torch-trt-sm86.engine"
    assert built.path.read_bytes() == b"a plan"
    card = read_card(built.path.with_suffix(".json"), EngineCard)
    assert (card.runtime, card.runtime_version, card.target) == ("tensorrt", "11.1.0.106", "sm86")
    assert (card.via, card.typing, card.layers) == ("torch-tensorrt", "strong", {})
    assert list(card.inputs) == ["frame", "threshold"]
    assert card.outputs["mask"] == ["uint8", [1, 48, 80]]
    assert card.parity["line"].startswith(
        "the engine was not run on a GPU; the equally typed graph on the CPU: map difference "
    )
    assert rebuild(card, GPU).endswith("--runtime tensorrt --via torch-tensorrt")
    assert "via torch-tensorrt" in built.summary().splitlines()[0]
    assert any("their types in the engine are not checked" in line for line in said)
    assert any("not tested on a GPU" in line for line in said)


def test_rebuild_of_an_engine_via_onnx(made):
    card = made["fp32"].built.card
    assert "--via" not in rebuild(dataclasses.replace(card, via="onnx"), GPU)


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "int8"},
        {"precision": "bf16"},
        {"runtime": "openvino"},
        {"compute_capability": "8.9"},
        {"runtime": "tensorrt-rtx"},  # the package here builds for tensorrt
    ],
)
def test_open_builder_refuses_settings(package, exported, tmp_path, settings):
    with fails(ConfigError, "config/torch-tensorrt") as caught:
        build(exported, tmp_path, **settings)
    assert next(iter(settings.values())) in caught.value.problem
    assert "--via onnx" in caught.value.remedy
    assert package.calls == []


def test_open_builder_with_the_rtx_package(exported, tmp_path, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_tensorrt", Recorder("tensorrt_rtx"))
    library = SimpleNamespace(__version__="1.7.1.116", uint8="uint8")
    monkeypatch.setattr(trt, "load", lambda runtime, **lean: trt.Api(trt.FLAVORS[runtime], library))
    built = build(exported, tmp_path, precision="fp32")
    assert built.card.runtime == "tensorrt-rtx"
    assert built.path.name == "screws-fp32-torch-rtx-sm86.engine"


def test_open_builder_needs_a_gpu(exported, tmp_path, package, monkeypatch):
    bare = dataclasses.replace(GPU, gpu=None, compute_capability=None, gpu_note="no NVIDIA GPU")
    monkeypatch.setattr(engine, "this_machine", lambda device=0: bare)
    with fails(ConfigError, "build/no-gpu") as caught:
        build(exported, tmp_path)
    assert caught.value.remedy == "--via onnx"


def test_open_builder_needs_a_torch_with_cuda(exported, tmp_path, package, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with fails(ConfigError, "build/no-gpu"):
        build(exported, tmp_path)


def test_open_builder_without_the_package(exported, tmp_path, package, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(MissingExtra, match="torch_tensorrt") as caught:
        build(exported, tmp_path)
    assert caught.value.remedy == install_command("torch-tensorrt")


def test_open_builder_with_a_broken_package(exported, tmp_path, package, monkeypatch):
    (tmp_path / "torch_tensorrt.py").write_text("raise Exception('no libnvinfer.so.11')")
    monkeypatch.delitem(sys.modules, "torch_tensorrt")
    monkeypatch.syspath_prepend(tmp_path)
    with fails(MissingExtra, "extra/broken") as caught:
        build(exported, tmp_path)
    assert "no libnvinfer.so.11" in caught.value.problem


def test_open_builder_refuses_an_old_package(exported, tmp_path, package):
    package.__version__ = "2.13.0"
    package.dynamo.convert_exported_program_to_serialized_trt_engine = lambda program: b""
    with fails(MissingExtra, "extra/too-old"):
        build(exported, tmp_path)


def test_open_builder_refuses_a_graph_without_its_run(exported, tmp_path, package):
    lone = tmp_path / "lone.onnx"
    shutil.copy(exported.graph, lone)
    with fails(ModelError, "model/no-run"):
        build(dataclasses.replace(exported, graph=lone), tmp_path)


def test_open_builder_refuses_a_graph_of_other_weights(exported, tmp_path, package):
    run = shutil.copytree(exported.graph.parent, tmp_path / "screws")
    card = (run / "card.json").read_text()
    (run / "card.json").write_text(card.replace(exported.card.weights_sha256, "0" * 64))
    with fails(ModelError, "model/no-run"):
        build(dataclasses.replace(exported, graph=run / exported.graph.name), tmp_path)


def test_build_that_fails_names_the_other_way(exported, tmp_path, package):
    def broken(program, *, output_binding_names=None, **settings):
        raise RuntimeError("no converter for aten.cat")

    package.dynamo.convert_exported_program_to_serialized_trt_engine = broken
    with fails(BuildError, "build/torch-tensorrt") as e:
        build(exported, tmp_path, precision="fp32")
    assert "no converter for aten.cat" in e.value.problem
    assert e.value.remedy == "--via onnx"
    assert list(tmp_path.glob("engines/*")) == []
