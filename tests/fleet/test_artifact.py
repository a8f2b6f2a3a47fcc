"""Manifests that are read: those of edgeseg, and everything else that may come."""

import json

import pytest

from edgeseg.errors import RegistryError
from edgeseg.fleet.artifact import ENGINE, MODEL, Artifact, read_artifact, side_tag
from edgeseg.fleet.registry import Blob, digest_of
from edgeseg.station.following.reference import TAG
from tests.kit.errors import fails

BLOB = Blob("a/b", digest_of(b""), 0, "plates.onnx")
DIGEST = digest_of(b"x")


def test_the_same_content_has_the_same_digest_and_is_read_back():
    made = Artifact(MODEL, Blob("c/d", DIGEST, 1), (BLOB,), {"b": "2", "a": "1"}, (DIGEST, 3))
    again = Artifact(MODEL, Blob("c/d", DIGEST, 1), (BLOB,), {"a": "1", "b": "2"}, (DIGEST, 3))
    assert made.to_bytes() == again.to_bytes()
    assert read_artifact(made.to_bytes(), MODEL) == made
    assert (made.size, made.only("a/b")) == (1, BLOB)


def document(**changes):
    return json.loads(Artifact(MODEL, BLOB, (BLOB,)).to_bytes()) | changes


def titled(*titles):
    layer = document()["layers"][0]
    key = "org.opencontainers.image.title"
    return [layer | {"annotations": {key: title}} for title in titles]


def layer(**changes):
    return [document()["layers"][0] | changes]


WRONG = {
    "another kind": document(artifactType=ENGINE),
    "no manifest": document(mediaType="application/vnd.oci.image.index.v1+json"),
    "another version": document(schemaVersion=1),
    "no layers": document(layers=[]),
    "too many layers": document(layers=titled("a") * 65),
    "no config": document(config=None),
    "another hash": document(layers=layer(digest="md5:" + "0" * 32)),
    "an upper-case digest": document(layers=layer(digest=digest_of(b"").upper())),
    "a negative size": document(layers=layer(size=-1)),
    "a size that is no number": document(layers=layer(size=True)),
    "a huge size": document(layers=layer(size=1 << 50)),
    "a path": document(layers=titled("../../etc/passwd")),
    "an absolute path": document(layers=titled("/etc/passwd")),
    "a path of Windows": document(layers=titled("..\\x")),
    "a hidden file": document(layers=titled(".bashrc")),
    "a control character": document(layers=titled("a\nb")),
    "no text": document(layers=titled(1)),
    "one name twice": document(layers=titled("a.onnx", "A.onnx")),
    "annotations that are no texts": document(annotations={"a": 1}),
    "a list": [],
}


@pytest.mark.parametrize("kind", WRONG)
def test_anything_else_is_refused(kind):
    with fails(RegistryError, "registry/manifest"):
        read_artifact(json.dumps(WRONG[kind]).encode(), MODEL)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(data):
    with fails(RegistryError, "registry/manifest"):
        read_artifact(data, MODEL)


def test_the_layer_of_a_type_is_the_only_one():
    found = Artifact(MODEL, BLOB, (BLOB, BLOB))
    for kind in ("a/b", "none"):
        with fails(RegistryError, "registry/manifest"):
            found.only(kind)


def test_a_side_tag_is_a_tag():
    assert TAG.fullmatch(side_tag(DIGEST, "tensorrt-rtx-10.13.2.6-sm120-fp16-lean"))
