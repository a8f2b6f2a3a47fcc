"""What a server is given of a graph or an engine: its backend, its files and its card."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from edgeseg.cards import EngineCard, GraphCard, read_card
from edgeseg.config import RuntimeName
from edgeseg.errors import ConfigError, ModelError
from edgeseg.files import quoted, sha256, shown
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import require
from edgeseg.runtime.engine_files import check_file
from edgeseg.runtime.engine_pair import card_path, engine_path, is_engine
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.serving.config import BackendName

BACKENDS: dict[RuntimeName, str] = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
}
FILES = {"onnxruntime": "model.onnx", "python": "model.onnx", "tensorrt": "model.plan"}
"""The names under which the backends look for a model; OpenVINO's are two."""
MODEL = Path(__file__).with_name("triton_model.py")
SPECIAL = re.compile(r"[^\w.~-]", re.ASCII)
"""In a name: Triton decodes no address that it is asked for."""
SHELL = re.compile(r"[^\w/.~+,:=@%-]")
"""In a path: Triton's Python backend gives the path of a model to a shell, without quotes."""


@dataclass(frozen=True, kw_only=True)
class Servable:
    """A graph or an engine, and the backend that runs it in the server."""

    path: Path
    card: GraphCard
    backend: str
    sha256: str
    has_default: bool
    """Whether a request may leave out the threshold."""
    bf16: bool = False
    """Of an engine of OpenVINO: whether it was verified in bfloat16."""
    needs: str = ""
    """What the server has to have for an engine, in words."""

    @property
    def name(self) -> str:
        """The name in the server: the card's, or one like it where that has special characters."""
        name = self.card.name
        if not SPECIAL.search(name):
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()
        return f"{SPECIAL.sub('_', name)}-{digest[:8]}"

    def write(self, folder: Path) -> None:
        """Write the model's files into the folder of a version."""
        if self.backend == "openvino":
            _write_openvino(self.path, folder)
            return
        (folder / FILES[self.backend]).write_bytes(self.path.read_bytes())
        if self.backend == "python":
            (folder / "model.py").write_bytes(MODEL.read_bytes())


def servable_of(path: Path, backend: BackendName | None) -> Servable:
    """Return what to serve of an ONNX file or an engine.

    Errors: ConfigError for a backend that does not run it; ModelError for a model whose frames need
    work on the CPU before the graph; EngineMismatch for an engine that was changed.
    """
    servable = _engine(path, backend) if is_engine(path) else _graph(path, backend)
    if servable.card.roi is not None and servable.card.roi.locate is not None:
        raise ModelError(
            f"{servable.card.name} finds the part in the picture before the graph runs, which a "
            "server does not.",
            remedy="run it by edgeseg.load where the frames are, or train without --locate",
            code="serving/locates",
        )
    return servable


def _graph(path: Path, backend: BackendName | None) -> Servable:
    return Servable(
        path=path,
        card=read_onnx_card(path),
        backend=backend or "onnxruntime",
        sha256=sha256(path),
        has_default=True,  # an initializer, which this backend takes for an optional input
    )


def _engine(path: Path, backend: BackendName | None) -> Servable:
    engine = engine_path(card_path(path))
    card = read_card(card_path(path), EngineCard)
    check_file(engine, card, this_machine())
    if card.runtime not in BACKENDS or card.lean:
        kind = "an engine for the lean runtime" if card.lean else "an engine of TensorRT-RTX"
        raise ModelError(
            f"{shown(engine)} is {kind}, for which Triton has no backend.",
            remedy="edgeseg build-engine --runtime tensorrt, or serve the ONNX file of the run",
            code="serving/no-backend",
        )
    fits = card.runtime == "onnxruntime"
    if backend is not None and not fits:  # OpenVINO and TensorRT have no default for an input
        raise ConfigError(
            f"invalid backend: {backend} (the engine is for {card.runtime})",
            remedy="leave out --backend, or serve the run: edgeseg export "
            f"{quoted(card.graph.name)} --to triton DIR",
            code="config/not-a-choice",
        )
    chosen = backend or BACKENDS[card.runtime]
    if chosen == "openvino" and card.precision != "bf16":
        log.warning(
            "Triton's OpenVINO backend cannot be told to compute in FP32: on a processor with "
            f"bfloat16 the scores of {shown(engine)} differ from those it was verified with"
        )
    in_file = read_onnx_card(engine).threshold if fits else None
    needs = f"TensorRT {card.runtime_version} on {card.target}" * (chosen == "tensorrt")
    return Servable(
        path=engine,
        card=card.graph,
        backend=chosen,
        sha256=card.sha256,
        has_default=chosen == "python" or in_file == card.graph.threshold,
        bf16=card.precision == "bf16",
        needs=needs,
    )


def _write_openvino(graph: Path, folder: Path) -> None:
    """Write OpenVINO's own format, in which `threshold` is an input."""
    from edgeseg.runtime.openvino import read_model

    ov = require("openvino", extra="openvino")
    try:
        ov.save_model(read_model(graph), folder / "model.xml", compress_to_fp16=False)
    except RuntimeError as error:
        raise ModelError(
            f"OpenVINO {ov.__version__} cannot convert {shown(graph)}: {error}",
            remedy="serve the ONNX file of the run",
            code="model/unreadable",
        ) from error
