"""Where a frame's time goes: each stage by its own percentiles.

    arrival --- wait --> start --- submit --> submitted --> done --- sinks --> written
       |                   |                                 |
       |                   +------------- run ---------------+
       +------------------- arrival to mask -----------------+

wait         what lies between a frame's arrival and its turn; a camera's decoding is in it
run          from its turn to its mask in the host's memory; with two in flight, the wait for the
             other one is in it
submit       the share of the run before the runtime had begun; a resize on the CPU is in it
device       what the device took by its own clock, where the runtime gives it
sinks        from the mask until every sink had the result; it delays no frame

Arrival to mask is the age of a frame when its mask is there. It is not glass to mask: the exposure,
the sensor's readout, the camera and its cable come before the arrival, and are in no figure here.
"""

from edgeseg.stream.pipeline.latency import Latencies, Percentiles
from edgeseg.stream.pipeline.ring import Frame


class Stages:
    """The stages of every frame; `add` is the inference thread's, `add_sinks` the sinks'."""

    def __init__(self) -> None:
        self._total, self._wait, self._run = Latencies(), Latencies(), Latencies()
        self._submit, self._device, self._sinks = Latencies(), Latencies(), Latencies()

    @property
    def count(self) -> int:
        """Frames that have their mask."""
        return self._total.count

    def add(self, frame: Frame, *, submitted: bool, device: float | None) -> float:
        """Take a finished frame; return its seconds from arrival to mask.

        submitted: whether the runtime was told apart from being waited for; device: its seconds.
        """
        seconds = (frame.done - frame.arrival) / 1e9
        self._wait.add((frame.started - frame.arrival) / 1e9)
        self._run.add((frame.done - frame.started) / 1e9)
        if submitted:
            self._submit.add((frame.submitted - frame.started) / 1e9)
        if device is not None:
            self._device.add(device)
        self._total.add(seconds)
        return seconds

    def add_sinks(self, seconds: float) -> None:
        """Take what the sinks needed to have a result, from its mask on."""
        self._sinks.add(seconds)

    def total(self) -> Percentiles | None:
        """Return arrival to mask; None before the first frame."""
        return self._total.summary() if self._total.count else None

    def parts(self) -> dict[str, Percentiles]:
        """Return the stages that have samples, by their names."""
        found = {
            "wait": self._wait,
            "run": self._run,
            "submit": self._submit,
            "device": self._device,
            "sinks": self._sinks,
        }
        return {name: stage.summary() for name, stage in found.items() if stage.count}
