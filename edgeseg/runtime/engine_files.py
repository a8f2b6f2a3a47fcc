"""Engine files and their cards: checks before a runtime opens the file.

A runtime fails on a plan for another GPU or version with an error number or a crash. The card has
the file's hash, the GPU and version it was built for, and what is needed to build it again.
"""

from collections.abc import Sequence
from pathlib import Path

from edgeseg.cards import EngineCard, read_card
from edgeseg.errors import EdgesegError, EngineMismatch
from edgeseg.files import newest, quoted, sha256, shown
from edgeseg.machine.facts import Machine, this_machine
from edgeseg.machine.support import serves
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import Candidate
from edgeseg.runtime.engine_pair import card_path, engine_path

CPU = "cpu"  # the target of engines that are typed graphs, portable between machines


def check_engine(path: Path, here: Machine | None = None) -> EngineCard:
    """Return an engine's card if the file matches it and runs on this machine.

    path: the engine or its card. EngineMismatch for a missing, truncated or changed file, for
    another GPU and for another version of the runtime; ModelError for an invalid card.
    """
    engine = engine_path(card_path(path))
    card = read_card(card_path(path), EngineCard)
    here = here or this_machine()
    _check_file(engine, card, here)
    if card.target != CPU:
        _check_target(engine, card, here)
        _check_version(engine, card, here)
    return card


def newest_that_runs(
    folder: Path, runtimes: Sequence[Candidate], here: Machine | None = None
) -> tuple[Path | None, list[str]]:
    """Return the newest engine that runs on this machine, and why newer ones do not."""
    running = {candidate.runtime for candidate in runtimes if candidate.runs}
    problems: list[str] = []
    for path in newest(folder, "*.json"):
        try:
            card = check_engine(path, here)
        except EdgesegError as error:
            problems.append(f"{path.stem}: {error.problem}")
            continue
        if card.runtime in running:
            return engine_path(path), problems
        problems.append(f"{path.stem}: {card.runtime} does not run on this machine")
    return None, problems


def rebuild(card: EngineCard, here: Machine) -> str:
    """Return the command that builds an engine of the same kind on this machine.

    It names no runtime if the engine's runtime does not support this machine's GPU.
    """
    command = f"edgeseg build-engine {quoted(card.graph.name)} --precision {card.precision}"
    command += f" --device {here.device}" * bool(here.device)
    if not serves(card.runtime, here.compute_capability):
        return command
    return f"{command} --runtime {card.runtime}" + f" --via {card.via}" * (card.via != "onnx")


def _check_file(engine: Path, card: EngineCard, here: Machine) -> None:
    if not engine.is_file():
        raise EngineMismatch(
            f"engine not found: {shown(engine)}.", remedy=rebuild(card, here), code="engine/missing"
        )
    size = engine.stat().st_size
    if size != card.bytes:
        changed = f"it was changed: it has {size} bytes (expected {card.bytes})"
        raise _mismatch(engine, card, changed, "engine/changed", rebuild(card, here))
    if sha256(engine) != card.sha256:
        changed = "it was changed: its SHA-256 differs from the card's"
        raise _mismatch(engine, card, changed, "engine/changed", rebuild(card, here))


def _check_target(engine: Path, card: EngineCard, here: Machine) -> None:
    if here.compute_capability is None:
        remedy = f"edgeseg build-engine {quoted(card.graph.name)} --runtime openvino"
        found = f"this machine has no GPU ({here.gpu_note})"
        raise _mismatch(engine, card, found, "engine/no-gpu", remedy)
    target = trt.target_of(here.compute_capability)
    if not trt.runs_on(card.target, here.compute_capability):
        found = f"the GPU is {here.gpu}, {target}"
        raise _mismatch(engine, card, found, "engine/other-gpu", rebuild(card, here))


def _check_version(engine: Path, card: EngineCard, here: Machine) -> None:
    """TensorRT plans need the same version in all four numbers."""
    api = trt.load(card.runtime)
    version = api.version
    if api.lean and not card.lean:
        found = "this machine has only the lean runtime of TensorRT"
        remedy = f"{rebuild(card, here)} --lean (on a machine with TensorRT)"
        raise _mismatch(engine, card, found, "engine/lean-runtime", remedy)
    if version != card.runtime_version:
        found = f"this machine has {card.runtime} {version}"
        raise _mismatch(engine, card, found, "engine/other-version", rebuild(card, here))


def _mismatch(engine: Path, card: EngineCard, found: str, code: str, remedy: str) -> EngineMismatch:
    return EngineMismatch(
        f"{shown(engine)} was built for {card.runtime} {card.runtime_version} on {card.target}; "
        f"{found}.",
        remedy=remedy,
        code=code,
    )
