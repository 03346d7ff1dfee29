# The README's commands. Each works on a fresh machine with Python 3.11 or newer and nothing else; one that was cut off goes on where it stopped.
PYTHON ?= python3
BIN := .venv/bin
EVAL := .venv-eval/bin/python

.PHONY: demo test install browser eval conformance

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[demo,dev]'
	touch $@

demo: install
	$(BIN)/probe demo

# For the tests that look at the dashboard with a real browser: the machine's, Playwright's own, or the system's package where root may
# install it (containers, CI); where none can be had (offline, or another system), these tests are skipped with that reason.
browser: install
	$(BIN)/python tests/dashboard/browser.py || $(BIN)/python -m playwright install chromium \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } \
	  || echo "No browser: its tests are skipped."

test: install browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# VLMEvalKit in an environment of its own (docs/vlmevalkit.md): its torchvision would break the base install beside CPU torch.
eval: .venv-eval/.installed

.venv-eval/.installed: pyproject.toml constraints-eval.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv-eval
	$(EVAL) -m pip install --quiet --upgrade pip
	$(EVAL) -m pip install --quiet -c constraints-eval.txt torch torchvision
	$(EVAL) -m pip install --quiet -c constraints-eval.txt -e '.[eval]'
	$(EVAL) -m proxy_training.vlmeval_worker --check
	touch $@

# The trainers' own parsers, each where nothing else sees it (tests/conformance/environments.toml), and the tests that ask them.
conformance: install
	$(BIN)/python -m tests.conformance.environments
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/conformance -rs
