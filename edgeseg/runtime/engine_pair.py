"""An engine and its card are replaced together: a kill in between leaves a pair that works.

    1  .bottle-fp16-rtx-sm86.0123456789ab.next.engine    the new engine, complete; its hash
    2  bottle-fp16-rtx-sm86.json                         the new card, which has that hash
    3  the new engine is renamed to bottle-fp16-rtx-sm86.engine

Until step 2 the old pair is valid. After it whoever opens the engine does step 3, or uses the file
of step 1 where the folder cannot be written.
"""

from contextlib import AbstractContextManager, suppress
from pathlib import Path

from edgeseg.cards import EngineCard, read_card, write_card
from edgeseg.errors import EdgesegError
from edgeseg.files import cannot_write, locked, replacing, sha256

DIGITS = 12  # of the hash, in the name


def card_path(engine: Path) -> Path:
    """Return the path of an engine's card; a card's own path is returned unchanged."""
    return engine.with_suffix(".json")


def is_engine(path: Path) -> bool:
    """Return whether a file's name or a card beside it says that it is an engine, or a card."""
    return path.suffix in (".engine", ".json") or card_path(path).is_file()


def engine_path(card: Path) -> Path:
    """Return the path of a card's engine, which has the card's name; finish a replacement."""
    found = read_card(card, EngineCard)
    engine = card.with_suffix(Path(found.file).suffix)
    following = _next(engine, found.sha256)
    if following.is_symlink() or not following.is_file() or sha256(following) != found.sha256:
        return engine
    with suppress(OSError):  # a folder that cannot be written, or another process was faster
        following.replace(engine)
    return following if following.is_file() else engine


def new_engine(engine: Path, digest: str) -> AbstractContextManager[Path]:
    """Write a new engine with this SHA-256 as with `files.replacing`, beside the old one.

    `replace_pair` lets it take the place of the old one.
    """
    return replacing(_next(engine, digest))


def replace_pair(engine: Path, card: EngineCard) -> None:
    """Replace the card, and the engine by that of `new_engine`; WriteError: the old pair stays."""
    following = _next(engine, card.sha256)
    with locked(following):  # another build of this engine does not remove it
        try:
            write_card(card_path(engine), card)
        except EdgesegError:
            following.unlink(missing_ok=True)
            raise
        try:
            following.replace(engine)
        except OSError as error:  # the card has its hash: it is used where it is
            raise cannot_write(engine, error) from error
    # Those of builds that were killed before their card was written.
    for stale in engine.parent.glob(f".{engine.stem}.*.next{engine.suffix}"):
        with suppress(EdgesegError, OSError), locked(stale):
            stale.unlink()


def _next(engine: Path, digest: str) -> Path:
    return engine.with_name(f".{engine.stem}.{digest[:DIGITS]}.next{engine.suffix}")
