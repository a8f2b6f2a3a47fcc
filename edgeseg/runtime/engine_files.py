"""Engine files and their cards: checks before a runtime opens the file.

A runtime fails on a plan for another GPU or version with an error number or a crash. The card has
the file's hash, the GPU and version it was built for, and what is needed to build it again.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from edgeseg.cards import CARD, RUNS, EngineCard, read_card
from edgeseg.config import RuntimeName
from edgeseg.errors import EdgesegError, EngineMismatch, MissingExtra
from edgeseg.files import newest, quoted, sha256, shown
from edgeseg.machine.facts import Machine, this_machine
from edgeseg.machine.support import serves
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import Candidate, get_lean
from edgeseg.runtime.engine_pair import card_path, engine_path

NAMED = "compute_capability"
# Settings of a build that are not in fields of the card, as the names of flags have them.
OF_BUILDER = ("optimization_level", "workspace_mib")
OF_ENGINE = ("ranges", "similarity", "data", "max_drop", "max_flip_rate", "gate_image_count")
CPU = "cpu"  # the target of engines that are typed graphs, portable between machines


def check_engine(path: Path, here: Machine | None = None) -> EngineCard:
    """Return an engine's card if the file matches it and runs on this machine.

    path: the engine or its card. EngineMismatch for a missing, truncated or changed file, for
    another GPU and for another version of the runtime; ModelError for an invalid card.
    """
    engine = engine_path(card_path(path))
    card = read_card(card_path(path), EngineCard)
    here = here or this_machine()
    check_file(engine, card, here)
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


def rebuild(card: EngineCard, here: Machine, *, runtime: RuntimeName | None = None) -> str:
    """Return the command that builds an engine of the same kind on this machine.

    It repeats the settings of the build. It names no runtime, and no setting of it, if the engine's
    runtime does not support this machine's GPU. runtime: another one to build for.
    """
    words = [f"edgeseg build-engine {quoted(_model(card))} --precision {card.precision}"]
    words += [f"--device {here.device}"] if here.device else []
    same = runtime is None and serves(card.runtime, here.compute_capability)
    if same or runtime:
        words.append(f"--runtime {runtime or card.runtime}")
    if same:
        words += [f"--via {card.via}"] if card.via != "onnx" else []
        words += ["--lean"] if card.lean else []
        capabilities = _capabilities(card, here)
        words += [f"--compute-capability {','.join(capabilities)}"] if capabilities else []
    for name in (*OF_BUILDER, *OF_ENGINE) if same else OF_ENGINE:
        if (value := card.settings.get(name)) is not None:
            words.append(f"--{name.replace('_', '-')} {quoted(str(value))}")
    return " ".join(words)


def _model(card: EngineCard) -> str:
    """Return the name of the run, or of its ONNX file where that alone was copied."""
    name = card.graph.name
    alone = not (RUNS / name / CARD).is_file() and Path(f"{name}.onnx").is_file()
    return f"{name}.onnx" if alone else name


def _capabilities(card: EngineCard, here: Machine) -> list[str]:
    """Return the compute capabilities that a build was asked for, and this machine's."""
    found = [trt.capability_of(target) for target in card.target.split("-")]
    if card.runtime != "tensorrt-rtx" or (len(found) == 1 and not card.settings.get(NAMED)):
        return []
    own = here.compute_capability
    return found if own is None or own in found else [*found, own]


def check_file(engine: Path, card: EngineCard, here: Machine | None = None) -> None:
    """EngineMismatch unless an engine is the file of its card, also if it does not run here."""
    here = here or this_machine()
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
        remedy = rebuild(card, here, runtime="openvino")
        found = f"this machine has no GPU ({here.gpu_note})"
        raise _mismatch(engine, card, found, "engine/no-gpu", remedy)
    target = trt.target_of(here.compute_capability)
    if not trt.runs_on(card.target, here.compute_capability):
        found = f"the GPU is {here.gpu}, {target}"
        raise _mismatch(engine, card, found, "engine/other-gpu", rebuild(card, here))


def _check_version(engine: Path, card: EngineCard, here: Machine) -> None:
    """TensorRT plans need the same version in all four numbers."""
    try:
        api = trt.load(card.runtime, lean=card.lean)
    except MissingExtra as missing:
        if not card.lean or here.jetson:
            raise
        remedy = get_lean(card.runtime_version, here)
        raise MissingExtra(missing.problem, remedy=remedy, code=missing.code) from missing
    version = api.version
    if api.lean and not card.lean:
        found = "this machine has only the lean runtime of TensorRT"
        remedy = rebuild(dataclasses.replace(card, lean=True), here)
        remedy += " (on a machine with TensorRT)"
        raise _mismatch(engine, card, found, "engine/lean-runtime", remedy)
    if version != card.runtime_version:
        found = f"this machine has {card.runtime} {version}"
        remedy = rebuild(card, here)
        if api.lean and here.jetson:
            remedy += f" (on a board with TensorRT {version})"
        elif api.lean:
            found = f"this machine has the lean runtime of TensorRT {version}"
            remedy = get_lean(card.runtime_version, here)
        raise _mismatch(engine, card, found, "engine/other-version", remedy)


def _mismatch(engine: Path, card: EngineCard, found: str, code: str, remedy: str) -> EngineMismatch:
    return EngineMismatch(
        f"{shown(engine)} was built for {card.runtime} {card.runtime_version} on {card.target}; "
        f"{found}.",
        remedy=remedy,
        code=code,
    )
