# `make book` builds the book, `make test` tests everything; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help book reference test lint lab serve dist lock clean

PROFILE ?= quick
PRECISION ?= 32
# A manifest gets a book of its own; CHAPTERS="03 04" are some of its chapters.
MANIFEST ?=
CHAPTERS ?=
# TORCH_INDEX=https://... takes torch alone from another package index, say that of one CUDA version.
TORCH_INDEX ?=
# The lock is made for 3.11; a later Python is taken where that is missing or does not start.
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	if $$python $(NEW_ENOUGH) 2> /dev/null; then echo $$python; break; fi; done)
# An activated conda environment is taken as it is, unless there is a .venv here already.
CONDA := $(and $(CONDA_PREFIX),$(wildcard $(CONDA_PREFIX)/bin/python),$(if $(wildcard .venv),,yes))
ENVIRONMENT := $(if $(CONDA),$(CONDA_PREFIX),.venv)
BIN := $(ENVIRONMENT)/bin
BOOK := $(ENVIRONMENT)/.installed
TEST := $(ENVIRONMENT)/.installed-test

help:  ## Say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8
	@echo
	@echo "PROFILE=smoke|quick|full chooses how much make book computes ($(PROFILE))."
	@echo "PRECISION=32|tf32|bf16 chooses how it trains ($(PRECISION))."
	@echo "MANIFEST=mine.yaml makes a book on data of yours, CHAPTERS=\"03 04\" some of its chapters."
	@echo "TORCH_INDEX=URL chooses where torch comes from."

book: $(BOOK)  ## Compute, execute and render the book into _build/html
	@$(BIN)/python -m companion.publishing.build build --profile $(PROFILE) --precision $(PRECISION) \
		$(if $(MANIFEST),--manifest "$(MANIFEST)") $(if $(CHAPTERS),--chapters $(CHAPTERS))

reference: $(BOOK)  ## Compute what is missing of the reference run, into reference/
	@$(BIN)/python -m companion.reference

test: lint  ## Check the style and the types, run every test
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

lint: $(TEST)  ## Check the style and the types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lab: $(BOOK)  ## Open the notebooks in JupyterLab, on this machine only
	@$(BIN)/jupyter lab --ip=127.0.0.1 notebooks

serve: $(BOOK)  ## Serve the built book on a local port, on this machine only
	@test -f _build/html/index.html || { echo "No book to serve; make book builds one." >&2; exit 1; }
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html

dist: $(BOOK)  ## Zip the built book, to be opened anywhere
	@$(BIN)/python -m companion.publishing.build dist

lock:  ## Resolve all dependencies afresh into requirements.lock
	tools/lock.sh

clean:  ## Remove the built book and every cache; runs and downloaded data stay
	rm -rf _build/{,private/}{html,html.json,stage,notebooks,book.log} _build/{test,cache,dist}
	rm -rf .pytest_cache .mypy_cache .ruff_cache

# A stamp is written last: an interrupted installation is begun again. Byte code is left to be made
# by whoever imports a module first.
VENV := $(if $(CONDA),,.venv/bin/pip)
PIP := $(BIN)/pip install --quiet --no-compile -c requirements.lock
TORCH := $(if $(TORCH_INDEX),$(PIP) torch --index-url $(TORCH_INDEX))

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; PYTHON=path names one." >&2; exit 1; }
	$(PYTHON) -m venv .venv

# What a book needs.
$(BOOK): pyproject.toml requirements.lock | $(VENV)
	$(TORCH)
	$(PIP) -e '.[book]'
	@touch $@

# What the tests need on top: tools, Ray, a browser's driver, extraction. torchvision should be built
# for the same CUDA as torch; where TORCH_INDEX lacks it, the last line gets another build.
$(TEST): pyproject.toml requirements.lock | $(VENV)
	$(TORCH)
	-$(if $(TORCH_INDEX),$(PIP) --no-deps torchvision --index-url $(TORCH_INDEX))
	$(PIP) -e '.[book,cluster,media,test]'
	@touch $(BOOK) $@
