"""Signs manifests with Ed25519: who may say what a station runs, not only who may write there.

What is signed: the digest of the manifest, repository and tag, and the time. A signature of one
product or tag is therefore none of another; a station remembers the newest time that it has
accepted, so an old model with its old signature is refused. A signature is newer than that of the
model which it replaces under its tag, whatever the clocks say. Keys are PEM files of OpenSSL:

    openssl genpkey -algorithm ed25519 -out fleet.key
    openssl pkey -in fleet.key -pubout -out fleet.pub
"""

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from edgeseg.errors import ConfigError, RegistryError
from edgeseg.files import shown
from edgeseg.fleet.artifact import SIGNATURE, SIGNED, Artifact, read_artifact, side_tag
from edgeseg.fleet.registry import Registry, blob_of
from edgeseg.log import log
from edgeseg.packages.extras import require
from edgeseg.schema import parse

VERSION = "edgeseg signature 1"


def sign(registry: Registry, digest: str, size: int, tag: str, key: Path) -> None:
    """Sign a manifest under one of its tags, and push the signature."""
    private, now = _private(key), int(time.time())
    before = _replaced(registry, tag, private.public_key())
    if before > now:
        log.warning(
            f"{tag} was signed {before - now} s after the time of this machine: check the clocks"
        )
    statement = {
        "kind": VERSION,
        "repository": registry.reference.repository,
        "tag": tag,
        "digest": digest,
        "signed_at": max(now, before + 1),
    }
    payload = json.dumps(statement, sort_keys=True)
    found = base64.b64encode(private.sign(payload.encode())).decode()
    content = json.dumps({"payload": payload, "ed25519": found}).encode()
    layer = blob_of(content, SIGNED, "signature.json")
    config = blob_of(b"{}", "application/vnd.oci.empty.v1+json")
    registry.send(config, b"{}")
    registry.send(layer, content)
    artifact = Artifact(SIGNATURE, config, (layer,), subject=(digest, size))
    registry.put_manifest(artifact.to_bytes(), _tag(digest, tag))


def verify(registry: Registry, digest: str, tag: str, key: Path) -> int:
    """Return when a manifest was signed under a tag, in seconds since 1970.

    RegistryError (`registry/signature`): it was not signed by this key, or for something else.
    ConfigError (`registry/no-tag`): a reference by its digest alone.
    """
    if not tag:
        place = f"{registry.reference.registry}/{registry.reference.repository}"
        raise ConfigError(
            f"{place}@{digest} has no tag, of which a signature could be",
            remedy=f"{place}:TAG@{digest}",
            code="registry/no-tag",
        )
    return _signed_at(registry, digest, tag, public_key(key))


def public_key(path: Path) -> Any:
    """Read a public key; ConfigError (`registry/key`)."""
    serialization = require("cryptography.hazmat.primitives.serialization", extra="sign")
    return _loaded(path, lambda data: serialization.load_pem_public_key(data), "Public")


def _replaced(registry: Registry, tag: str, public: Any) -> int:
    """Return when the manifest that a tag names now was signed by the same key; 0: it was not."""
    digest = registry.digest_of(tag)
    try:
        return 0 if digest is None else _signed_at(registry, digest, tag, public)
    except RegistryError as error:
        if error.code not in ("registry/signature", "registry/manifest"):
            raise
        return 0


def _signed_at(registry: Registry, digest: str, tag: str, public: Any) -> int:
    found = registry.manifest(_tag(digest, tag))
    if found is None:
        raise _unsigned(registry, tag, "it has no signature")
    content = registry.read(read_artifact(found[0], SIGNATURE).only(SIGNED))
    try:
        document = parse(content)
        payload, signature = str(document["payload"]), base64.b64decode(document["ed25519"])
        public.verify(signature, payload.encode())
        statement = parse(payload)
        told = [statement[name] for name in ("kind", "repository", "tag", "digest")]
        signed_at = statement["signed_at"]
    except Exception as error:  # of cryptography, and whatever else is wrong in it
        raise _unsigned(registry, tag, "its signature is not of this key") from error
    if told != [VERSION, registry.reference.repository, tag, digest] or type(signed_at) is not int:
        raise _unsigned(registry, tag, "its signature is of something else")
    return int(signed_at)


def _private(path: Path) -> Any:
    serialization = require("cryptography.hazmat.primitives.serialization", extra="sign")
    return _loaded(path, lambda data: serialization.load_pem_private_key(data, None), "Private")


def _loaded(path: Path, load: Any, kind: str) -> Any:
    try:
        found = load(path.read_bytes())
    except Exception as error:
        raise _bad_key(path, str(error) or type(error).__name__) from error
    if type(found).__name__ != f"Ed25519{kind}Key":
        raise _bad_key(path, f"{type(found).__name__} (expected a {kind.lower()} key of Ed25519)")
    return found


def _tag(digest: str, tag: str) -> str:
    return side_tag(digest, f"sig-{hashlib.sha256(tag.encode()).hexdigest()[:16]}")


def _bad_key(path: Path, found: str) -> ConfigError:
    return ConfigError(
        f"no key in {shown(path)}: {found}",
        remedy="openssl genpkey -algorithm ed25519 -out fleet.key",
        code="registry/key",
    )


def _unsigned(registry: Registry, tag: str, found: str) -> RegistryError:
    return RegistryError(
        f"{registry.reference.registry}/{registry.reference.repository}:{tag} is not used: {found}",
        remedy="push it again with --sign KEY",
        code="registry/signature",
    )
