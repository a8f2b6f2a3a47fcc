"""What the input check finds: foreign pictures by kind, and good parts that it calls unknown.

    python benchmarks/bench_unknown.py MODEL --data DATA --others FOLDER [FOLDER ...]

MODEL: a run, a graph or an engine; DATA: its data set, whose test images were not used for the
limits; --others: photos of other products. Counts the verdicts of some 270 foreign pictures
(foreign.py), of the good and of the defective test images; for the good ones with the confidence
interval (Clopper and Pearson, 95 %). Counts defects above the threshold that became good, of which
there must be none. The last line of standard output is one JSON document.
"""

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import beta

from edgeseg.data.images import Image, read_image
from edgeseg.data.layouts import open_dataset
from edgeseg.data.listing import walk_images
from edgeseg.loading import find_model, open_model
from edgeseg.prediction import Model
from edgeseg.text import table
from foreign import foreign_pictures

SEED = 1


def interval(count: int, total: int) -> tuple[float, float]:
    """Return the exact 95 % confidence interval of a share."""
    low = float(beta.ppf(0.025, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, total - count)) if count < total else 1.0
    return low, high


def photos(paths: list[Path], most: int, bit_depth: int) -> list[Image]:
    """Read some of the photos, evenly chosen."""
    places = np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)
    return [read_image(paths[place], bit_depth) for place in places]


def main() -> None:
    """Run the pictures and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--others", type=Path, nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most", type=int, default=1000, help="test images of each kind")
    args = parser.parse_args()

    dataset = open_dataset(args.data)
    backend = open_model(find_model(args.model), threads=args.threads)
    with Model(backend) as model:
        card = model.card
        good = photos([s.path for s in dataset.test if s.good], args.most, card.bit_depth)
        bad = photos([s.path for s in dataset.test if not s.good], args.most, card.bit_depth)
        others = [p for folder in args.others for p in photos(walk_images(folder), 40, 8)]
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        reasons: Counter[str] = Counter()
        for kind, picture in foreign_pictures(good, others, seed=SEED):
            found = model(picture, channels="rgb")
            kinds[kind][found.verdict] += 1
            reasons[found.reason] += bool(found.reason)
        ours = Counter(model(image, channels="rgb").verdict for image in good)
        theirs, made_good = Counter(), 0
        for image in bad:
            found = model(image, channels="rgb")
            theirs[found.verdict] += 1
            made_good += found.verdict == "good" and found.score > model.image_threshold
        name = model.name

    total = sum(kinds.values(), Counter())
    rows = [("foreign", "n", "unknown", "anomalous", "good")]
    for kind, found in [*kinds.items(), ("all", total)]:
        rows.append((kind, *map(str, (found.total(), *(found[v] for v in rows[0][2:])))))
    rows.append(("good parts", *map(str, (ours.total(), *(ours[v] for v in rows[0][2:])))))
    rows.append(("defects", *map(str, (theirs.total(), *(theirs[v] for v in rows[0][2:])))))
    low, high = interval(ours["unknown"], ours.total())
    print(f"{args.model}: {name}")
    print("\n".join(table(rows, "<>>>>")))
    print(f"not good: {1 - total['good'] / total.total():.4f} of {total.total()} foreign pictures")
    print(
        f"unknown: {ours['unknown']} of {ours.total()} good parts, 95 % interval {low:.4f} to "
        f"{high:.4f}; limits: {card.input_note}"
    )
    document = {
        "model": args.model,
        "engine": name,
        "foreign": {kind: dict(found) for kind, found in kinds.items()},
        "not_good": 1 - total["good"] / total.total(),
        "good": dict(ours),
        "interval": [low, high],
        "defects": dict(theirs),
        "defects_made_good": made_good,
        "reasons": dict(reasons),
        "input_note": card.input_note,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
