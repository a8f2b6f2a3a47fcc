"""Engine files and their cards: what may be run here, decided before a runtime sees the file.

A runtime that is given a plan for another GPU or version fails with a number or a crash. The card
knows better: it holds the file's hash, what it was built for and by, and how to build it again.
"""

from collections.abc import Sequence
from pathlib import Path

from edgeseg.cards import EngineCard, newest, read_card, sha256
from edgeseg.errors import EdgesegError, EngineMismatch, ModelError
from edgeseg.machine.facts import Machine, this_machine
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import Candidate

CPU = "cpu"  # the target of engines that are typed graphs, which any machine and version reads


def card_path(engine: Path) -> Path:
    """Return where an engine's card lies; a card's own path is returned as it is."""
    return engine.with_suffix(".json")


def engine_path(card: Path) -> Path:
    """Return the engine that a card names, beside the card and nowhere else."""
    name = read_card(card, EngineCard).file
    if Path(name).name != name:
        raise ModelError(
            f"The card {card} names the engine '{name}', which is outside its folder.",
            remedy="edgeseg build-engine",
        )
    return card.with_name(name)


def check_engine(path: Path, here: Machine | None = None) -> EngineCard:
    """Return an engine's card if the file is the one it describes and runs on this machine.

    path: the engine or its card. EngineMismatch for a missing, truncated or edited file, for
    another GPU and for another version of the runtime; ModelError for a card that cannot be read.
    """
    engine = engine_path(card_path(path))
    card = read_card(card_path(path), EngineCard)
    here = here or this_machine()
    _check_file(engine, card)
    if card.target != CPU:
        _check_target(engine, card, here)
        _check_version(engine, card, here)
    return card


def newest_that_runs(
    folder: Path, runtimes: Sequence[Candidate]
) -> tuple[EngineCard | None, list[str]]:
    """Return the newest engine that this machine runs, and why it runs none of the newer ones."""
    running = {candidate.runtime for candidate in runtimes if candidate.runs}
    problems: list[str] = []
    for path in newest(folder, "*.json"):
        try:
            card = check_engine(path)
        except EdgesegError as error:
            problems.append(f"{path.stem}: {error.problem}")
            continue
        if card.runtime in running:
            return card, problems
        problems.append(f"{path.stem}: {card.runtime} does not run here")
    return None, problems


def built_for(card: EngineCard) -> str:
    """Return in words what an engine needs: `tensorrt-rtx 1.7.1.116 on sm86`."""
    return f"{card.runtime} {card.runtime_version} on {card.target}"


def rebuild(card: EngineCard) -> str:
    """Return the command that builds an engine of the same kind on this machine."""
    return (
        f"edgeseg build-engine {card.graph.name} --precision {card.precision} "
        f"--runtime {card.runtime}" + (f" --via {card.via}" if card.via != "onnx" else "")
    )


def _check_file(engine: Path, card: EngineCard) -> None:
    if not engine.is_file():
        raise EngineMismatch(f"The engine {engine} is missing.", remedy=rebuild(card))
    size = engine.stat().st_size
    if size != card.bytes:
        raise EngineMismatch(
            f"{engine} has {size} bytes; its card says {card.bytes} (built for {built_for(card)}).",
            remedy=rebuild(card),
        )
    if sha256(engine) != card.sha256:
        raise EngineMismatch(
            f"{engine} was changed since it was built for {built_for(card)}: its SHA-256 is not "
            "its card's.",
            remedy=rebuild(card),
        )


def _check_target(engine: Path, card: EngineCard, here: Machine) -> None:
    if here.compute_capability is None:
        raise EngineMismatch(
            f"{engine} was built for {built_for(card)}; this machine has no GPU ({here.gpu_note}).",
            remedy=f"edgeseg build-engine {card.graph.name} --runtime openvino",
        )
    if trt.target_of(here.compute_capability) != card.target:
        raise EngineMismatch(
            f"{engine} was built for {built_for(card)}; this machine has a {here.gpu}, "
            f"{trt.target_of(here.compute_capability)}.",
            remedy=rebuild(card),
        )


def _check_version(engine: Path, card: EngineCard, here: Machine) -> None:
    """Plans never cross versions: TensorRT wants the same four numbers, to the last."""
    found = trt.load(card.runtime).version
    if found != card.runtime_version:
        raise EngineMismatch(
            f"{engine} was built for {built_for(card)}; this machine has {card.runtime} {found}.",
            remedy=rebuild(card),
        )
