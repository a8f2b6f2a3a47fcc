"""The search space: what a recipe may change. Each choice is a setting of `edgeseg train`.

profile      line, edge          method, networks and optimizer
steps        0.5, 1, 2           times the profile's steps at a resolution: in the same time a
                                 smaller number buys a higher resolution; in trials that are
                                 smaller than a final training it changes nothing, and stays 1
lighting     0, 0.1, 0.2, 0.3    random gain and offset of the brightness
anomalies    profile, textures,  shares of the synthetic anomalies: the profile's, pasted
             material            textures alone, or all kinds but textures
head_width   32, 64, 128         channels inside the head
score_maps   m23, all, m3        levels in the image score (line): every training is judged
                                 with each of them, because no weight depends on it
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgeseg.presets import DEFAULT, PROFILES, Profile
from edgeseg.recipes import TrainConfig

Choices = dict[str, Any]
"""Name of a dimension -> what was chosen."""

STEPS = "steps"
SHARES = ("shading", "marks", "patches", "natural")
SCORE_MAPS = ("m23", "all", "m3")
SPACE: dict[str, tuple[Any, ...]] = {
    "profile": ("line", "edge"),
    STEPS: (0.5, 1.0, 2.0),
    "lighting": (0.0, 0.1, 0.2, 0.3),
    "anomalies": ("profile", "textures", "material"),
    "head_width": (32, 64, 128),
}
FIRST = (  # one change each, in this order; then their combination, then what Optuna proposes
    ("profile", "edge"),
    ("profile", "line"),
    ("lighting", 0.2),
    ("anomalies", "material"),
    (STEPS, 0.5),
    ("head_width", 32),
    ("anomalies", "textures"),
    (STEPS, 2.0),
)


def base_config(base: Mapping[str, Any]) -> TrainConfig:
    """Return the default recipe: the given settings, and those of `edgeseg train` for the rest."""
    own = {} if {"profile", "model"} & set(base) else {"profile": DEFAULT}
    return TrainConfig(**own | dict(base))


def space_for(base: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return the dimensions that the given settings leave open, each with the default's value."""
    fixed = set(base)
    if "model" in base:
        fixed.add("profile")
    if fixed & set(SHARES):
        fixed.add("anomalies")
    if fixed & {"student_steps", "head_steps", "epochs"}:
        fixed.add(STEPS)
    if base.get("augmentation") is False:
        fixed.add("lighting")
    if not base_config(base).head:
        fixed.add("head_width")
    default = _defaults(base)
    return {
        name: tuple(dict.fromkeys((default[name], *values)))
        for name, values in SPACE.items()
        if name not in fixed
    }


def default_choices(base: Mapping[str, Any]) -> Choices:
    """Return the default recipe, as choices in the space of the given settings."""
    wanted = _defaults(base)
    return {name: wanted[name] for name in space_for(base)}


def _defaults(base: Mapping[str, Any]) -> Choices:
    config = base_config(base)
    return {
        "profile": config.profile,
        STEPS: 1.0,
        "lighting": config.lighting,
        "anomalies": "profile",
        "head_width": config.head_width,
    }


def first_choices(base: Mapping[str, Any]) -> Iterator[Choices]:
    """Yield the default recipe, then those that differ from it in one choice."""
    default = default_choices(base)
    yield default
    for name, value in FIRST:
        if name in default and default[name] != value:
            yield default | {name: value}


def combined(tried: Iterable[tuple[Choices, float]], default: Choices) -> Choices | None:
    """Return the default recipe with every single change that raised its score; None: no change.

    tried: recipes and their scores on one rung.
    """
    scores = list(tried)
    base = next((score for choices, score in scores if choices == default), None)
    if base is None:
        return None
    found, best = dict(default), dict.fromkeys(default, base)
    for choices, score in scores:
        changed = [name for name in default if choices[name] != default[name]]
        if len(changed) == 1 and score > best[changed[0]]:
            found[changed[0]], best[changed[0]] = choices[changed[0]], score
    return found if found != default else None


def settings_of(choices: Choices, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of `edgeseg train` that a recipe stands for; sizes come from the time."""
    settings = dict(base)
    profile: Profile = choices.get("profile", settings.get("profile", DEFAULT))
    if "model" not in settings:
        settings["profile"] = profile
    for name in ("lighting", "head_width"):
        if name in choices:
            settings[name] = choices[name]
    if choices.get("anomalies") == "textures":
        settings |= dict.fromkeys(SHARES, 0.0)
    elif choices.get("anomalies") == "material":
        shares = {name: PROFILES[profile].get(name, 0.0) for name in SHARES}
        whole = sum(shares.values()) or 1.0
        settings |= {name: round(share / whole, 4) for name, share in shares.items()}
    return settings


def score_maps_of(config: TrainConfig, base: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return the levels of the image score that a training is judged with, its own first."""
    own = config.score_maps
    if config.model != "dskd" or "score_maps" in base:
        return (own,)
    return tuple(dict.fromkeys([own, *SCORE_MAPS]))


def words(choices: Choices, default: Choices) -> str:
    """Return what differs from the default recipe, as text."""
    changed = [f"{name} {value}" for name, value in choices.items() if default[name] != value]
    return ", ".join(changed) or "default recipe"
