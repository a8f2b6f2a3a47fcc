"""Executors of many jobs: this machine's processes."""
