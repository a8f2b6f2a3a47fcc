"""A folder into which a camera puts its images, as by FTP: each file once, in order of arrival.

    watch:///srv/ftp/top                    subfolders too
    watch:///srv/ftp/top?move=judged        judged files go to that folder, here within the first
    watch:///srv/ftp/top?settle=2           seconds without a change until a file is complete

A file that is complete and cannot be decoded may be an upload that stalled: it has PATIENCE more to
change, and is then unknown. What was judged is written to JUDGED in the folder, so that a restart
repeats nothing; a process that is killed repeats at most what it was judging, and loses nothing.
"""

import json
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import unquote

from edgeseg.data.images import read_image
from edgeseg.data.listing import SUFFIXES
from edgeseg.errors import DataError, SourceError
from edgeseg.files import cannot_write, locked, natural_key, quoted, replacing, shown
from edgeseg.log import log
from edgeseg.stream.source.base import Frame, Source
from edgeseg.stream.source.deliver import deliver
from edgeseg.stream.source.files import FOLDER_FPS
from edgeseg.verdict.verdict import DAMAGED

JUDGED = ".edgeseg-judged"
SETTLE, LONGEST_SETTLE = 0.5, 600.0  # seconds
PATIENCE = 10.0  # seconds
POLL = 0.1  # seconds between two looks; longer if a look takes long
SHARE = 0.1  # of a core that looking may take
EXAMPLE = "watch:///srv/ftp/top?move=judged"

_State = tuple[int, int]  # size, time of the last change: another state is another image


@dataclass(frozen=True)
class WatchSettings:
    """What the address of a folder says."""

    folder: Path
    move: Path | None = None
    settle: float = SETTLE


@dataclass
class _Arriving:
    """A file that may be incomplete."""

    state: _State
    since: float
    """When it was first seen in this state, `time.monotonic`."""
    broken: bool = False
    """Whether it cannot be decoded as it is."""


def open_watch(rest: str, bit_depth: int = 16) -> Source:
    """Watch the folder of `watch://DIR`; SourceError, WriteError: it cannot be used."""
    settings = _parse(rest)
    if not settings.folder.is_dir():
        raise SourceError(
            f"folder not found: {shown(settings.folder)} (expected one that images come to).",
            remedy=f"the path of a folder, as: --source {quoted(EXAMPLE)}",
            code="source/not-found",
        )
    return WatchedFolder(settings, bit_depth)


class WatchedFolder(Source):
    """Delivers files as they become complete; waits for ever for the next one."""

    stamps = True
    path = "image files, decoded and copied"

    def __init__(self, settings: WatchSettings, bit_depth: int = 16) -> None:
        self._folder, self._move, self._settle = settings.folder, settings.move, settings.settle
        self._bit_depth = bit_depth
        self._arriving: dict[str, _Arriving] = {}
        self._ready: deque[str] = deque()
        self._taken: dict[str, _State] = {}
        """What was delivered and has no verdict yet."""
        self._verdicts: SimpleQueue[str] = SimpleQueue()
        with ExitStack() as stack:
            list_of_judged = self._folder / JUDGED
            stack.enter_context(locked(list_of_judged))
            try:
                if self._move is not None:
                    self._move.mkdir(parents=True, exist_ok=True)
                self._judged = self._read_judged(list_of_judged)
                self._list = stack.enter_context(list_of_judged.open("a", encoding="utf-8"))
            except OSError as error:
                raise cannot_write(list_of_judged, error) from error
            self._open = stack.pop_all()
        super().__init__(f"watch://{shown(self._folder)}", FOLDER_FPS)

    def read_into(self, frame: Frame) -> bool:
        """Wait for the next complete file; SourceError if the folder is gone."""
        while not self.stopping.is_set():
            self._note_judged()
            while self._ready:
                if self._deliver(self._ready.popleft(), frame):
                    return True
            began = time.monotonic()
            self._look()
            if not self._ready:
                spent = time.monotonic() - began
                self.stopping.wait(max(POLL, spent / SHARE))
        return False

    def judged(self, frame: Frame) -> None:
        if frame.label is not None:
            self._verdicts.put(str(Path(frame.label).relative_to(self._folder)))

    def close(self) -> None:
        """Note what was judged; the folder may be watched again."""
        self._note_judged()
        self._open.close()

    def _look(self) -> None:
        """Find the files that are complete, in the order of their last change."""
        now, found = time.monotonic(), dict(self._scan())
        ready = []
        for name, state in found.items():
            if name in self._taken or state == self._judged.get(name):
                continue
            arriving = self._arriving.get(name)
            if arriving is None or arriving.state != state:
                self._arriving[name] = _Arriving(state, now)
            elif now - arriving.since >= self._settle + PATIENCE * arriving.broken:
                ready.append(name)
        for name in [name for name in self._arriving if name not in found]:
            del self._arriving[name]
        self._ready.extend(
            sorted(ready, key=lambda name: (found[name][1], natural_key(Path(name))))
        )

    def _scan(self) -> Iterator[tuple[str, _State]]:
        """Yield the images of the folder and its subfolders with their states."""
        folders = [self._folder]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        path = folder / entry.name
                        if entry.name.startswith(".") or path == self._move:
                            continue
                        if entry.is_dir():
                            folders.append(path)
                        elif path.suffix.lower() in SUFFIXES:
                            status = entry.stat()
                            name = str(path.relative_to(self._folder))
                            yield name, (status.st_size, status.st_mtime_ns)
            except OSError as error:
                if folder == self._folder:
                    raise SourceError(
                        f"cannot read {shown(folder)}: {error.strerror}.",
                        remedy="check the folder, its permissions and its disk",
                        code="source/lost",
                    ) from error

    def _deliver(self, name: str, frame: Frame) -> bool:
        """Read a file into a frame; False if it is not complete after all, or gone."""
        arriving, path = self._arriving.pop(name), self._folder / name
        frame.label = str(path)
        frame.stamp()
        try:
            image = read_image(path, self._bit_depth)
        except DataError as error:
            if not path.exists():
                log.warning(f"{self.name}: {shown(name)} was removed before it was judged")
                return False
            if not arriving.broken:
                arriving.broken = True
                self._arriving[name] = arriving
                return False
            self.broken += 1
            self.damaged.add(path, error)
            frame.fault = DAMAGED
        else:
            deliver(frame, image, "rgb", writes=1)
        self._taken[name] = arriving.state
        return True

    def _note_judged(self) -> None:
        """Write down, and move, the files whose verdicts were handed over."""
        while True:
            try:
                name = self._verdicts.get_nowait()
            except Empty:
                return
            state = self._taken.pop(name)
            self._judged[name] = state
            try:
                self._list.write(json.dumps([name, *state]) + "\n")
                self._list.flush()
                self._put_away(name, state)
            except OSError as error:
                log.warning(f"{self.name}: {shown(name)} is judged; {error.strerror or error}")

    def _put_away(self, name: str, state: _State) -> None:
        """Move a judged file, unless a new one has taken its name."""
        path = self._folder / name
        if self._move is None or not path.exists() or _state(path) != state:
            return
        target = self._move / name
        target.parent.mkdir(parents=True, exist_ok=True)
        number = 2
        while target.exists():
            target = target.with_name(f"{path.stem}-{number}{path.suffix}")
            number += 1
        try:
            path.rename(target)
        except OSError:  # another disk
            with replacing(target) as part:
                shutil.copyfile(path, part)
            path.unlink()
        del self._judged[name]

    def _read_judged(self, path: Path) -> dict[str, _State]:
        """Read what former runs have judged and is still here; move what they did not move."""
        found: dict[str, _State] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                name, size, changed = json.loads(line)
                found[str(name)] = (int(size), int(changed))
            except (ValueError, TypeError):  # the half line of a process that was killed
                continue
        self._judged = {
            name: state
            for name, state in found.items()
            if (self._folder / name).is_file() and _state(self._folder / name) == state
        }
        for name, state in list(self._judged.items()):
            self._put_away(name, state)
        # The lock is of this file: it is shortened in its place.
        with path.open("r+", encoding="utf-8") as file:
            file.writelines(
                json.dumps([name, *state]) + "\n" for name, state in self._judged.items()
            )
            file.truncate()
        return self._judged


def _state(path: Path) -> _State:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _parse(rest: str) -> WatchSettings:
    place, _, query = rest.partition("?")
    folder, move, settle = Path(unquote(place)), None, SETTLE
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key == "move" and value:
            move = folder / unquote(value)
        elif key == "settle" and _seconds(value) is not None:
            settle = _seconds(value) or 0.0
        else:
            raise _wrong(rest, f"'{part[:40]}' (expected move=FOLDER or settle=SECONDS)")
    if not place:
        raise _wrong(rest, "it names no folder")
    if move is not None and move.resolve() == folder.resolve():
        raise _wrong(rest, "move is the folder itself")
    return WatchSettings(folder, move, settle)


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= LONGEST_SETTLE else None


def _wrong(rest: str, problem: str) -> SourceError:
    return SourceError(
        f"invalid source: 'watch://{shown(rest)}': {problem}.",
        remedy=f"--source {quoted(EXAMPLE)}",
        code="source/invalid-watch",
    )
