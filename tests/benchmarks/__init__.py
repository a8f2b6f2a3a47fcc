"""Tests of benchmarks/, which is no package: its files are scripts."""
