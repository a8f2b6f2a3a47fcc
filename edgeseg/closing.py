"""Context managers that close at their end: backends, sources, sinks and CUDA resources."""

from typing import TypeVar

T = TypeVar("T")


class Closing:
    """A context manager that closes at its end."""

    def close(self) -> None:
        """Free resources; a class without any inherits this."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
