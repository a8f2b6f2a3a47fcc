"""Names that files may have: bytes of any kind but `/` and NUL."""

import os

HOSTILE = {
    "Latin-1": os.fsdecode(b"Pr\xfcf"),
    "composed": "Pr\u00fcf",
    "decomposed": "Pru\u0308f",
    "newline": "a\nfix: b",
    "escape sequence": "\x1b[2J",
    "quotes": 'it\'s "it"',
    "dash": "-rf",
    "pattern": "a%03d",
    "protocol": "x:y",
    "command": "$(touch x)",
    "backslash": "\\x41",
    "long": "n" * 240,
    "long and wide": "\N{GREEK SMALL LETTER OMEGA}" * 120,
}
any_name = {"argvalues": HOSTILE.values(), "ids": HOSTILE}
"""Arguments of `pytest.mark.parametrize`."""

LEADING_ELSEWHERE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "a\nb",
    "a\x1b[2J",
    "x" * 201,
]
"""What an artefact may not name, which is no plain name of a file."""
