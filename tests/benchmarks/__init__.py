"""Tests of benchmarks/, whose files are scripts and no package."""
