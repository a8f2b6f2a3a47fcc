"""`edgeseg pull`: a model by tag or digest, and the engine that fits this machine.

models/bottle-0123456789ab/
  bottle.onnx, model-card.json, bottle.ranges.json, report.html, thresholds.json
  bottle-fp16-openvino-cpu.onnx, .json       the engine, pulled or built
  artifact.json                              the manifest, written last: the rest is complete
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.cards import EngineCard, read_card
from edgeseg.config import BuildConfig, Precision, RuntimeName
from edgeseg.errors import EdgesegError, EngineMismatch, RegistryError, WriteError
from edgeseg.files import check_room, check_writable, locked, shown, write_atomic
from edgeseg.fleet.artifact import (
    CARD,
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
from edgeseg.fleet.config import PullConfig
from edgeseg.fleet.push import push_engine
from edgeseg.fleet.registry import Blob, Registry
from edgeseg.fleet.signature import verify
from edgeseg.fleet.variants import variants_for
from edgeseg.log import log
from edgeseg.machine.facts import Machine, this_machine
from edgeseg.progress import task
from edgeseg.runtime.engine_files import check_engine
from edgeseg.runtime.engine_pair import card_path
from edgeseg.station.following.reference import Reference, parse_reference

FILES = {GRAPH: ".onnx", CARD: ".json", RANGES: ".json", REPORT: ".html"}
"""What is pulled of a model, and how its names end."""
ENGINES = (".onnx", ".engine")
DIGITS = 12  # of a digest, in the name of a folder
SPARE = 64 << 20  # bytes that a disk keeps free
PULLED = Path("models")


@dataclass(frozen=True)
class PulledModel:
    """A model on this machine."""

    folder: Path
    digest: str
    artifact: Artifact
    received: int
    """Bytes that were not here."""

    @property
    def graph(self) -> Path:
        """Its graph."""
        return self.folder / self.artifact.only(GRAPH).title

    @property
    def ranges(self) -> Path | None:
        """Its calibration file."""
        found = [each.title for each in self.artifact.layers if each.media_type == RANGES]
        return self.folder / found[0] if found else None


@dataclass(frozen=True)
class PullReport:
    """A model on this machine, and its engine."""

    reference: str
    digest: str
    folder: Path
    graph: Path
    engine: Path | None
    how: str
    """`pulled`, `built` or `here`; empty without an engine."""
    received: int

    def summary(self) -> str:
        """Return where everything is."""
        lines = [f"{self.reference}: {self.digest}", f"graph: {self.graph}"]
        if self.engine is None:
            lines.append("engine: none fits this machine; --build builds one")
        else:
            lines.append(f"engine: {self.engine} ({self.how})")
        return "\n".join([*lines, f"received: {self.received / 1e6:.2f} MB"])

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return {name: str(v) if isinstance(v, Path) else v for name, v in vars(self).items()}


def pull(reference: str, config: PullConfig) -> PullReport:
    """Pull a model, and pull or build its engine.

    Errors: RegistryError; WriteError: a folder of something else, a full disk; of builds.
    """
    place = parse_reference(reference)
    registry = Registry(place, config.access(), push=config.push)
    model = pull_model(registry, place, config.to, key=config.key)
    engine, how = engine_for(
        registry,
        model,
        precision=config.precision,
        runtime=config.runtime,
        device=config.device,
        build=config.build,
        push=config.push,
        key=config.key,
    )
    received = registry.received
    return PullReport(str(place), model.digest, model.folder, model.graph, engine, how, received)


def pull_model(
    registry: Registry,
    place: Reference,
    folder: Path | None = None,
    *,
    key: Path | None = None,
    left_out: Collection[str] = (),
) -> PulledModel:
    """Pull the files of a model to a folder; left_out: media types that are not needed.

    folder: new, empty, or of the same model, of which only what is missing or damaged is pulled;
    None: one named by the digest.
    """
    found = registry.manifest(place.target)
    if found is None:
        raise registry.missing()
    data, digest = found
    if key is not None:
        verify(registry, digest, place.tag, key)
    artifact = read_artifact(data, MODEL)
    artifact.only(GRAPH)
    folder = folder or PULLED / f"{place.name}-{folder_name(digest)}"
    wanted = [each for each in artifact.layers if each.media_type in FILES.keys() - set(left_out)]
    _check_names(wanted)
    wanted.append(_titled(artifact.config, THRESHOLDS, CONFIG))
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _check_folder(folder, wanted, data)
        _check_room(folder, wanted)
        before = registry.received
        with task("pull", len(wanted)) as bar:
            for each in wanted:
                registry.fetch(each, folder / each.title)
                bar.advance()
        write_atomic(folder / DONE, data)
    return PulledModel(folder, digest, artifact, registry.received - before)


def folder_name(digest: str) -> str:
    """Return the name of the folder that a station has for a model."""
    return digest[7 : 7 + DIGITS]


def engine_for(
    registry: Registry,
    model: PulledModel,
    *,
    precision: Precision,
    runtime: RuntimeName | None,
    device: int,
    build: bool,
    push: bool = False,
    key: Path | None = None,
) -> tuple[Path | None, str]:
    """Return an engine of a model that runs here, and whether it was here, pulled or built."""
    here = this_machine(device)
    kept = _kept(model, precision, runtime, here)
    if kept is not None:
        return kept, "here"
    for variant in variants_for(here, precision, runtime):
        found = _pulled_engine(registry, model, side_tag(model.digest, variant), here, key)
        if found is not None:
            return found, "pulled"
    if not build:
        return None, ""
    from edgeseg.engine.build_engine import build_engine  # loads ONNX

    config = BuildConfig(precision=precision, runtime=runtime, device=device, ranges=model.ranges)
    engine = build_engine(model.graph, config, out=model.folder).path
    if push:
        place = Reference(
            registry.reference.registry, registry.reference.repository, digest=model.digest
        )
        try:
            push_engine(registry, place, engine)
        except EdgesegError as error:
            log.warning(f"the engine was not pushed: {error.problem}")
    return engine, "built"


def _pulled_engine(
    registry: Registry, model: PulledModel, tag: str, here: Machine, key: Path | None
) -> Path | None:
    """Pull an engine; None: there is none, or it cannot be used, which is logged."""
    found = registry.manifest(tag)
    if found is None:
        return None
    data, digest = found
    try:
        if key is not None:
            verify(registry, digest, tag, key)
        artifact = read_artifact(data, ENGINE)
        layer, card = artifact.only(PLAN), _titled(artifact.config, ENGINE_CARD, "")
        path = model.folder / layer.title
        taken = {each.title for each in model.artifact.layers} | {DONE, CONFIG}
        if path.suffix not in ENGINES or {path.name, f"{path.stem}.json"} & taken:
            raise EngineMismatch(
                f"it has the name {ascii(path.name)[:80]}",
                remedy="push it again",
                code="engine/name",
            )
        _check_room(model.folder, (layer,))
        registry.fetch(layer, path)
        registry.fetch(card, card_path(path))
        engine = check_engine(path, here)
        graph = model.artifact.only(GRAPH)
        if graph.digest != f"sha256:{engine.source_sha256}":
            raise EngineMismatch(
                f"{tag} was built from another graph", remedy="push it again", code="engine/graph"
            )
    except WriteError:
        raise
    except EdgesegError as error:
        log.warning(f"the engine {tag} of the registry is not used: {error.problem}")
        return None
    return path


def _kept(model: PulledModel, precision: str, runtime: str | None, here: Machine) -> Path | None:
    """Return an engine that is in the folder already, and runs here."""
    source = model.artifact.only(GRAPH).digest
    for path in sorted(model.folder.glob("*.json")):
        try:
            card = read_card(path, EngineCard)
            fits = card.precision == precision and runtime in (None, card.runtime)
            if fits and f"sha256:{card.source_sha256}" == source:
                check_engine(path, here)
                return path.with_suffix(Path(card.file).suffix)
        except EdgesegError:  # the other documents, and what was left incomplete
            continue
    return None


def _titled(blob: Blob, media_type: str, title: str) -> Blob:
    """Return the config of a manifest, which has no title of its own, under one."""
    if blob.media_type != media_type:
        raise RegistryError(
            f"its config is {ascii(blob.media_type)[:80]} (expected {media_type})",
            remedy="push it again: edgeseg push MODEL REFERENCE",
            code="registry/manifest",
        )
    return Blob(blob.media_type, blob.digest, blob.size, title)


def _check_names(wanted: Collection[Blob]) -> None:
    """RegistryError for a file that is named as another one, or as none of its type."""
    for each in wanted:
        if not each.title.endswith(FILES[each.media_type]) or each.title in (DONE, CONFIG):
            raise RegistryError(
                f"the file name {ascii(each.title)[:80]} for {each.media_type}",
                remedy="push it again: edgeseg push MODEL REFERENCE",
                code="registry/manifest",
            )


def _check_folder(folder: Path, wanted: Collection[Blob], manifest: bytes) -> None:
    """WriteError for a folder that has other files, or another model."""
    names = {each.title for each in wanted} | {DONE}
    done = folder / DONE
    same = done.is_file() and done.read_bytes() == manifest
    others = [path for path in folder.iterdir() if not path.name.startswith(".")]
    strange = [path for path in others if path.name not in names]
    if not same and (done.is_file() or strange):
        raise WriteError(
            f"{shown(folder)} has something else (expected a new folder, or one of this model)",
            remedy="choose another folder with --to",
            code="write/exists",
        )


def _check_room(folder: Path, wanted: Collection[Blob]) -> None:
    """WriteError without space for those files that are not there."""
    missing = [each.size for each in wanted if _size(folder / each.title) != each.size]
    if missing:
        remedy, size = "free some space on this disk", sum(missing) + SPARE
        check_room(folder, size, "the model needs", remedy=remedy, code="write/full")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
