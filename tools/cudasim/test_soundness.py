"""The simulator's own memory and locks, under the compiler's sanitizers."""

import subprocess

import pytest

from tools.cudasim.build import build_stress


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_threads_that_do_everything_at_once_leave_the_sanitizers_silent(sanitizer):
    try:
        program = build_stress(sanitizer)
    except RuntimeError as error:
        if "lib" not in str(error) or "san" not in str(error):
            raise
        pytest.skip(f"the compiler has no -fsanitize={sanitizer}")
    done = subprocess.run([program], capture_output=True, text=True, timeout=120)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer cannot run under this kernel's address randomization")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 faults\n", "")
