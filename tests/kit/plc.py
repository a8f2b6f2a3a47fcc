"""What the outputs for PLCs are tested with: a station's states, and an inspector that answers."""

from itertools import count

from edgeseg.station.inspection import Code
from edgeseg.station.outputs.base import Lamp, OutputContext, StationState
from tests.kit.stations import inspection


class Line:
    """A station of two cameras: its states, and the commands that it got."""

    def __init__(self, folder, cameras=("top", "side")):
        self.commands, self.show = [], lambda state: None
        self._ids, self._triggers = count(1), count(1)
        self.state = StationState(
            lamps={name: Lamp() for name in cameras},
            alive=True,
            status={
                "cameras": {name: {"state": "running", "recipe": "plates"} for name in cameras},
                "answers": [],
                "stopped": "",
            },
        )
        self.context = OutputContext(
            station="test",
            device="bench",
            folder=folder,
            base=folder,
            cameras=tuple(cameras),
            recipes=("plates", "caps"),
            command=self.commands.append,
            state=lambda: self.state,
        )

    def change(self, **changes):
        """Show another state."""
        beat = self.state.beat + 1
        self.state = StationState(**{**vars(self.state), "beat": beat, **changes})
        self.show(self.state)

    def judge(self, camera="top", code=Code.OK, **fields):
        """Show an inspection; return it."""
        found = inspection(camera=camera, code=code, **fields).at(next(self._ids))
        lamps = {**self.state.lamps, camera: Lamp(found.ok, found.code, found.reason, found)}
        recent = (*self.state.recent, found)[-256:]
        self.change(lamps=lamps, recent=recent, last=found.id)
        return found

    def answer(self, error=""):
        """Answer the last command as the inspector does; return the number of the trigger."""
        number = next(self._triggers)
        found = {"id": self.commands[-1]["id"], "error": error}
        found |= {} if error else {"trigger": number}
        answers = [*self.state.status["answers"], found]
        self.change(status={**self.state.status, "answers": answers})
        return number

    def stop(self, reason):
        """Stop the line, as the gateway shows it."""
        lamps = {
            name: Lamp(code=Code.LINE_STOPPED, reason=reason, inspection=lamp.inspection)
            for name, lamp in self.state.lamps.items()
        }
        self.change(lamps=lamps, status={**self.state.status, "stopped": reason})
