# `make train` and `make test` each work alone on a fresh machine: they make .venv, install, and run.
# Choose the interpreter with PYTHON (3.11 to 3.13): `make test PYTHON=python3.12`.
PYTHON ?= python3
ARGS ?=
# Processes that `make test` shares its files among, each on one thread; 0 runs them in one process.
WORKERS ?= 2
BIN := .venv/bin
TEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
ifneq ($(WORKERS),0)
TEST := OMP_NUM_THREADS=1 $(TEST)
endif
# SYSTEM=1 lets .venv see the packages of PYTHON's own installation: a torch that is there already is not installed again.
SYSTEM ?=
VENV := -m venv --clear $(if $(SYSTEM),--system-site-packages)
CHECK_PYTHON := $(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else "Python 3.11 to 3.13 is needed, this is %d.%d: choose one with PYTHON=python3.12" % v)'
# One stamp per interpreter and kind: another PYTHON or SYSTEM makes a new environment.
NAME := $(notdir $(PYTHON))$(if $(SYSTEM),-system)

.PHONY: help train test test-fast test-slow test-faults lint check format docs release-check clean

help:
	@echo "make train   train the quickstart recursive neural program (ARGS='--train.minutes 1' adds options)"
	@echo "             SYSTEM=1 uses a torch that PYTHON's installation has already"
	@echo "make test    run the tests as CI does: all but the slow ones, with every two choices combined (minutes)"
	@echo "make check   format, lint, types, import contracts, then the tests of make test"
	@echo "make lint    the same without the tests"
	@echo "make format  apply the formatter"
	@echo "make docs    build the documentation site into site/: open site/index.html"
	@echo "make release-check  build sdist and wheel, and try the wheel in a clean environment (minutes)"
	@echo "make clean   remove the environments and the site"
	@echo
	@echo "Tests come in three tiers, by markers (pyproject.toml says what each is for):"
	@echo "  make test-fast  unmarked: each file's laws (under a minute); the same as pytest alone"
	@echo "  make test       and thorough: what trains, starts a process or takes over 0.3 s"
	@echo "  make test-slow  slow alone: the full matrix of choices and long checks (an hour)"
	@echo "  make test-faults  of these: kills, signals, full disks, spoilt files, two processes; prints how many"
	@echo "ARGS passes options on: make test ARGS=tests/guides; WORKERS=0 runs in one process, for --pdb"

.venv/.runtime-$(NAME): pyproject.toml
	$(CHECK_PYTHON)
	$(PYTHON) $(VENV) .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.dev-$(NAME): .venv/.runtime-$(NAME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

# Tools that read the sources and import none of them: they need no torch, and have environments of their own.
.venv-docs/.$(NAME) .venv-release/.$(NAME): .venv-%/.$(NAME): pyproject.toml
	$(CHECK_PYTHON)
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$*"], sep="\n")' > .venv-$*/needs.txt
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r .venv-$*/needs.txt
	@touch $@

train: .venv/.runtime-$(NAME)
	$(BIN)/python -m examples.train_svi $(ARGS)

test: .venv/.dev-$(NAME)
	$(TEST) -m "not slow" $(ARGS)

test-fast: .venv/.dev-$(NAME)
	$(BIN)/python -m pytest $(ARGS)

test-slow: .venv/.dev-$(NAME)
	$(TEST) -m slow $(ARGS)

test-faults: .venv/.dev-$(NAME)
	$(BIN)/python -m pytest -m "faults or fuzz or distributed" $(ARGS)

lint: .venv/.dev-$(NAME)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

check: lint
	$(TEST) -m "not slow" $(ARGS)

format: .venv/.dev-$(NAME)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv-docs/.$(NAME)
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build

release-check: .venv-release/.$(NAME)
	.venv-release/bin/python tests/release_check.py $(if $(SYSTEM),--system) $(ARGS)

clean:
	rm -rf .venv .venv-docs .venv-release site
