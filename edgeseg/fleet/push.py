"""`edgeseg push`: a run or a graph as a model, an engine as a variant of a model that is there.

A model that was pulled is pushed as it is: it keeps its digest, and so its engines.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, EngineCard, GraphCard, ModelCard, read_card
from edgeseg.errors import ConfigError, EdgesegError, ModelError
from edgeseg.files import cannot_read, quoted, shown
from edgeseg.fleet.artifact import (
    CARD as CARD_TYPE,
)
from edgeseg.fleet.artifact import (
    CONFIG,
    DONE,
    ENGINE,
    ENGINE_CARD,
    GRAPH,
    MODEL,
    PLAN,
    RANGES,
    REPORT,
    THRESHOLDS,
    Artifact,
    read_artifact,
    side_tag,
)
from edgeseg.fleet.config import PushConfig
from edgeseg.fleet.registry import Blob, Registry, blob_of, digest_of, is_content
from edgeseg.fleet.signature import sign
from edgeseg.fleet.variants import variants_of
from edgeseg.log import log
from edgeseg.progress import task
from edgeseg.quantize.calibration_file import ranges_path, read_ranges
from edgeseg.runtime.engine_files import check_file
from edgeseg.runtime.engine_pair import card_path, engine_path
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.station.following.reference import Reference, parse_reference

NAME, WEIGHTS, VERSION = (f"com.edgeseg.{each}" for each in ("name", "weights", "version"))


@dataclass(frozen=True)
class Pushed:
    """What was pushed."""

    reference: str
    """The name by which it is pulled."""
    digest: str
    files: tuple[Blob, ...]
    sent: int
    """Bytes that the registry did not have."""
    signed: bool

    def summary(self) -> str:
        """Return the names, digests and sizes."""
        lines = [f"{each.size / 1e6:9.2f} MB  {each.title}" for each in self.files]
        lines.append(f"pushed {self.reference}: {self.sent / 1e6:.2f} MB sent")
        return "\n".join([*lines, f"{self.digest}{', signed' * self.signed}"])

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        files = {each.title: each.digest for each in self.files}
        return vars(self) | {"files": files}


def push(model: Path, reference: str, config: PushConfig) -> Pushed:
    """Push a graph with what belongs to it, or an engine (or its card).

    model: an ONNX file of `edgeseg export`, an engine, or a folder of `edgeseg pull`. reference:
    with a tag. Errors: RegistryError, ConfigError, ModelError; else everything is there.
    """
    place = parse_reference(reference)
    if not place.tag or place.digest:
        raise ConfigError(
            f"{place} has no tag or has a digest (expected a tag: a digest is found, not chosen)",
            remedy=f"{place.registry}/{place.repository}:stable",
            code="registry/no-tag",
        )
    registry = Registry(place, config.access(), push=True)
    if model.is_dir():
        return _push_pulled(registry, place, model, config)
    if card_path(model).is_file() or model.suffix == ".json":
        return push_engine(registry, place, model, config.sign)
    return _push_model(registry, place, model, config)


def push_engine(
    registry: Registry, place: Reference, engine: Path, key: Path | None = None
) -> Pushed:
    """Push an engine as a variant of the model that a reference names."""
    path = engine_path(card_path(engine))
    card = read_card(card_path(engine), EngineCard)
    check_file(path, card)
    found = registry.manifest(place.target)
    if found is None:
        raise registry.missing()
    data, digest = found
    graph = read_artifact(data, MODEL).only(GRAPH)
    if graph.digest != f"sha256:{card.source_sha256}":
        raise ModelError(
            f"{shown(path)} was built from another graph than that of {place}",
            remedy=f"edgeseg pull {quoted(str(place))} --build",
            code="model/other-graph",
        )
    content = card_path(engine).read_bytes()
    config = blob_of(content, ENGINE_CARD, card_path(path).name)
    layer = Blob(PLAN, f"sha256:{card.sha256}", card.bytes, path.name)
    notes = {NAME: card.graph.name, VERSION: card.runtime_version}
    artifact = Artifact(ENGINE, config, (layer,), notes, (digest, len(data)))
    tags = [side_tag(digest, variant) for variant in variants_of(card)]
    return _sent(registry, place, artifact.to_bytes(), {config: content, layer: path}, tags, key)


def _push_model(registry: Registry, place: Reference, graph: Path, config: PushConfig) -> Pushed:
    card = read_onnx_card(graph)
    thresholds = json.dumps(_thresholds(card), indent=1, sort_keys=True).encode() + b"\n"
    first = blob_of(thresholds, THRESHOLDS, "thresholds.json")
    contents: dict[Blob, Path | bytes] = {first: thresholds}
    contents |= {
        blob_of(path, kind, title): path for path, kind, title in _files(graph, card, config)
    }
    notes = {NAME: card.name, WEIGHTS: card.weights_sha256}
    artifact = Artifact(MODEL, first, tuple(contents)[1:], notes)
    return _sent(registry, place, artifact.to_bytes(), contents, [place.tag], config.sign)


def _push_pulled(registry: Registry, place: Reference, folder: Path, config: PushConfig) -> Pushed:
    """Push a model that was pulled; what was not pulled of it has to be in the registry."""
    if config.calibration is not None:
        raise ConfigError(
            "--calibration is for a run or a graph (found a model that was pulled)",
            remedy="leave out --calibration",
            code="registry/pulled",
        )
    try:
        data = (folder / DONE).read_bytes()
    except OSError as error:
        raise cannot_read(folder / DONE, error) from error
    artifact = read_artifact(data, MODEL)
    contents: dict[Blob, Path | bytes] = {}
    for blob in (artifact.config, *artifact.layers):
        path = folder / (blob.title or CONFIG)
        if path.is_file() and is_content(path, blob):
            contents[blob] = path
        elif path.is_file() or not registry.has(blob.digest):
            raise ModelError(
                f"{shown(path)} is not what was pulled",
                remedy="pull it again: edgeseg pull REFERENCE --to a new folder",
                code="model/damaged",
            )
    return _sent(registry, place, data, contents, [place.tag], config.sign)


def _sent(
    registry: Registry,
    place: Reference,
    data: bytes,
    contents: dict[Blob, Path | bytes],
    tags: list[str],
    key: Path | None,
) -> Pushed:
    """Send contents, signature, then the manifest: a tag never names what is not there."""
    with task("push", len(contents)) as bar:
        for blob, content in contents.items():
            registry.send(blob, content)
            bar.advance()
    for tag in tags:
        if key is not None:
            sign(registry, digest_of(data), len(data), tag, key)
        registry.put_manifest(data, tag)
    name = f"{place.registry}/{place.repository}:{tags[0]}"
    return Pushed(name, digest_of(data), tuple(contents), registry.sent, key is not None)


def _files(graph: Path, card: GraphCard, config: PushConfig) -> Iterator[tuple[Path, str, str]]:
    """Yield what belongs to a graph: path, media type, title."""
    yield graph, GRAPH, f"{card.name}.onnx"
    run = graph.parent
    if (run / CARD).is_file() and read_card(run / CARD, ModelCard).weights_sha256 == (
        card.weights_sha256
    ):
        yield run / CARD, CARD_TYPE, "model-card.json"
        if (run / "report.html").is_file():
            yield run / "report.html", REPORT, "report.html"
    ranges = config.calibration or ranges_path(card.name)
    if config.calibration is None and not ranges.is_file():
        return
    try:
        read_ranges(ranges, graph)
    except EdgesegError as error:
        if config.calibration is not None:
            raise
        log.warning(f"the calibration file is left out: {error.problem}")
        return
    yield ranges, RANGES, f"{card.name}.ranges.json"


def _thresholds(card: GraphCard) -> dict[str, Any]:
    """Return how a model decides, for people and programs that read the registry."""
    names = ("name", "model", "weights_sha256", "threshold", "image_threshold", "frame_format")
    found = {name: getattr(card, name) for name in names}
    checks = [asdict(each) for each in card.input_check]
    return found | {"rule": asdict(card.rule), "frame_size": card.frame_size, "input_check": checks}
