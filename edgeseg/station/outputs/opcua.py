"""An OPC UA server: an object for each camera, with the newest verdict and methods.

    Objects/<camera>/<Variable>       node ids: ns=2;s=<camera>.<Variable>

The variables of one verdict have one source time stamp, and Index is written last: a client that
is told of an Index finds the others in place. `Record` has all of a verdict in one value. Each
verdict is written by itself, so that a subscription misses none whose queue is long enough.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from math import nan
from typing import TYPE_CHECKING, Any

from edgeseg.errors import ConfigError
from edgeseg.packages.extras import require
from edgeseg.schema import bounded
from edgeseg.station.outputs.address import cannot_listen
from edgeseg.station.outputs.base import OutputContext
from edgeseg.station.outputs.opcua_security import permissions, self_signed, users
from edgeseg.station.outputs.plc import PlcServer
from edgeseg.station.outputs.signals import CameraSignals, Signals

if TYPE_CHECKING:
    from asyncua import Server, ua

NAMESPACE = "urn:edgeseg:station"
FOLDER = "opcua"
"""Of the certificate, within the station's."""
VERDICT: dict[str, str] = {
    "OK": "Boolean",
    "Code": "UInt16",
    "Reason": "String",
    "Part": "String",
    "Recipe": "String",
    "Score": "Float",
    "DecidedAt": "DateTime",
    "TriggerNumber": "UInt32",
    "Record": "String",
    "Waiting": "UInt32",
    "Count": "UInt32",
    "Index": "UInt32",
}
"""The variables of a verdict and their types, in the order in which they are written."""
STATE: dict[str, str] = {
    "ActiveRecipe": "String",
    "Alive": "Boolean",
    "Ready": "Boolean",
    "Result": "UInt16",
    "Done": "Boolean",
    "Busy": "Boolean",
    "Heartbeat": "UInt32",
}
NEVER = datetime(1970, 1, 1, tzinfo=timezone.utc)
FAREWELL = 0.2
"""Seconds for subscriptions to tell that the line is stopped."""
LONGEST = 200
"""Characters of an argument."""


@dataclass(frozen=True, kw_only=True)
class OpcuaSettings:
    """Where the server listens, and who may use it."""

    address: str = "127.0.0.1"
    """`0.0.0.0`: every network of this machine."""
    port: int = bounded(1, 65535, default=4840)
    user: str = ""
    """Who may read and call methods, with the password below."""
    password_file: str = ""
    """A file with the password in its first line, relative to the station's file."""
    anonymous: bool = False
    """Whether everybody may read; methods need the user."""
    unencrypted: bool = False
    """Whether clients without a certificate are served, too."""
    answer_s: float = bounded(0.05, 600, default=5.0)
    """From a call of Trigger to its result, if the station gives none."""


class OpcuaOutput(PlcServer):
    """Serves nodes."""

    Settings = OpcuaSettings
    settings: OpcuaSettings
    by = "opcua"

    def __init__(self, settings: OpcuaSettings, context: OutputContext) -> None:
        require("asyncua", extra="opcua")
        if bool(settings.user) != bool(settings.password_file) or not (
            settings.user or settings.anonymous
        ):
            raise ConfigError(
                "an output opcua has no user with a password_file, and is not open to everybody",
                remedy='user = "plc" and password_file = "opcua.password", or anonymous = true',
                code="station/config",
            )
        super().__init__(settings, context)
        self._nodes: dict[str, ua.NodeId] = {}
        self._written: dict[str, Any] = {}
        self._server: Server | None = None

    async def _begin(self) -> None:
        from asyncua import Server, ua

        logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # else a line for each bad client
        settings, context = self.settings, self.context
        self._nodes, self._written = {}, {}
        password = ""
        if settings.user:
            lines = (context.base / settings.password_file).read_text(encoding="utf-8").splitlines()
            password = lines[0].strip() if lines else ""
            if not password:
                raise ValueError(f"{settings.password_file} has no password in its first line")
        uri = f"urn:{context.device}:edgeseg:{context.station}"
        key, certificate = self_signed(context.folder / FOLDER, uri, context.device)
        server = Server(user_manager=users(settings.user, password, anonymous=settings.anonymous))
        await server.init()
        await server.set_application_uri(uri)
        server.set_server_name(f"edgeseg {context.station}")
        server.set_endpoint(f"opc.tcp://{settings.address}:{settings.port}")
        await server.load_certificate(certificate)
        await server.load_private_key(key)
        policies = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        if settings.unencrypted:
            policies.append(ua.SecurityPolicyType.NoSecurity)
        server.set_security_policy(policies, permission_ruleset=permissions())
        tokens: list[type] = [ua.UserNameIdentityToken] if settings.user else []
        server.set_identity_tokens(
            [*tokens, ua.AnonymousIdentityToken] if settings.anonymous else tokens
        )
        space = await server.register_namespace(NAMESPACE)
        self._server = server
        for camera in self.cameras.values():
            await self._add(camera, space)
        try:
            await server.start()
        except OSError as error:
            self._server = None
            raise cannot_listen(settings.address, settings.port, error) from error

    async def _show(self, camera: CameraSignals, verdicts: Sequence[Signals]) -> None:
        for each in verdicts:
            await self._write(camera, _verdict(each), always=True)
        newest = camera.newest()
        await self._write(camera, _verdict(newest) | _state(newest))

    async def _end(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for camera in self.cameras.values():
            ended = camera.stopped()
            await self._write(camera, _verdict(ended) | _state(ended), server=server)
        await asyncio.sleep(FAREWELL)
        await server.stop()

    async def _write(
        self,
        camera: CameraSignals,
        values: dict[str, Any],
        *,
        always: bool = False,
        server: "Server | None" = None,
    ) -> None:
        """Write variables; without `always`, those that have changed."""
        from asyncua import ua

        server = server or self._server
        if server is None:
            return
        now = datetime.now(timezone.utc)
        moment = values["DecidedAt"] if always else now
        for name, kind in (VERDICT | STATE).items():
            place, value = f"{camera.camera}.{name}", values.get(name)
            if name not in values or (not always and (value,) == (self._written.get(place),)):
                continue
            self._written[place] = value
            variant = ua.Variant(value, ua.VariantType[kind])
            stamped = ua.DataValue(variant, SourceTimestamp=moment, ServerTimestamp=now)
            await server.write_attribute_value(self._nodes[place], stamped)

    async def _add(self, camera: CameraSignals, space: int) -> None:
        """Add the object of a camera."""
        from asyncua import ua

        assert self._server is not None
        name = camera.camera
        parent = await self._server.nodes.objects.add_object(
            ua.NodeId(name, space), ua.QualifiedName(name, space)
        )
        newest = camera.newest()
        values = _verdict(newest) | _state(newest)
        for variable, kind in (VERDICT | STATE).items():
            node = ua.NodeId(f"{name}.{variable}", space)
            called = ua.QualifiedName(variable, space)
            await parent.add_variable(node, called, values[variable], ua.VariantType[kind])
            self._nodes[f"{name}.{variable}"] = node
        for method, (argument, kind, call) in self._methods(camera).items():
            node = ua.NodeId(f"{name}.{method}", space)
            called = ua.QualifiedName(method, space)
            inputs = []
            if argument:
                inputs = [ua.Argument(argument, ua.NodeId(getattr(ua.ObjectIds, kind)), -1)]
            await parent.add_method(node, called, _checked(call, kind), inputs, [])

    def _methods(
        self, camera: CameraSignals
    ) -> dict[str, tuple[str, str, Callable[..., "int | None"]]]:
        """Return name -> (argument, its type, what it does: None, or a status code)."""
        from asyncua.ua import StatusCodes

        def set_recipe(name: str) -> int | None:
            if name not in self.context.recipes:
                return int(StatusCodes.BadInvalidArgument)
            camera.choose_recipe(name)
            return None

        def trigger(part: str) -> int | None:
            return None if camera.trigger(part) else int(StatusCodes.BadInvalidState)

        def acknowledge(count: int) -> int | None:
            return None if camera.acknowledge(count) else int(StatusCodes.BadInvalidArgument)

        def stop(reason: str) -> None:
            camera.stop(reason or "stopped by OPC UA")

        return {
            "SetRecipe": ("Name", "String", set_recipe),
            "SetPart": ("Part", "String", camera.name_part),
            "Trigger": ("Part", "String", trigger),
            "Release": ("", "", camera.release),
            "Acknowledge": ("Count", "UInt32", acknowledge),
            "Stop": ("Reason", "String", stop),
            "Start": ("", "", camera.start),
        }


def _checked(
    call: Callable[..., "int | None"], kind: str
) -> "Callable[..., Awaitable[ua.StatusCode]]":
    """Return a method of the server, which checks its argument; it runs in the event loop."""
    from asyncua import ua

    async def method(parent: ua.NodeId, *given: ua.Variant) -> ua.StatusCode:
        if len(given) < bool(kind):
            return ua.StatusCode(ua.StatusCodes.BadArgumentsMissing)
        if len(given) > bool(kind):
            return ua.StatusCode(ua.StatusCodes.BadTooManyArguments)
        values = [each.Value for each in given]
        expected = int if kind == "UInt32" else str
        values = ["" if each is None and expected is str else each for each in values]
        if any(type(each) is not expected or len(str(each)) > LONGEST for each in values):
            return ua.StatusCode(ua.StatusCodes.BadInvalidArgument)
        return ua.StatusCode(call(*values) or ua.StatusCodes.Good)

    return method


def _verdict(signals: Signals) -> dict[str, Any]:
    """Return the values of the variables of VERDICT."""
    found = signals.inspection
    score = None if found is None else found.score
    return {
        "OK": signals.ok,
        "Code": signals.code,
        "Reason": signals.reason,
        "Part": found.part if found else "",
        "Recipe": found.recipe if found else "",
        "Score": nan if score is None else score,
        "DecidedAt": datetime.fromtimestamp(found.decided, timezone.utc) if found else NEVER,
        "TriggerNumber": (found.trigger or 0) & 0xFFFFFFFF if found else 0,
        "Record": found.to_json() if found else "",
        "Waiting": signals.waiting,
        "Count": signals.count & 0xFFFFFFFF,
        "Index": found.id & 0xFFFFFFFF if found else 0,
    }


def _state(signals: Signals) -> dict[str, Any]:
    """Return the values of the variables of STATE."""
    return {
        "ActiveRecipe": signals.active_recipe,
        "Alive": signals.alive,
        "Ready": signals.ready,
        "Result": signals.result,
        "Done": signals.done,
        "Busy": signals.busy,
        "Heartbeat": signals.heartbeat & 0xFFFFFFFF,
    }
