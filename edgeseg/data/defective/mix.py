"""How often a known defect takes the place of a synthetic anomaly, and which one."""

from collections.abc import Sequence

from numpy.random import Generator

from edgeseg.data.defective.paste import cut_out, paste
from edgeseg.data.defective.read import KnownDefect
from edgeseg.data.images import Image, Mask

AS_IS, PASTED = 0.15, 0.25
"""Shares of the training images; the others have synthetic anomalies, so that unseen types of
defects are not unlearned."""


class DefectMixer:
    """Chooses among known defects at random; those without a mask cannot be pasted."""

    def __init__(self, defects: Sequence[KnownDefect]) -> None:
        self.defects = defects
        self.exact = [defect for defect in defects if defect.exact]
        self._cutouts = {id(each): cut_out(each.image, each.region) for each in self.exact}

    def choose(self, rng: Generator) -> tuple[KnownDefect, bool] | None:
        """Return a defect and whether it is to be pasted; None for a synthetic anomaly."""
        place = rng.random()
        if place < AS_IS:
            return self.defects[int(rng.integers(len(self.defects)))], False
        if place < AS_IS + PASTED and self.exact:
            return self.exact[int(rng.integers(len(self.exact)))], True
        return None

    def paste(self, image: Image, defect: KnownDefect, rng: Generator) -> tuple[Image, Mask]:
        """Paste a defect on a good image; returns it and the mask, as `paste.paste`."""
        return paste(image, self._cutouts[id(defect)], rng)
