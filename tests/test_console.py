"""Standard output and standard error: no reader, disk or encoding ends the work."""

import errno
import io
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeseg.console import StandardError, prepare, printable, write_report
from edgeseg.errors import WriteError
from edgeseg.log import install_handler, log
from tests.kit.errors import fails

posix = pytest.mark.skipif(os.name == "nt", reason="pipes and terminals of POSIX")
HELLO = "from edgeseg.console import prepare, STDERR, write_report; prepare(); "


@contextmanager
def pipe(encoding="utf-8"):
    """A reading descriptor and a text stream that writes to it."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding=encoding)
    try:
        yield reading, stream
    finally:
        os.close(reading)
        try:
            stream.close()
        except OSError as error:
            assert error.errno == errno.EPIPE


@posix
def test_a_pipe_gets_what_is_written():
    with pipe() as (reading, stream):
        StandardError(stream).write("größe\n" * 200)
        assert os.read(reading, 10_000).decode() == "größe\n" * 200


@posix
def test_messages_for_a_blocked_reader_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr("edgeseg.console.WAIT", 0.01)
    with pipe() as (reading, stream):
        teller = StandardError(stream)
        teller.write("x" * 100_000)  # cut when the pipe is full
        for _ in range(3):
            assert teller.write("lost\n") == 5
        os.read(reading, 100_000)
        teller.write("again\n")
        assert os.read(reading, 1000) == b"\n(4 messages lost: output was blocked)\nagain\n"
        teller.write("and again\n")
        assert os.read(reading, 1000) == b"and again\n"


@posix
def test_a_closed_pipe_a_dead_terminal_and_a_full_disk_do_not_raise():
    reading, writing = os.pipe()
    os.close(reading)
    terminal, tail = os.openpty()
    os.close(terminal)
    full = [os.open("/dev/full", os.O_WRONLY)] if Path("/dev/full").exists() else []
    for descriptor in (writing, tail, *full):
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            assert StandardError(stream).write("lost\n") == 5


@pytest.mark.parametrize(
    ("encoding", "right"), [("ascii", rb"gr\xf6\xdfe \u2713"), ("cp1252", b"gr\xf6\xdfe \\u2713")]
)
def test_characters_that_a_console_cannot_show_are_escaped(encoding, right):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    StandardError(stream).write("größe ✓")
    assert raw.getvalue() == right


def test_a_closed_or_missing_stream_is_ignored(monkeypatch):
    stream = io.StringIO()
    stream.close()
    assert StandardError(stream).write("lost") == 4
    monkeypatch.setattr(sys, "stderr", None)
    assert StandardError().write("lost") == 4
    assert not StandardError().isatty()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("größe\tok\n", "größe\tok\n"),
        ("\x1b[2Jred", r"\x1b[2Jred"),
        ("a\rb\x9b", r"a\rb\x9b"),
        (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"),
    ],
)
def test_printable(text, right):
    assert printable(text) == right


def test_the_log_escapes_names_and_marks_warnings(capsys):
    install_handler(20)
    log.warning("\x1b]0;title\x07 is damaged")
    log.info("%s", "plain")
    assert capsys.readouterr().err == "warning: \\x1b]0;title\\x07 is damaged\nplain\n"


@posix
@pytest.mark.parametrize("channel", ["pipe", "terminal"])
def test_a_report_whose_reader_has_gone_is_no_error(monkeypatch, channel):
    reading, writing = os.pipe() if channel == "pipe" else os.openpty()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        write_report("text")
        write_report("more")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_report_on_a_full_disk_is_an_error(monkeypatch):
    with Path("/dev/full").open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with fails(WriteError, "write/report") as caught:
            write_report("text")
    assert "No space left" in caught.value.problem


def test_prepare_lets_an_ascii_console_show_any_text(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    prepare()
    write_report("größe")
    assert raw.getvalue().rstrip() == rb"gr\xf6\xdfe"


@posix
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_descriptors_are_not_given_to_other_files(tmp_path, closed):
    program = f"""
import os, sys
for descriptor in {closed}: os.close(descriptor)
{HELLO}
file = open({str(tmp_path / "lines")!r}, "w")
assert file.fileno() > 2
STDERR.write("to nobody or standard error")
os.write(2, b"from a library")
write_report("to nobody or standard output")
file.write("mine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lines").read_text() == "mine"


@posix
def test_a_program_started_without_streams_ends_well():
    program = f"{HELLO} STDERR.write('x'); write_report('y')"
    command = f'exec {sys.executable} -c "{program}" >&- 2>&- <&-'
    assert subprocess.run(["sh", "-c", command], timeout=30).returncode == 0
