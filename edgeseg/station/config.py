"""What one TOML file says of a station: cameras, recipes, outputs, evidence, page.

    [station]            name and the folder of its state
    [[recipe]]           a model with the thresholds and the rule that judge a part
    [[camera]]           a source, the recipe it begins with, and its mode
    [[gpio]]             digital lines to a PLC
    [[output]]           kind = "mqtt", "webhook", "csv", ... and the settings of that kind
    [evidence]           which frames are kept
    [fleet]              how recipes follow a tag of a registry
    [page]               where the page is served

Modes of a camera:

    live         the newest frame is judged; one that it replaces has a record, `dropped`
    file         every frame is judged; the source waits
    triggered    a frame for each trigger; each is answered in time, if only with `late`
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

from edgeseg.addresses import public
from edgeseg.errors import ConfigError
from edgeseg.files import quoted, shown
from edgeseg.schema import Invalid, bounded, build, schema_of
from edgeseg.settings import read_toml
from edgeseg.station.following.config import FleetConfig
from edgeseg.station.following.reference import parse_reference
from edgeseg.verdict.region_config import RegionConfig
from edgeseg.verdict.rule import Rule

CameraMode = Literal["live", "file", "triggered"]
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
"""Of stations, cameras, recipes and outputs: topics, folders and labels are made of them."""
_SOURCE = re.compile(r"\w+ stream --(?:camera|source) (\S+)")
_OPTION = re.compile(r"--([a-z][a-z-]*) ([^\s,]+)")
THRESHOLD = 1e6
OF_A_MODEL = ("threshold", "image_threshold", "min_peak")
"""Settings of a recipe that mean nothing to another model."""
PAGE = "page"
LISTS = ("recipe", "camera", "gpio", "output")
"""Tables of which there may be several."""


@dataclass(frozen=True, kw_only=True)
class General:
    """The station itself."""

    name: str = "station"
    folder: str = "station"
    """Journal, evidence and the state of the outputs; relative to the TOML file."""
    journal_gb: float = bounded(0.01, 10_000, default=4.0)
    """Beyond it the oldest records go, of good parts first, once every output has them."""
    disk_reserve_gb: float = bounded(0, 10_000, default=1.0)
    """With less space on the disk no evidence is kept."""


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """What judges a part."""

    name: str
    model: str
    """An engine, an ONNX file or a run; relative to the TOML file."""
    follow: str = ""
    """`REGISTRY/line/bottle:stable`: newer models come from there; `model` runs until then."""
    runtime: Literal["onnxruntime", "openvino"] | None = None
    """Of an ONNX file."""
    threads: int | None = bounded(1, 4096, default=None)
    """CPU threads [default: all cores]."""
    device: int = bounded(0, 63, default=0)
    """GPU of an engine, by CUDA's number."""
    threshold: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)
    """Of the pixels [default: the model's]."""
    image_threshold: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)
    """[default: the model's]"""
    rule: str | None = None
    """`score`, `region`, `area:200` or `count:3` [default: the model's]."""
    min_area: str | None = None
    """`50` (pixels) or `0.5mm2`."""
    min_peak: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)
    mm_per_px: float | None = bounded(1e-6, 1e3, default=None)

    def regions(self, of: Rule | None = None) -> RegionConfig:
        """Return the settings of the regions, checked: alone, or against the rule of a model."""
        try:
            found = RegionConfig(
                **{each.name: getattr(self, each.name) for each in fields(RegionConfig)}
            )
            if of is not None:
                found.applied(of)
        except ConfigError as error:
            problem = f"recipe {public(self.name[:48])}: {error.problem}"
            raise ConfigError(problem, remedy=in_toml(error.remedy), code=error.code) from None
        return found

    def judging(self) -> dict[str, Any]:
        """Return what replaces a stream's settings: thresholds, and those of the regions."""
        given = {"threshold": self.threshold, "image_threshold": self.image_threshold}
        return given | vars(self.regions())


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """Where frames come from."""

    name: str
    source: str
    """As for `edgeseg stream`: `0`, `rtsp://...`, `genicam://...`, a video, a folder; files and
    folders are relative to the TOML file."""
    recipe: str = ""
    """With which it begins [default: the first]."""
    mode: CameraMode = "live"
    trigger: Literal["software", "hardware"] = "software"
    """In mode `triggered`: whether a program asks for frames, or a wire at the camera does."""
    width: int | None = bounded(16, 16384, default=None)
    height: int | None = bounded(16, 16384, default=None)
    fps: float | None = bounded(0.1, 1000, default=None)
    format: str | None = None
    """The pixel format that a camera is asked for."""
    deadline_ms: float = bounded(1, 600_000, default=1000.0)
    """From a trigger to its frame; a later one is answered with `late`."""
    queue: int = bounded(1, 64, default=8)
    """Frames and triggers that may wait in mode `triggered`."""


@dataclass(frozen=True, kw_only=True)
class GpioConfig:
    """Digital lines, by their number on a chip; those that are not given are not used."""

    chip: str = "/dev/gpiochip0"
    camera: str = ""
    """Whose verdicts are shown, and whose frames are asked for [default: of all]."""
    ok: int | None = bounded(0, 1023, default=None)
    """Active for `pulse_ms` after a good part."""
    not_ok: int | None = bounded(0, 1023, default=None)
    """Active for `pulse_ms` after any other."""
    ready: int | None = bounded(0, 1023, default=None)
    """Changes its level twice a second while the station runs."""
    trigger: int | None = bounded(0, 1023, default=None)
    """An input: its rising edge asks for a frame."""
    pulse_ms: float = bounded(1, 10_000, default=50.0)
    deadline_ms: float | None = bounded(1, 600_000, default=None)
    """From the arrival of a frame; a verdict after it is shown as not OK."""
    active_low: bool = False


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """Who is told of verdicts; `settings` belong to the kind."""

    kind: str
    name: str = ""
    """[default: the kind]"""
    require: bool = False
    """Whether the line stops when this output does not take verdicts for `require_s` seconds."""
    require_s: float = bounded(0.1, 86_400, default=10.0)
    settings: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Which frames are kept, besides those that are not good."""

    quota_gb: float = bounded(0, 100_000, default=10.0)
    """0 keeps nothing; what is there stays."""
    good_share: float = bounded(0, 1, default=0.001)
    """Of good frames, chosen at random."""
    near: float = bounded(0, 1, default=0.05)
    """A good frame is kept too if what its rule compares (score, total area, number of regions, or
    highest value of the map) is this near below its limit, as a share of the limit."""


@dataclass(frozen=True, kw_only=True)
class PageConfig:
    """Where the page is served."""

    address: str = "127.0.0.1:8765"
    """Empty: no page. Other hosts than this one need the token that the station prints."""
    certificate: str = ""
    """PEM file for TLS, relative to the TOML file."""
    key: str = ""
    hosts: tuple[str, ...] = ()
    """Other names under which the page may be asked for, such as that of a proxy."""
    fps: float = bounded(0.1, 30, default=5.0)
    """Most pictures per second that a viewer gets."""


@dataclass(frozen=True, kw_only=True)
class StationConfig:
    """One station; see the head of this file."""

    station: General = General()
    recipe: tuple[RecipeConfig, ...]
    camera: tuple[CameraConfig, ...]
    gpio: tuple[GpioConfig, ...] = ()
    output: tuple[OutputConfig, ...] = ()
    evidence: EvidenceConfig = EvidenceConfig()
    fleet: FleetConfig = FleetConfig()
    page: PageConfig = PageConfig()
    base: Path = Path()
    """The folder of the TOML file."""

    @property
    def folder(self) -> Path:
        """Where the station keeps its state."""
        return self.base / self.station.folder

    @property
    def outputs(self) -> tuple[OutputConfig, ...]:
        """All outputs: those of [[output]], and the page."""
        if not self.page.address:
            return self.output
        page = OutputConfig(kind=PAGE, name=PAGE, settings=vars(self.page))
        return (*self.output, page)

    @property
    def follows(self) -> bool:
        """Whether a recipe follows a tag."""
        return any(each.follow for each in self.recipe)

    def recipe_named(self, name: str) -> RecipeConfig | None:
        """Return a recipe by its name."""
        return next((each for each in self.recipe if each.name == name), None)

    def first_recipe(self, camera: CameraConfig) -> str:
        """Return the recipe that a camera begins with."""
        return camera.recipe or self.recipe[0].name


def read_station(path: Path) -> StationConfig:
    """Read a station's file; ConfigError names all that is wrong, with what is expected."""
    if not path.exists():
        raise ConfigError(
            f"not found: {shown(path)} (expected the file of a station)",
            remedy=f"edgeseg station init {quoted(path)}",
            code="station/no-file",
        )
    document = read_toml(path)
    _check_tables(document, path)
    _gather_settings(document)
    try:
        found = build(StationConfig, {"base": str(path.parent), **document}, "")
    except Invalid as error:
        raise _wrong(path, error.problems) from error
    _check_rules(found, path)
    if problems := [*_wrong_names(found), *_wrong_uses(found)]:
        raise _wrong(path, problems)
    cameras = [replace(each, source=_placed(each.source, found.base)) for each in found.camera]
    return replace(found, camera=tuple(cameras))


def read_again(path: Path, before: StationConfig) -> StationConfig:
    """Read the file of a station that runs; ConfigError also for what needs a new start."""
    found = read_station(path)
    if found.folder != before.folder:
        raise ConfigError(
            f"{shown(path)}: the folder of the state is {shown(found.folder)}, and was "
            f"{shown(before.folder)} (expected the same while the station runs).",
            remedy="end the station and start it again, or give the folder its name back",
            code="station/folder",
        )
    return found


def in_toml(remedy: str) -> str:
    """Return a remedy that names options of the command line with the keys of a station's file."""

    def key(found: re.Match[str]) -> str:
        name, value = found[1].replace("-", "_"), found[2]
        return f"{name} = {value}" if name in ("mm_per_px", "min_peak") else f'{name} = "{value}"'

    return _OPTION.sub(key, _SOURCE.sub(r'source = "\1"', remedy))


def _placed(source: str, base: Path) -> str:
    """Return a source whose file or folder is no longer relative to the TOML file."""
    scheme, is_address, rest = source.partition("://")
    if source.isdecimal() or (is_address and scheme != "watch"):
        return source
    if not is_address:
        return str(base / source)
    folder, *options = rest.partition("?")
    return f"watch://{quote(str(base / unquote(folder)))}{''.join(options)}"


def _check_tables(document: Mapping[str, Any], path: Path) -> None:
    """ConfigError for [camera] instead of [[camera]], and the other way round."""
    problems = ["unknown base"] if "base" in document else []
    for name in schema_of(StationConfig)[0]:
        value, lists = document.get(name), name in LISTS
        if name == "base" or value is None:
            continue
        tables = value if lists and isinstance(value, list) else [value]
        if isinstance(value, list) != lists or not all(isinstance(each, dict) for each in tables):
            found = "one table" if isinstance(value, dict) else "no table"
            expected = f"[[{name}]]" if lists else f"[{name}]"
            problems.append(f"{name} is {found} (expected {expected})")
    if problems:
        raise _wrong(path, problems)


def _gather_settings(document: dict[str, Any]) -> None:
    """Put what an output does not know into its `settings`, which its kind checks."""
    own = {field.name for field in fields(OutputConfig)} - {"settings"}
    gathered = []
    for each in document.get("output", []):
        known = {name: value for name, value in each.items() if name in own}
        rest = {name: value for name, value in each.items() if name not in own}
        gathered.append({"name": str(each.get("kind", "")), **known, "settings": rest})
    if gathered:
        document["output"] = gathered


def _check_rules(found: StationConfig, path: Path) -> None:
    """ConfigError for the rules of the recipes; of one, with its remedy."""
    errors = []
    for recipe in found.recipe:
        try:
            recipe.regions()
        except ConfigError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise _wrong(path, [error.problem for error in errors])


def _wrong_names(found: StationConfig) -> Iterator[str]:
    """Yield what is wrong with the names of the station, recipes, cameras and outputs."""
    if not found.recipe or not found.camera:
        yield "it has no recipe or no camera (expected [[recipe]] and [[camera]])"
    if any(PAGE in (each.kind, each.name) for each in found.output):
        yield "an output is the page (expected its own table, [page])"
    named = {"station": [found.station.name]}
    for kind in ("recipe", "camera", "output"):
        named[kind] = [each.name for each in getattr(found, kind)]
    for kind, names in named.items():
        for name, count in Counter(names).items():
            if not NAME.fullmatch(name):
                what = f"the {kind} has the name '{public(name[:48])}'"
                yield f"{what} (expected a-z, 0-9, - and _, at most 48)"
            if count > 1:
                yield f"{count} of {kind} have the name {name} (expected different ones)"


def _wrong_uses(found: StationConfig) -> Iterator[str]:
    """Yield what is wrong with what recipes, cameras and digital lines say of one another."""
    recipes, cameras = (", ".join(each.name for each in of) for of in (found.recipe, found.camera))
    for recipe in found.recipe:
        if recipe.follow:
            try:
                parse_reference(recipe.follow)
            except ConfigError as error:
                yield f"recipe {recipe.name} follows an {error.problem}"
        own = [name for name in OF_A_MODEL if getattr(recipe, name) is not None]
        if recipe.follow and own:
            problem = f"recipe {recipe.name} follows a tag and has {', '.join(own)}"
            yield f"{problem} (expected none: a new model brings its own)"
    for lines in found.gpio:
        if lines.camera and lines.camera not in {camera.name for camera in found.camera}:
            yield f"gpio has camera '{public(lines.camera[:48])}' (expected one of {cameras})"
    for camera in found.camera:
        if camera.recipe and found.recipe_named(camera.recipe) is None:
            problem = f"camera {camera.name} has recipe '{public(camera.recipe[:48])}'"
            yield f"{problem} (expected one of {recipes})"
        if (camera.width is None) != (camera.height is None):
            yield f"camera {camera.name} needs both width and height, or neither"


def _wrong(path: Path, problems: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{shown(path)}: {'; '.join(problems)}.",
        remedy="correct the file; for an example: edgeseg station init example.toml",
        code="station/config",
    )
