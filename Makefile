# Two commands: `make demo` shows edgemon at work, `make test` proves it. Both do all set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCE ?= clip
SHELL := /bin/bash
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo test check setup setup-test system-packages lock schema clean
.DEFAULT_GOAL := help

help:
	@echo "make demo [SOURCE=clip|0|FILE|rtsp://...] [DURATION_S=30]   the whole flow, live, in a table"
	@echo "make test                                               everything that is checked, as CI runs it"
	@echo "make check                                              ruff, mypy --strict, import contracts"

demo: setup
	@$(BIN)/edgemon demo --source "$(SOURCE)" $(if $(DURATION_S),--duration-s $(DURATION_S))

test: setup-test check
	@$(BIN)/python -m pytest

check: setup-test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

setup: $(VENV)/.runtime
setup-test: $(VENV)/.test system-packages

# picamera2 is the system's package and never a wheel: the environment sees the system's packages only where it is there
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "edgemon needs Python 3.11 or later; got $$($(PYTHON) --version)"; exit 1; }
	@systems=$$($(PYTHON) -c 'import picamera2' 2>/dev/null && echo --system-site-packages); \
	$(PYTHON) -m venv $$systems $(VENV) 2>&1 || { tools/debian-packages python3-venv && $(PYTHON) -m venv --clear $$systems $(VENV); }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) (once)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# torch stands outside the lock: its CPU build has no hash that holds on every machine
$(VENV)/.test: requirements-dev.lock requirements-picamera.lock $(VENV)/.runtime
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-picamera.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0
	@touch $@

system-packages:
	@tools/debian-packages --optional mosquitto mosquitto-clients ffmpeg libegl1 libgl1-mesa-dri libgl1 strace \
		gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gir1.2-gst-rtsp-server-1.0 python3-gi \
		chromium postgresql

# both lock files hold hashes and no address of a registry
lock: $(VENV)/.test
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-emit-package torch --group build --extra station pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		-c requirements.lock --group build --extra station --extra dev requirements-dev.in pyproject.toml -o requirements-dev.lock

clean:
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
