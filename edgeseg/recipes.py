"""How one model is trained: its method, the paper's defaults for it, and the paper's ablations.

A field whose default depends on the method or the profile is None until birth, and then holds
theirs. One that a method does not know stays None, and giving it is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeseg.errors import ConfigError
from edgeseg.settings import by_model, check_choices, setting, within

STRIDE = 32  # of the students' deepest features

ModelName = Literal["destseg", "stpm", "dskd"]
Profile = Literal["paper", "edge"]
Rotation = Literal["none", "slight", "full", "paper"]
TextureColor = Literal["color", "gray"]
Schedule = Literal["constant", "cosine"]
Features = Literal["raw", "standard"]
Optimizer = Literal["sgd", "adam"]
HeadInput = Literal["product", "concatenation", "cosine"]
Structure = Literal["ds", "t-e", "t-d", "e-d"]
Maps = Literal["all", "m1", "m2", "m3", "m23"]

_COMMON: dict[str, Any] = {
    "profile": "paper",
    "student_width": 64,
    "head_width": 256,
    "blocks_rate": 0.1,
    "aspp_rate": 0.01,
    "l1": True,
    "teacher": "resnet18",
    "schedule": "constant",
    "shading": 0.0,
    "marks": 0.0,
    "patches": 0.0,
}
_DESTSEG: dict[str, Any] = _COMMON | {
    "head_stride": 4,
    "student_steps": 1000,
    "optimizer": "sgd",
    "student_rate": 0.4,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "top": 100,
    "denoising": True,
    "decoder": True,
    "head": True,
    "head_input": "product",
}

RECIPES: dict[ModelName, dict[str, Any]] = {
    "destseg": _DESTSEG,
    # DeSTSeg's experiment 1 (Table 4): STPM's networks, trained as DeSTSeg's are.
    "stpm": _DESTSEG | {"denoising": False, "decoder": False, "head": False},
    # DSKD, section 4.1.2. It names no batch size and no weight decay.
    "dskd": _COMMON
    | {
        "epochs": 200,
        "optimizer": "adam",
        "student_rate": 1e-3,
        "momentum": 0.5,
        "weight_decay": 0.0,
        "top": 1,
        "distance_weight": 0.1,
        "structure": "ds",
        "embedding": True,
        "maps": "all",
        "score_maps": None,
        "head": False,
    },
}
# Not the papers': the same method for a CPU beside the line, chosen by measurement (LOG.md).
PROFILES: dict[Profile, dict[str, Any]] = {
    "paper": {},
    "edge": {
        "teacher": "efficientnet_lite0",
        "student_width": 32,
        "head_width": 64,
        "optimizer": "adam",
        "student_rate": 1e-3,
        "blocks_rate": 1e-3,
        "aspp_rate": 1e-3,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "shading": 0.2,
        "marks": 0.2,
        "patches": 0.2,
    },
}
_STEPS = ("student_steps", "epochs")  # one or the other
_OTHERS = ("shading", "marks", "patches")  # shares of the anomalies that are no texture


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How one model is trained; the defaults are those of the model's paper."""

    model: ModelName = setting(
        "destseg", "destseg; dskd: two students, no head; stpm: DeSTSeg's experiment 1"
    )
    profile: Profile = by_model(
        "paper (default), or edge: light networks and our own defaults, for a CPU or a small Jetson"
    )
    teacher: str = by_model(
        "ImageNet backbone: resnet18 (default), efficientnet_lite0 (default of edge), any of timm"
    )
    teacher_weights: Path | None = setting(None, "State dict for the teacher (.safetensors, .pth)")
    features: Features = setting(
        "raw",
        "Teacher's features: raw, or standard: each channel's mean 0, deviation 1 on good parts",
    )
    local_contrast: float = setting(
        0.0,
        "Divide out the local mean and deviation of the grey values: sigma of the Gaussian as a "
        "share of the side; 0 (the paper): not",
    )
    image_size: int = setting(256, "Side of the square the network sees, in pixels")
    batch: int = setting(32, "Images in one step")
    student_steps: int | None = by_model(
        "Steps for the student, before the head starts; default: 1000, of dskd its epochs"
    )
    epochs: int | None = by_model(
        "Instead of steps: times that the student sees each image; default of dskd: 200"
    )
    head_steps: int = setting(4000, "Steps for the segmentation head, with the student frozen")
    optimizer: Optimizer = by_model("sgd, or adam; default: sgd, of dskd and edge adam")
    student_rate: float = by_model(
        "Learning rate of the student; default: 0.4, of dskd and edge 0.001"
    )
    blocks_rate: float = by_model(
        "Learning rate of the head's residual blocks; default: 0.1, of edge 0.001"
    )
    aspp_rate: float = by_model("Learning rate of the head's ASPP; default: 0.01, of edge 0.001")
    momentum: float = by_model("Momentum of SGD, or Adam's first beta; default: 0.9, of dskd 0.5")
    average: float = setting(
        0.0, "Keep a running mean of the weights with this decay, and end with it; 0: the last ones"
    )
    schedule: Schedule = by_model(
        "constant (default), or cosine: down to 0 over each phase (default of edge)"
    )
    weight_decay: float = by_model("Weight decay; default: 0.0001, of dskd and edge 0")
    gamma: float = setting(4.0, "How strongly the focal loss looks at hard pixels")
    top: int = by_model(
        "The image score is the mean of this many highest map values; default: 100, of dskd 1"
    )
    denoising: bool = by_model(
        "The student sees anomalies and answers as if there were none; default: yes, of stpm no"
    )
    decoder: bool = by_model(
        "The student is an encoder and a decoder, not the first alone; default: yes, of stpm no"
    )
    head: bool = by_model(
        "A head, not the geometric mean of the cosine distances; default: yes, of stpm no. Of dskd "
        "(no): a head that sharpens the map; the score stays the discrepancy's"
    )
    head_input: HeadInput = by_model(
        "What the head reads: product (default), concatenation of the features, or cosine"
    )
    student_width: int = by_model(
        "Channels of the student at stride 4: 64 (default), ResNet18's, or fewer; of edge 32"
    )
    head_width: int = by_model("Channels inside the head: 256 (default) or fewer; of edge 64")
    head_stride: int = by_model(
        "Grid of the head: 4 (default), or 8 for a quarter of the arithmetic and a coarser map"
    )
    l1: bool = by_model("The head's loss has an L1 term beside the focal one; default: yes")
    distance_weight: float = by_model(
        "Of dskd: lambda, the weight of the Euclidean distance beside the cosine; default: 0.1"
    )
    structure: Structure = by_model(
        "Of dskd: ds (default): both students; t-e, t-d, e-d: two of teacher, encoder, decoder"
    )
    embedding: bool = by_model(
        "Of dskd: the decoder reads all of the encoder's levels, not the last one; default: yes"
    )
    maps: Maps = by_model(
        "Of dskd: the anomaly map is of all levels (default), of m1, m2 or m3 alone, or of m2 and "
        "m3: m23"
    )
    score_maps: Maps | None = by_model(
        "Of dskd: the levels that the image score is taken from; default: those of the map"
    )
    augmentation: bool = setting(True, "Rotation and lighting as set below, or neither")
    rotation: Rotation = setting(
        "none",
        "none, slight (5 degrees), full (any side up, 5 degrees) or paper: its own for MVTec AD",
    )
    textures: Path | None = setting(None, "Folder of images pasted as anomalies, for instance DTD")
    texture_color: TextureColor = setting("color", "gray: paste textures without their color")
    shading: float = by_model(
        "Share of the anomalies that are a lighter or darker region, and no texture; default: 0, "
        "of edge 0.2"
    )
    marks: float = by_model(
        "Share of the anomalies that are cracks, scratches and pores; default: 0, of edge 0.2"
    )
    patches: float = by_model(
        "Share of the anomalies that are a piece of the part itself, from another place; "
        "default: 0, of edge 0.2"
    )
    intact: float = setting(
        0.0, "Share of the images without an anomaly, so that the head sees whole good parts too"
    )
    opacity_min: float = setting(0.2, "Faintest anomaly; 1 hides the part wholly")
    opacity_max: float = setting(1.0, "Strongest anomaly")
    lighting: float = setting(0.0, "Random gain and offset of the brightness, 0 (the paper) to 1")
    holdout: float = setting(0.1, "Share of the good images kept back to find the threshold")
    seed: int = setting(0, "Fixes the split, the weights, the anomalies and the order of images")
    device: str = setting("auto", "auto, cpu, cuda, cuda:1")
    save_every: int = setting(100, "Steps between checkpoints that --resume continues from")

    def __post_init__(self) -> None:
        check_choices(self)
        self._take_recipe()
        if self.image_size % STRIDE or self.image_size <= 0:
            nearest = max(round(self.image_size / STRIDE), 2) * STRIDE
            raise ConfigError(
                f"image_size is {self.image_size}; a multiple of {STRIDE} was expected.",
                remedy=f"--image-size {nearest}",
            )
        within("batch", self.batch, 2, 4096)  # batch normalization of pooled features needs two
        for name in _STEPS:
            if getattr(self, name) is not None:
                within(name, getattr(self, name), 0, 10_000_000)
        within("head_steps", self.head_steps, 0, 10_000_000)
        within("top", self.top, 1, min(3840, self.image_size**2))  # TensorRT's TopK ends at 3840
        within("opacity_min", self.opacity_min, 0.0, self.opacity_max)
        within("opacity_max", self.opacity_max, 0.0, 1.0)
        within("intact", self.intact, 0.0, 1.0)
        within("lighting", self.lighting, 0.0, 1.0)
        for name in _OTHERS:
            within(name, getattr(self, name), 0.0, 1.0)
        if sum(getattr(self, name) for name in _OTHERS) > 1.0 + 1e-9:
            found = ", ".join(f"{name} {getattr(self, name)}" for name in _OTHERS)
            raise ConfigError(
                f"The shares of the anomalies are {found}; at most 1 together was expected, and "
                "textures take the rest.",
                remedy="--shading 0.2 --marks 0.2 --patches 0.2",
            )
        within("local_contrast", self.local_contrast, 0.0, 1.0)
        within("average", self.average, 0.0, 0.99999)
        within("momentum", self.momentum, 0.0, 1.0 if self.optimizer == "sgd" else 0.9999)
        within("weight_decay", self.weight_decay, 0.0, 1.0)
        within("gamma", self.gamma, 0.0, 100.0)
        if self.distance_weight is not None:
            within("distance_weight", self.distance_weight, 0.0, 100.0)
        within("holdout", self.holdout, 0.0, 0.9)
        within("save_every", self.save_every, 1, 10_000_000)
        within("student_rate", self.student_rate, 1e-9, 100.0)
        within("student_width", self.student_width, 4, 256)
        within("blocks_rate", self.blocks_rate, 1e-9, 100.0)
        within("aspp_rate", self.aspp_rate, 1e-9, 100.0)
        within("head_width", self.head_width, 4, 1024)
        if self.head_stride not in (None, 4, 8):
            raise ConfigError(
                f"head_stride is {self.head_stride}; 4 or 8 was expected.",
                remedy="--head-stride 4",
            )

    def first_steps(self, images: int) -> int:
        """Return the steps of the student's phase, over a number of good images."""
        if self.epochs is None:
            assert self.student_steps is not None, "a recipe has steps or epochs"
            return self.student_steps
        return -(-self.epochs * images // self.batch)

    @property
    def corrupts(self) -> tuple[bool, bool]:
        """Whether the student's phase, and the head's, look at images with drawn anomalies."""
        return bool(self.denoising), bool(self.head)

    def _take_recipe(self) -> None:
        """Fill in what was not given; refuse what the model does not know."""
        recipe = RECIPES[self.model] | PROFILES[self.profile or "paper"]
        given = [name for name in _STEPS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(
                f"student_steps is {self.student_steps} and epochs is {self.epochs}; "
                "one of them was expected.",
                remedy=f"--epochs {self.epochs}",
            )
        for name in {name for each in RECIPES.values() for name in each} - set(_STEPS):
            if getattr(self, name) is None:
                object.__setattr__(self, name, recipe.get(name))
            elif name not in recipe:
                others = [model for model, each in RECIPES.items() if name in each]
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, and {self.model} has no such setting.",
                    remedy=f"--model {others[0]}, or leave {name} out",
                )
        if not given:
            for name in _STEPS:
                object.__setattr__(self, name, recipe.get(name))
