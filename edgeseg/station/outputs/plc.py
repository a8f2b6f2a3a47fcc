"""The outputs that are servers for PLCs: each has an event loop, in a thread of its own."""

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Coroutine, Sequence
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from typing import Any, TypeVar

from edgeseg.station.outputs.base import Indicator, OutputContext, StationState
from edgeseg.station.outputs.signals import CameraSignals, Signals

T = TypeVar("T")
BEGIN_S, SHOW_S, END_S = 60.0, 5.0, 0.8  # seconds; the first builds the address space of OPC UA
TEND = 0.1  # seconds between two looks at triggers and at the age of the state


class PlcServer(Indicator):
    """Serves the signals of each camera; the methods with an underscore run in the event loop."""

    def __init__(self, settings: Any, context: OutputContext) -> None:
        super().__init__(settings, context)
        self.cameras = {
            name: CameraSignals(name, self.by, context.command, answer_s=settings.answer_s)
            for name in context.cameras
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    by: str
    """Who gives the commands."""

    def open(self) -> None:
        """Start the server; OSError: its address cannot be used."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=self.by, daemon=True)
        self._thread.start()
        self._call(self._open(), BEGIN_S)

    def show(self, state: StationState) -> None:
        """Take a state; OSError if the event loop does not answer."""
        self._call(self._follow(state), SHOW_S)

    def close(self) -> None:
        """Show that the line is stopped, and end the server."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with suppress(Exception):
            self._call(self._close(), END_S)
        self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(END_S)

    def _call(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Do something in the event loop, and wait for it."""
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except NotInTime as error:
            future.cancel()
            raise OSError(f"the server has not answered for {seconds:g} s") from error

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            rest = asyncio.all_tasks(loop)
            for task in rest:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        finally:
            loop.close()

    async def _open(self) -> None:
        await self._begin()
        self._tending = asyncio.create_task(self._tend())

    async def _follow(self, state: StationState) -> None:
        for camera in self.cameras.values():
            verdicts = camera.follow(state)
            await self._show(camera, verdicts)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND)
            for camera in self.cameras.values():
                camera.settle()
                await self._show(camera, ())

    async def _close(self) -> None:
        if hasattr(self, "_tending"):
            self._tending.cancel()
        await self._end()

    @abstractmethod
    async def _begin(self) -> None:
        """Start the server."""

    async def _show(self, camera: CameraSignals, verdicts: Sequence[Signals]) -> None:
        """Tell the clients of each verdict, and of the newest state of the camera."""

    @abstractmethod
    async def _end(self) -> None:
        """Show that the line is stopped, and end the server."""
