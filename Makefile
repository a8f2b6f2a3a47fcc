# Each target needs Python 3.10 or newer and git, and sets up the rest in .venv itself.

PYTHON ?= python3
VENV ?= .venv
# Where to build PyCUDA for its tests, some minutes the first time; empty: they are skipped.
WITH_PYCUDA ?=
INSTALLED := $(VENV)/.installed

.PHONY: test demo docs

test: $(INSTALLED)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(if $(WITH_PYCUDA),$(VENV)/bin/python -m tools.cudasim.build_pycuda "$(WITH_PYCUDA)")
	$(if $(WITH_PYCUDA),PYTHONPATH="$(WITH_PYCUDA)") $(VENV)/bin/pytest

demo: $(INSTALLED)
	$(VENV)/bin/edgeseg demo

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

$(INSTALLED): pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --editable ".[dev]"
	touch $@
