"""`python -m edgeseg` is `edgeseg`."""

from edgeseg.cli import program

if __name__ == "__main__":
    program()
