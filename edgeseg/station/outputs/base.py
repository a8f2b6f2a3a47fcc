"""The interface of the outputs. Each runs in a thread of its own in the gateway.

    Deliverer     send(batch) -> last id that the other side has acknowledged; may wait, raise, and
                  be away for days: it gets every record at least once, in order
    Indicator     show(state): the newest state; what came meanwhile is skipped

A kind is a class with a `Settings` dataclass, found by its name: in KINDS, or as an entry point of
the group `edgeseg.outputs` of any installed package.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from edgeseg.closing import Closing
from edgeseg.station.config import StationConfig
from edgeseg.station.inspection import Code, Inspection

SendCommand = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Lamp:
    """What the line is told of one camera: OK for a good part only."""

    ok: bool = False
    code: int = Code.STARTING
    reason: str = "no part was judged yet"
    inspection: Inspection | None = None
    """The newest."""


@dataclass(frozen=True)
class StationState:
    """The newest state of a station."""

    lamps: Mapping[str, Lamp] = field(default_factory=dict)
    """By camera."""
    alive: bool = False
    """Whether the inspector answers."""
    status: Mapping[str, Any] = field(default_factory=dict)
    """The inspector's newest status."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """How each output does."""
    last: int = 0
    """The id of the newest record that the gateway knows of."""
    beat: int = 0
    """Counts up while the inspector answers."""
    recent: tuple[Inspection, ...] = ()
    """The newest inspections of all cameras, oldest first: for an indicator that shows each."""


@dataclass(frozen=True)
class OutputContext:
    """What an output knows of its station."""

    station: str
    device: str
    folder: Path
    """Of the station's state."""
    base: Path
    """Of the station's file; other files that it names are relative to it."""
    cameras: tuple[str, ...]
    recipes: tuple[str, ...]
    command: SendCommand
    """Sends a command to the inspector, see inspector.py; never waits, and returns nothing."""
    state: Callable[[], StationState] = StationState
    """Returns the newest state, in which the answers to commands are; for any thread."""
    following: tuple[str, ...] = ()
    """The recipes that follow a tag."""
    trial: bool = False
    """Whether an output is only opened and closed, perhaps while the station runs."""

    @classmethod
    def of(
        cls,
        config: StationConfig,
        *,
        command: SendCommand,
        state: Callable[[], StationState] = StationState,
    ) -> "OutputContext":
        """Return what the outputs of a station know."""
        return cls(
            station=config.station.name,
            device=socket.gethostname(),
            folder=config.folder,
            base=config.base,
            cameras=tuple(each.name for each in config.camera),
            recipes=tuple(each.name for each in config.recipe),
            following=tuple(each.name for each in config.recipe if each.follow),
            command=command,
            state=state,
        )


class Output(Closing, ABC):
    """Opened by the gateway, in the thread that uses it; any exception is tried again later."""

    Settings: ClassVar[type[Any]]
    """A frozen dataclass: the fields of its table in the station's file."""

    def __init__(self, settings: Any, context: OutputContext) -> None:
        self.settings, self.context = settings, context

    def open(self) -> None:
        """Connect; also called again after an exception of `send` or `show`, after `close`."""

    def close(self) -> None:
        """Disconnect; must not raise."""


class Deliverer(Output):
    """Gets every record, in order."""

    @abstractmethod
    def send(self, batch: Sequence[Inspection]) -> int:
        """Deliver records in order; return the id of the last one that was acknowledged."""

    def check(self) -> None:
        """Raise if the connection is lost; called about once a second while there is no record."""


class Indicator(Output):
    """Shows the newest state."""

    @abstractmethod
    def show(self, state: StationState) -> None:
        """Show a state; the next call comes with the next change, or after half a second."""
