# One command per job. Everything runs in .venv, which `make setup` fills from requirements.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0

.PHONY: help setup lock

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## Make .venv and install everything into it

# pip takes torch, since it also finds a local CPU build where one is set up; uv takes the rest, in seconds.
$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $$(grep -E '^uv==' requirements.txt) $$(grep -E '^torch==' requirements.txt)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	@touch $@

lock: ## Solve requirements.in into requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --upgrade -r requirements.in
	@{ echo '# Made by `make lock` from requirements.in: the one set that was tested.'; \
	   $(BIN)/uv pip freeze --quiet --python $(BIN)/python | sed -E 's/\+[A-Za-z0-9.]+$$//' | grep -viE '^(nvidia|cuda|triton)'; } > requirements.txt
