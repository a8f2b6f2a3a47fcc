"""Optional packages: what is installed, whether it works, and the commands that bring it."""
