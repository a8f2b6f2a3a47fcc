"""From weights to engines: export, precision, build, and parity between any two steps."""
