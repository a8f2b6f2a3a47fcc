"""A camera's mode: what it is asked for, and what it delivers."""

from dataclasses import dataclass, replace

from edgeseg.config import CameraFormat, StreamConfig

# V4L2's four letters; OpenCV turns each of these into BGR.
CODES: dict[CameraFormat, str] = {
    "mjpeg": "MJPG",
    "yuyv": "YUYV",
    "uyvy": "UYVY",
    "nv12": "NV12",
    "gray": "GREY",
}
SAME_RATE = 0.01  # 29.97 is 30


@dataclass(frozen=True)
class Mode:
    """Size, rate and format of a camera's frames; None for what is not asked, or not known."""

    size: tuple[int, int] | None = None
    """(height, width)"""
    fps: float | None = None
    format: str | None = None
    """One of `CODES`; of a camera that delivers another, its four letters."""

    @classmethod
    def of(cls, config: StreamConfig) -> "Mode":
        """Return what the user asked for."""
        size = None
        if config.width is not None and config.height is not None:
            size = (config.height, config.width)
        return cls(size, config.fps, config.camera_format)

    def or_size(self, size: tuple[int, int]) -> "Mode":
        """Return this mode, of the given size unless it has one."""
        return self if self.size else replace(self, size=size)

    def note(self, delivered: "Mode") -> str:
        """Say what was asked, and what is delivered if that is something else."""
        fps = self.fps
        if fps and delivered.fps and abs(fps - delivered.fps) <= SAME_RATE * fps:
            delivered = replace(delivered, fps=fps)
        missed = any(
            wish is not None and wish != got
            for wish, got in (
                (self.size, delivered.size),
                (self.fps, delivered.fps),
                (self.format, delivered.format),
            )
        )
        return f"was asked for {self}" + (f" and delivers {delivered}" if missed else "")

    def __str__(self) -> str:
        words = [f"{self.size[1]}x{self.size[0]}"] if self.size else []
        words += [f"{self.fps:g} frames/s"] if self.fps else []
        words += [self.format] if self.format else []
        return ", ".join(words) or "frames"
