"""Wordings that the glossary replaces: neither the help screens nor the documentation has them."""

import re

WRONG_WORDS = (
    r"\bHalf\b",
    r"\bFloat\b",
    r"\blanes?\b",
    r"\boutlets?\b",
    r"\brangefiles?\b",
    r"dummy run",
    r"asleep",
    r"beats? (the|it)\b",
    r"\b0: not\b",
    r"[Tt]here is no (file|folder|run|camera|card)",
    r"running mean",
    r"refused at birth",
    r"user's world",
    r"[Gg]o on where",
    r"times that the student",
    r"by heart",
    r"speed of life",
    r"Instead: ",
    r"was expected",
    r"Of the run;",
)


def wrong_words(text: str) -> list[str]:
    """Return the wrong wordings in a text, across its line breaks."""
    text = " ".join(text.split())
    return [word for word in WRONG_WORDS if re.search(word, text)]
