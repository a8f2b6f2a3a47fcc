"""Errors of the system and of packages, with a remedy."""

import errno

from edgeseg.errors import EdgesegError
from edgeseg.files import quoted, shown
from edgeseg.packages.extras import missing_extra
from edgeseg.packages.opencv import failed_import

# Texts of the packages, whose errors for this have no type of their own.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "Insufficient memory", "std::bad_alloc")
_NO_MEMORY_TYPES = ("MemoryError", "_ArrayMemoryError", "OutOfMemoryError")
_REMEDIES = {
    errno.ENOENT: "check the path: ls -l {folder}",
    errno.EACCES: "check the permissions: ls -ld {path}",
    errno.EPERM: "check the permissions: ls -ld {path}",
    errno.EROFS: "choose a folder that can be written",
    errno.ENOSPC: "free disk space: df -h {folder}",
    errno.EDQUOT: "free disk space: df -h {folder}",
    errno.EMFILE: "allow more open files: ulimit -n 4096",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EISDIR: "name a file: ls -l {folder}",
    errno.ENOTDIR: "name a folder: ls -l {folder}",
}


def known_error(error: BaseException) -> EdgesegError | None:
    """Return an exception as an error with a remedy; None for a mistake of edgeseg itself."""
    if isinstance(error, EdgesegError):
        return error
    if type(error).__name__ in _NO_MEMORY_TYPES or any(t in str(error) for t in _NO_MEMORY):
        return EdgesegError(
            f"out of memory: {str(error)[:200] or 'the system has no more'}",
            remedy="a smaller --batch, --image-size or --frame-size, or end other programs",
            code="system/memory",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _system(error)
    if isinstance(error, UnicodeError):
        return EdgesegError(
            f"text that cannot be encoded or decoded: {error}",
            remedy="rename the file, or: export PYTHONUTF8=1 LC_ALL=C.UTF-8",
            code="system/unicode",
        )
    if isinstance(error, ImportError):
        return failed_import(error) or missing_extra(error)
    return None


def _system(error: OSError) -> EdgesegError:
    """Return an OSError with its path and a remedy that fits its number."""
    assert error.errno is not None
    path = error.filename if error.filename is not None else error.filename2
    named = isinstance(path, str | bytes) and path
    text = path.decode(errors="surrogateescape") if isinstance(path, bytes) else str(path)
    where = f": {shown(text)}" if named else ""
    folder = text.rpartition("/")[0] or "." if named else "."
    remedy = _REMEDIES.get(error.errno, "check the path, its device and its permissions")
    return EdgesegError(
        f"{error.strerror}{where}",
        remedy=remedy.format(path=quoted(text if named else "."), folder=quoted(folder)),
        code=f"system/{errno.errorcode.get(error.errno, 'error').lower()}",
    )
