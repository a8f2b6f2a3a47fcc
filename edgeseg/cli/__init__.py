"""The command line: each command parses its settings, makes one call and prints one report.

app.py     the program, the options that every command has, errors and exit codes
flags.py   one flag per field of a settings class        help.py   the help screens
models.py  the positional arguments MODEL and DATA
train.py, deploy.py, fleet.py, report.py, run.py, station.py, tools.py
            the commands, by group
"""

from edgeseg.cli import deploy, fleet, report, run, station, tools, train
from edgeseg.cli.app import app, main, program

__all__ = [
    "app",
    "deploy",
    "fleet",
    "main",
    "program",
    "report",
    "run",
    "station",
    "tools",
    "train",
]
