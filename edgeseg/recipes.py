"""Training settings.

A field whose default depends on the method or the profile is None in the declaration and filled in
on construction, from presets.py. A field that a method does not have stays None; setting it is a
ConfigError.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from edgeseg.errors import ConfigError
from edgeseg.frame.geometry import STRIDE, Aspect
from edgeseg.frame.tiles import TileRequest
from edgeseg.limits import limit
from edgeseg.presets import PROFILES, RECIPES, STEPS, ModelName, Profile, defaults
from edgeseg.settings import by_model, check_choices, fraction, plain, setting, validate

Rotation = Literal["none", "slight", "full", "paper"]
TextureColor = Literal["auto", "color", "gray"]
Schedule = Literal["constant", "cosine"]
Features = Literal["raw", "standard"]
Optimizer = Literal["sgd", "adam"]
HeadInputName = Literal["product", "concatenation", "cosine"]
Structure = Literal["ds", "t-e", "t-d", "e-d"]
MapLevels = Literal["all", "m1", "m2", "m3", "m23"]

_OTHERS = ("shading", "marks", "patches", "natural")  # shares: what is not a texture


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TileRequest):
    """How one model is trained; the defaults are those of the model's paper."""

    PANELS: ClassVar[dict[str, str]] = {
        "Data and augmentation": "holdout augmentation rotation lighting local_contrast roi "
        "ignore locate",
        "Tiles": "tiles tile_size overlap",
        "Defective images": "use_defects defect_share",
        "Synthetic anomalies": (
            "textures texture_color shading marks patches natural intact opacity_min opacity_max"
        ),
        "Optimization": (
            "optimizer student_rate blocks_rate aspp_rate momentum weight_decay schedule ema_decay "
            "focal_gamma save_every"
        ),
        "Network": "teacher teacher_weights features student_width head_width head_stride top",
        "Ablations of the papers": (
            "head head_input l1 denoising decoder distance_weight structure embedding maps "
            "score_maps map_root"
        ),
    }

    model: ModelName = by_model("Method [default: the profile's]")
    profile: Profile = by_model("Preset [default: line; with --model: paper]")
    minutes: float | None = setting(
        None, "Time budget [default: 30; on a GPU 10]", low=0.1, high=100_000, example=30
    )
    image_size: int = by_model(
        "Side of the network input, px [default: by time]",
        low=STRIDE,
        high=lambda _: limit("EDGESEG_MAX_IMAGE_SIZE"),
    )
    aspect: Aspect = by_model("As the images, or square [default: keep]")
    batch: int = by_model(  # batch normalization of pooled features needs two
        "Images per step [default: 8; paper: 32]", low=2, high=4096
    )
    student_steps: int | None = by_model(
        "Student training steps [default: by time]", low=0, high=10_000_000
    )
    head_steps: int = by_model("Head training steps [default: by time]", low=0, high=10_000_000)
    epochs: int | None = by_model(
        "Student epochs instead [paper, dskd: 200]", low=0, high=10_000_000
    )
    seed: int = setting(0, "Random seed", low=0, high=1 << 62)
    device: str = setting("auto", "auto, cpu, cuda or cuda:1")

    holdout: float = setting(
        0.1, "Share of good images held out for the thresholds", low=0.0, high=0.9
    )
    augmentation: bool = setting(True, "Apply rotation and lighting as set below")
    rotation: Rotation = setting(
        "none",
        "slight: 5 degrees; full: any right angle and 5 degrees; paper: per MVTec AD category",
    )
    lighting: float = fraction(None, "Random gain and offset of the brightness, 0..1 [default: 0]")
    local_contrast: float = fraction(
        0.0,
        "Normalize gray values by local mean and deviation: sigma of the Gaussian as a share of "
        "the side; 0 disables",
    )

    roi: Path | None = setting(
        None,
        "What is inspected: a mask image, a folder of them, or a JSON or XML file of areas "
        "[default: the whole image]",
    )
    ignore: Path | None = setting(None, "What is not inspected, in the same forms")
    locate: Path | None = setting(
        None,
        "Photo that the ROIs were drawn on: the part is found in each picture, and the ROIs move "
        "with it [default: they lie still]",
    )

    use_defects: bool = setting(
        False, "Train the head also on defective images of DATA; those left over judge it"
    )
    defect_share: float = fraction(
        0.5, "Share of the images of each type of defect to train on with --use-defects"
    )

    textures: Path | None = setting(
        None, "Folder of images pasted as anomalies, e.g. DTD [default: generated]"
    )
    texture_color: TextureColor = by_model(
        "Pasted textures; auto: as the photos [default: color; line: auto]"
    )
    shading: float = fraction(
        None, "Share of anomalies that are lighter or darker regions [default: 0, or 0.2]"
    )
    marks: float = fraction(
        None, "Share of anomalies that are cracks, scratches and pores [default: 0, or 0.2]"
    )
    patches: float = fraction(
        None, "Share of anomalies that are patches moved within the image [default: 0, or 0.2]"
    )
    natural: float = fraction(
        None,
        "Share of anomalies that keep the material: torn surfaces, cracks, pieces of other "
        "parts [default: 0]",
    )
    intact: float = fraction(None, "Share of training images without an anomaly [default: 0]")
    opacity_min: float = setting(
        0.2, "Lowest opacity of an anomaly", low=0.0, high=lambda config: config.opacity_max
    )
    opacity_max: float = fraction(1.0, "Highest opacity of an anomaly")

    optimizer: Optimizer = by_model("Optimizer [default: sgd; dskd, line, edge: adam]")
    student_rate: float = by_model(
        "Learning rate of the student [default: 0.4; dskd, edge: 0.001; line: 0.002]",
        low=1e-9,
        high=100.0,
    )
    blocks_rate: float = by_model(
        "Learning rate of the head's residual blocks [default: 0.1; line, edge: 0.001]",
        low=1e-9,
        high=100.0,
    )
    aspp_rate: float = by_model(
        "Learning rate of the head's ASPP [default: 0.01; line, edge: 0.001]", low=1e-9, high=100.0
    )
    momentum: float = by_model(
        "Momentum of SGD or beta1 of Adam [default: 0.9; dskd: 0.5]",
        low=0.0,
        high=lambda config: 1.0 if config.optimizer == "sgd" else 0.9999,
    )
    weight_decay: float = fraction(None, "Weight decay [default: 0.0001; dskd, line, edge: 0]")
    schedule: Schedule = by_model(
        "Learning rate schedule per phase [default: constant; edge: cosine]"
    )
    ema_decay: float = by_model(
        "EMA decay of the weights; 0 disables [default: 0; line: 0.98]", low=0.0, high=0.99999
    )
    focal_gamma: float = setting(4.0, "Focal loss gamma", low=0.0, high=100.0)
    save_every: int = setting(100, "Steps between checkpoints for --resume", low=1, high=10_000_000)

    teacher: str = by_model(
        "ImageNet backbone of timm [default: resnet18; line, edge: efficientnet_lite0]"
    )
    teacher_weights: Path | None = setting(None, "Weights of the teacher (.safetensors or .pth)")
    features: Features = setting(
        "raw", "Teacher features; standard: zero mean and unit deviation per channel on good images"
    )
    student_width: int = by_model(
        "Student channels at stride 4 [default: 64, as ResNet18; edge: 32]", low=4, high=256
    )
    head_width: int = by_model(
        "Channels inside the head [default: 256; line, edge: 64]", low=4, high=1024
    )
    head_stride: int = by_model(
        "Stride of the head, 4 or 8; 8: a quarter of the MACs, a coarser map [default: 4]"
    )
    top: int = by_model(  # the largest K of TensorRT's TopK is 3840
        "The image score is the mean of this many highest map values [default: 100; dskd: 1]",
        low=1,
        high=lambda config: min(3840, config.image_size**2),
    )

    head: bool = by_model(
        "Segmentation head [default: yes; stpm, dskd: no; line: yes]; dskd's sharpens the map only"
    )
    head_input: HeadInputName = by_model("Input of the head [default: product]")
    l1: bool = by_model("L1 term in the loss of the head [default: yes]")
    denoising: bool = by_model(
        "Train the student on images with anomalies; of dskd the decoder, on half of them "
        "[default: yes; stpm and dskd: no]"
    )
    decoder: bool = by_model("Encoder-decoder student [default: yes; stpm: no]")
    distance_weight: float = by_model(
        "dskd: lambda, weight of the Euclidean distance [default: 0.1]", low=0.0, high=100.0
    )
    structure: Structure = by_model(
        "dskd: ds: both students; t-e, t-d, e-d: two of teacher, encoder, decoder [default: ds]"
    )
    embedding: bool = by_model(
        "dskd: the decoder reads all levels of the encoder, not only the last [default: yes]"
    )
    maps: MapLevels = by_model("dskd: levels in the anomaly map [default: all]")
    score_maps: MapLevels | None = by_model(
        "dskd: levels in the image score [default: as --maps; line: m23]"
    )
    map_root: bool = by_model(
        "dskd with a head: the map has the square root of the discrepancy, so the head weighs more "
        "[default: no]"
    )

    def __post_init__(self) -> None:
        check_choices(self)
        self._take_recipe()
        if self.image_size % STRIDE or self.image_size <= 0:
            nearest = max(round(self.image_size / STRIDE), 2) * STRIDE
            raise ConfigError(
                f"invalid image_size: {self.image_size} (expected a multiple of {STRIDE})",
                remedy=f"--image-size {nearest}",
                code="config/image-size",
            )
        validate(self)
        self.check_tiles()
        if sum(getattr(self, name) for name in _OTHERS) > 1.0 + 1e-9:
            found = ", ".join(f"{name} {getattr(self, name)}" for name in _OTHERS)
            raise ConfigError(
                f"invalid shares of anomalies: {found} (expected a sum of at most 1; the "
                "remainder uses textures)",
                remedy="--shading 0.2 --marks 0.2 --patches 0.2",
                code="config/shares",
            )
        if self.locate is not None and self.roi is None:
            raise ConfigError(
                "--locate moves ROIs with the part, and there is none",
                remedy="--roi mask.png --locate photo.png",
                code="config/conflict",
            )
        if self.use_defects and not self.head:
            raise ConfigError(
                f"--use-defects trains the head, and {self.model} has none with these settings",
                remedy="--head, or omit --use-defects",
                code="config/defects-without-head",
            )
        if self.model == "dskd" and self.denoising and self.structure != "ds":
            raise ConfigError(
                f"denoising needs the structure ds (found {self.structure})",
                remedy="--structure ds, or omit denoising",
                code="config/conflict",
            )
        if self.head_stride not in (None, 4, 8):
            raise ConfigError(
                f"invalid head_stride: {self.head_stride} (expected 4 or 8)",
                remedy="--head-stride 4",
                code="config/not-a-choice",
            )

    def first_steps(self, images: int) -> int:
        """Return the steps of the student's phase for a number of good images."""
        if self.epochs is None:
            assert self.student_steps is not None, "a recipe has steps or epochs"
            return self.student_steps
        return -(-self.epochs * images // self.batch)

    @property
    def corrupts(self) -> tuple[bool, bool]:
        """Whether the student's phase and the head's phase use images with synthetic anomalies."""
        return bool(self.denoising), bool(self.head)

    def to_json(self) -> dict[str, Any]:
        """Return the settings with paths as text."""
        return plain(asdict(self))

    def _take_recipe(self) -> None:
        """Fill in the model's defaults; ConfigError for a setting that the model does not have."""
        profile: Profile = self.profile or "paper"
        if self.model is None:
            object.__setattr__(self, "model", PROFILES[profile].get("model", "destseg"))
        own, recipe = RECIPES[self.model], defaults(profile, self.model)
        given = [name for name in STEPS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(
                f"student_steps is {self.student_steps} and epochs is {self.epochs} "
                "(expected one of them)",
                remedy=f"--epochs {self.epochs}",
                code="config/conflict",
            )
        for name in {name for each in RECIPES.values() for name in each} - set(STEPS):
            if getattr(self, name) is None:
                object.__setattr__(self, name, recipe.get(name))
            elif name not in own:
                others = [model for model, each in RECIPES.items() if name in each]
                raise ConfigError(
                    f"{self.model} has no setting {name} (found {getattr(self, name)})",
                    remedy=f"--model {others[0]}, or omit {name}",
                    code="config/other-model",
                )
        if not given:
            for name in STEPS:
                object.__setattr__(self, name, recipe.get(name))
