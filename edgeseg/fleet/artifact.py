"""A model, an engine or a signature as an OCI image manifest 1.1: what is sent, and how it is read.

    line/bottle:stable                       the model: thresholds (config), graph, card,
                                             calibration file, report
    line/bottle:sha256-DIGEST.VARIANT        an engine of that model: its card (config), the engine
    line/bottle:sha256-DIGEST.sig-TAG        what a key says of a manifest

DIGEST is that of the manifest of the model. A device names the one VARIANT that fits it, so nothing
is listed, and pushing an engine changes no tag that a station follows. Registries with the API of
referrers list engines and signatures there: `subject` names the model.
Source: OCI image specification 1.1, "Guidelines for artifact usage".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeseg.errors import RegistryError
from edgeseg.fleet.registry import MANIFEST, Blob
from edgeseg.schema import is_plain, parse
from edgeseg.station.following.reference import DIGEST

VENDOR = "application/vnd.edgeseg"
MODEL, ENGINE, SIGNATURE = (f"{VENDOR}.{kind}.v1" for kind in ("model", "engine", "signature"))
THRESHOLDS = f"{VENDOR}.thresholds.v1+json"
GRAPH = f"{VENDOR}.graph.v1+onnx"
CARD = f"{VENDOR}.card.v1+json"
RANGES = f"{VENDOR}.calibration.v1+json"
REPORT = "text/html"
ENGINE_CARD = f"{VENDOR}.engine-card.v1+json"
PLAN = f"{VENDOR}.engine-file.v1"
SIGNED = f"{VENDOR}.signed.v1+json"
DONE, CONFIG = "artifact.json", "thresholds.json"
"""The files of a pulled model that are its manifest, and the config of that."""
TITLE = "org.opencontainers.image.title"
MOST_LAYERS = 64
LARGEST = 64 << 30  # bytes of a blob


@dataclass(frozen=True)
class Artifact:
    """A manifest."""

    kind: str
    """MODEL, ENGINE or SIGNATURE."""
    config: Blob
    layers: tuple[Blob, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: tuple[str, int] | None = None
    """Digest and size of the manifest that this belongs to."""

    def to_bytes(self) -> bytes:
        """Return the manifest; the same content has the same bytes, and so the same digest."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": self.kind,
            "config": _descriptor(self.config),
            "layers": [_descriptor(each) for each in self.layers],
        }
        if self.subject is not None:
            digest, size = self.subject
            document["subject"] = {"mediaType": MANIFEST, "digest": digest, "size": size}
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        return json.dumps(document, separators=(",", ":")).encode()

    def only(self, media_type: str) -> Blob:
        """Return the one layer of a type; RegistryError if there are none or several."""
        found = [each for each in self.layers if each.media_type == media_type]
        if len(found) != 1:
            raise _invalid(f"{len(found)} layers of type {media_type} (expected 1)")
        return found[0]

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return sum(each.size for each in (self.config, *self.layers))


def read_artifact(data: bytes, kind: str) -> Artifact:
    """Read a manifest of a kind; RegistryError (`registry/manifest`) for anything else.

    Titles are plain file names, all different: nothing is ever written elsewhere.
    """
    try:
        document = parse(data)
    except ValueError as error:
        raise _invalid(f"no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise _invalid("no manifest of version 2")
    if document.get("mediaType") != MANIFEST or document.get("artifactType") != kind:
        other = ascii(document.get("artifactType"))[:80]
        raise _invalid(f"its type is {other} (expected {kind})")
    layers = document.get("layers")
    if not isinstance(layers, list) or not 0 < len(layers) <= MOST_LAYERS:
        raise _invalid(f"no list of 1 to {MOST_LAYERS} layers")
    annotations = document.get("annotations") or {}
    texts = isinstance(annotations, dict) and all(isinstance(v, str) for v in annotations.values())
    if not texts:
        raise _invalid("its annotations are no texts")
    found = Artifact(
        kind,
        _blob(document.get("config")),
        tuple(_blob(each) for each in layers),
        annotations,
        _subject(document.get("subject")),
    )
    _check_titles([each.title for each in found.layers])
    return found


def side_tag(digest: str, what: str) -> str:
    """Return the tag of what belongs to a manifest."""
    return f"{digest.replace(':', '-')}.{what}"


def _descriptor(blob: Blob) -> dict[str, Any]:
    found: dict[str, Any] = {
        "mediaType": blob.media_type,
        "digest": blob.digest,
        "size": blob.size,
    }
    return found | ({"annotations": {TITLE: blob.title}} if blob.title else {})


def _blob(document: Any) -> Blob:
    if not isinstance(document, dict):
        raise _invalid("a descriptor is no object")
    kind, digest = document.get("mediaType"), document.get("digest")
    size, notes = document.get("size"), document.get("annotations") or {}
    good = isinstance(kind, str) and isinstance(digest, str) and DIGEST.fullmatch(digest)
    if not good or type(size) is not int or not 0 <= size <= LARGEST:
        raise _invalid("a descriptor without type, SHA-256 and size")
    title = notes.get(TITLE, "") if isinstance(notes, dict) else None
    if not isinstance(title, str):
        raise _invalid("a title that is no text")
    return Blob(str(kind), str(digest), size, title)


def _subject(document: Any) -> tuple[str, int] | None:
    if document is None:
        return None
    found = _blob(document)
    return found.digest, found.size


def _check_titles(titles: Sequence[str]) -> None:
    for title in titles:
        if not is_plain(title) or title.startswith("."):
            raise _invalid(f"the file name {ascii(title)[:80]} (expected a plain name)")
    if len({title.casefold() for title in titles}) < len(titles):
        raise _invalid("two files of one name")


def _invalid(found: str) -> RegistryError:
    return RegistryError(
        f"this is no manifest of edgeseg: {found}",
        remedy="name a model that was pushed: edgeseg push MODEL REFERENCE",
        code="registry/manifest",
    )
