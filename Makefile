# Each target needs Python 3.10 or newer and git, and sets up the rest in .venv itself.

PYTHON ?= python3
VENV ?= .venv
# Where to build PyCUDA for its tests, some minutes the first time; empty: they are skipped.
WITH_PYCUDA ?=
# Where to keep the kernel that cameras are tested with.
KERNEL ?= $(VENV)-kernel
INSTALLED := $(VENV)/.installed

.PHONY: test demo docs gpu lock lowest distribution camera

test: $(INSTALLED)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(if $(WITH_PYCUDA),$(VENV)/bin/python -m tools.cudasim.build_pycuda "$(WITH_PYCUDA)")
	$(if $(WITH_PYCUDA),PYTHONPATH="$(WITH_PYCUDA)") .ci/pytest "$(VENV)/bin/python" --numprocesses auto --maxprocesses 4

demo: $(INSTALLED)
	$(VENV)/bin/edgeseg demo

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

# From a checkout, with the packages of PYTHON: CUDA's binding and, if it is there, PyTorch.
gpu:
	$(PYTHON) -m edgeseg doctor --gpu

lowest:
	.ci/lowest "$(VENV)-lowest"

# Exit code 3: there is no QEMU or no kernel, which the script has said.
camera: $(INSTALLED)
	.ci/camera "$(abspath $(VENV))/bin/python" "$(KERNEL)" || [ $$? = 3 ]

distribution:
	.ci/distribution "$(VENV)-distribution"

# Update constraints.txt, which the other targets install, and the lowest versions for .ci/lowest.
# UV_CONSTRAINT: a file of limits that hold on this machine alone.
UV := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --no-annotate \
    --custom-compile-command "make lock"
lock:
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install uv
	$(UV) --upgrade --extra dev --output-file constraints.txt pyproject.toml
	$(UV) --upgrade --resolution lowest-direct --extra cpu --extra openvino --extra video \
	    --output-file .ci/lowest.txt pyproject.toml

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable ".[dev]"
	touch $@
