"""Finds the class of an output by its kind, and opens it with its settings."""

from importlib import import_module

from edgeseg.errors import ConfigError
from edgeseg.packages.plugins import load_plugin
from edgeseg.schema import Invalid, build
from edgeseg.station.config import OutputConfig
from edgeseg.station.outputs.base import Output, OutputContext

GROUP = "edgeseg.outputs"
KINDS = {
    "csv": "edgeseg.station.outputs.csv:CsvOutput",
    "jsonl": "edgeseg.station.outputs.jsonl:JsonlOutput",
    "modbus": "edgeseg.station.outputs.modbus:ModbusOutput",
    "mqtt": "edgeseg.station.outputs.mqtt.output:MqttOutput",
    "opcua": "edgeseg.station.outputs.opcua:OpcuaOutput",
    "page": "edgeseg.station.page.output:PageOutput",
    "prometheus": "edgeseg.station.outputs.prometheus:PrometheusOutput",
    "webhook": "edgeseg.station.outputs.webhook:WebhookOutput",
}


def open_output(config: OutputConfig, context: OutputContext) -> Output:
    """Return an output that is not connected yet; ConfigError for a wrong kind or settings.

    MissingExtra: its package is not installed.
    """
    kind = output_kind(config.kind)
    try:
        settings = build(kind.Settings, config.settings or {}, f"output {config.name}")
    except Invalid as error:
        raise ConfigError(
            f"{error}.", remedy="correct the station's file", code="station/config"
        ) from error
    return kind(settings, context)


def output_kind(name: str) -> type[Output]:
    """Return the class of a kind; ConfigError if there is none of that name, or it is broken."""
    if (place := KINDS.get(name)) is None:
        return _of_other_packages(name)
    module, _, attribute = place.partition(":")
    found: type[Output] = getattr(import_module(module), attribute)
    return found


def _of_other_packages(name: str) -> type[Output]:
    """Return a kind that edgeseg itself does not have."""
    from importlib.metadata import entry_points  # reads a file of every installed package

    others = {each.name: each for each in entry_points(group=GROUP)}
    if name not in others:
        known = ", ".join(sorted({*others, *KINDS}))
        raise ConfigError(
            f"no output of kind '{name[:48]}' (expected one of {known})",
            remedy='kind = "jsonl"',
            code="station/no-output",
        )
    found: type[Output] = load_plugin(others[name])
    return found
