"""The verdict of the report, in words, and what the report cannot tell.

The most that it says is that a trial on the line is justified: photos in a folder are no proof of
how a model judges the parts of the next month. What stops a decision comes first.
"""

from dataclasses import dataclass
from typing import Literal

from edgeseg.cards import GraphCard
from edgeseg.evaluation.assessment import MANY
from edgeseg.evaluation.operating_points import Rate
from edgeseg.report.measured import Judgements
from edgeseg.text import counted

Tone = Literal["stop", "caution", "trial", "unmeasured"]
MARKS: dict[Tone, str] = {"stop": "✕", "caution": "!", "trial": "✓", "unmeasured": "?"}
ESCAPES = 0.1  # upper end of the interval of the miss rate, above which misses need a second check
UNKNOWN_SHARE = 0.05  # of the good photos, above which the input check stops the line too often


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person may conclude."""

    tone: Tone
    title: str
    words: tuple[str, ...]
    """What was found, one sentence each."""
    steps: tuple[str, ...] = ()
    """What to do next."""

    @property
    def mark(self) -> str:
        """A sign that says the tone without color."""
        return MARKS[self.tone]


def decide(measured: Judgements | None, paths: str = "MODEL DATA") -> Decision:
    """Return the verdict on a model. paths: the words for `MODEL DATA` in the next steps."""
    if measured is None:
        return Decision(
            tone="unmeasured",
            title="Not measured: nothing is known about the verdicts of this model",
            words=(
                "No labeled photos were given, and no evaluation of this model at its present "
                "thresholds is stored.",
            ),
            steps=("Give photos of good and of defective parts: edgeseg report MODEL --data DATA",),
        )
    words, steps = _counted(measured), _steps(measured, paths)
    rejected, missed = measured.rejected(), measured.missed()
    if not missed.total:
        title = "Not measured: no photos of defective parts"
        return Decision(tone="unmeasured", title=title, words=words, steps=steps)
    if not rejected.total:
        title = "Not measured: no photos of good parts"
        return Decision(tone="unmeasured", title=title, words=words, steps=steps)
    tone, title = _judged(measured, rejected, missed)
    return Decision(tone=tone, title=title, words=words, steps=steps)


def _judged(measured: Judgements, rejected: Rate, missed: Rate) -> tuple[Tone, str]:
    ranking = measured.assessment.get("ranking")
    if ranking == "useless":
        return "stop", "Do not use this model: it does not tell good from defective parts"
    if measured.assessment.get("thresholds") == "unfit":
        many = (
            "passes most defective parts"
            if 2 * missed.count > missed.total
            else ("rejects most good parts")
        )
        return "stop", f"Do not use this model at this threshold: it {many}"
    if ranking == "weak":
        return "stop", "Do not rely on this model: good and defective parts often score alike"
    if measured.unknown(good=True).value > UNKNOWN_SHARE:
        return "caution", "Not ready: too many photos of good parts cannot be judged"
    if ranking == "unclear" or min(rejected.total, missed.total) < MANY:
        return "caution", "Promising at most: too few photos to rely on these figures"
    if missed.interval[1] > ESCAPES:
        return "caution", "Useful beside a second check: some defective parts pass"
    return "trial", "Ready for a trial on the line, beside the present inspection"


def _counted(measured: Judgements) -> tuple[str, ...]:
    words = []
    rejected, missed = measured.rejected(), measured.missed()
    kinds = {"good": measured.unknown(good=True), "defective": measured.unknown(good=False)}
    # `evaluate` counts unknown photos as not passed; the rates of the report are without them.
    but = {kind: ", without the unknown ones" if n.count else "" for kind, n in kinds.items()}
    if missed.total:
        words.append(f"Defective parts that pass as good{but['defective']}: {missed.words()}.")
    if rejected.total:
        words.append(f"Good parts that are rejected{but['good']}: {rejected.words()}.")
    for kind, unknown in kinds.items():
        if unknown.count:
            words.append(f"Photos of {kind} parts that cannot be judged: {unknown.words()}.")
    return tuple(words)


def _steps(measured: Judgements, paths: str) -> tuple[str, ...]:
    steps = [step.replace("MODEL DATA", paths) for step in measured.assessment.get("next", ())]
    if not measured.missed().total:
        steps.append(
            f"collect photos of defective parts: {MANY} or more, of every type that occurs"
        )
    return tuple(step[:1].upper() + step[1:] for step in steps)


def limits(measured: Judgements | None, card: GraphCard, *, gpu: bool) -> list[str]:
    """Return what the report cannot tell, one sentence each. gpu: whether this machine has one."""
    found = []
    if measured is not None:
        found += _limits_of_photos(measured)
    if measured is None or measured.dataset is None:
        found.append("The photos are not at hand, so this report shows none of them.")
    found += [
        "Photos of other lots, lamps, cameras and seasons were not judged. The rates hold for "
        "parts and pictures like those in the folder.",
        "How often defective parts occur is unknown here, and with it how many of the rejected "
        "parts will be good.",
    ]
    if not card.input_check:
        found.append(
            "This model has no input check: it judges every picture, also one that does not show "
            "the part."
        )
    if not gpu:
        found.append("Nothing in this report was run on a GPU: this machine has none.")
    return found


def _limits_of_photos(measured: Judgements) -> list[str]:
    found = []
    rejected, missed = measured.rejected(), measured.missed()
    kinds = {"good": rejected, "defective": missed}
    for kind, rate in kinds.items():
        error = "pass" if kind == "defective" else "be rejected"
        if not rate.total:
            found.append(f"No photo of a {kind} part was judged: how many {error} is unknown.")
        elif rate.total < MANY:
            found.append(
                f"{rate.total} photos of {kind} parts are few: the share that would {error} may be "
                f"anything from {rate.bounds()}."
            )
    if types := measured.types():
        found.append(
            f"Defects of other types than {', '.join(types[:8])}"
            f"{' and the others listed above' * (len(types) > 8)} were not judged."
        )
        if few := [label for label in types if measured.missed(label).total < 10]:
            found.append(
                f"Fewer than ten photos of: {', '.join(few[:8])}. Their own miss rates say little."
            )
    if measured.set_threshold:
        found.append(
            "The threshold was set on these very photos: new good parts may be rejected more often."
        )
    if without := measured.document.get("counts", {}).get("without_mask"):
        found.append(
            f"{without} defective photos have no mask: where the model marks them was not checked."
        )
    if trained_on := measured.document.get("counts", {}).get("trained_on"):
        found.append(
            f"{counted(trained_on, 'photo')} of defects in the folder were trained on, and are not "
            "counted."
        )
    if damaged := len(measured.document.get("damaged", ())):
        found.append(f"{damaged} photos could not be read and are not counted.")
    return found
