# One command per job. Everything runs in .venv, which `make setup` fills from requirements.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0

.PHONY: help setup setup-deploy lock

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

setup: $(VENV)/.installed ## Make .venv and install everything into it

setup-deploy: $(VENV)/.installed-deploy ## Make .venv with what deploys and operates the workflow: sam and operations/, no PyTorch

# pip takes uv and torch, since it also finds a local CPU build of torch where one is set up; uv takes the rest, in seconds.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4) and "Python 3.11.4 or newer is needed: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep -E '^uv==' requirements.txt)
	@touch $@

$(VENV)/.installed: requirements.txt | $(VENV)/.created
	@echo "Setting up $(VENV): PyTorch, then 200 more packages; about 2 GB on disk, minutes on a slow line."
	@$(BIN)/python -m pip install --disable-pip-version-check $$(grep -E '^torch==' requirements.txt)
	@$(BIN)/uv pip install --python $(BIN)/python -r requirements.txt
	@touch $@

$(VENV)/.installed-deploy: requirements-deploy.in requirements.txt | $(VENV)/.created
	@$(BIN)/uv pip install --python $(BIN)/python -r requirements-deploy.in -c requirements.txt
	@touch $@

lock: ## Solve requirements.in into requirements.txt
	@{ echo '# Made by `make lock` from requirements.in: the one set that was tested.'; \
	   $(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --python $(BIN)/python requirements.in \
	     | grep -viE '^(nvidia|cuda|triton)'; } > requirements.txt.new
	@mv requirements.txt.new requirements.txt

.PHONY: demo soak test quick check format lint types unit end-to-end integration browser notebook container-test bench bench-batch bench-cross-validate bench-neither bench-adapt bench-drift bench-monitor hostile clean

DATA ?= synthetic
PICTURES ?= 5000
PORT ?= 4566
RATE ?= 25

demo: setup ## Run the whole workflow on this machine. DATA=cifar100|ARCHIVE|FOLDER, KEEP=1, PORT=4566
	@$(BIN)/python -m demo "$(DATA)" --port $(PORT) $(if $(KEEP),--keep)

soak: setup ## Run PICTURES=5000 at RATE=25 a second through the workflow with injected faults; verify that none is lost
	@$(BIN)/python -m demo.soak --pictures $(PICTURES) --rate $(RATE) --port $(PORT)

STAGES := check unit end-to-end

test: setup ## Run every check and test that needs no Docker; name the stages that failed at the end
	@failed=; for stage in $(STAGES); do \
	   began=$$(date +%s); $(MAKE) --no-print-directory $$stage || failed="$$failed $$stage"; \
	   echo "make $$stage took $$(( $$(date +%s) - began )) s"; \
	 done; \
	 if [ -n "$$failed" ]; then echo "make test: FAILED:$$failed. Run one alone with make STAGE."; exit 1; fi; \
	 echo "make test: all stages passed: $(STAGES)"

quick: setup format lint types ## Formatter, linter, types, imports and most unit tests, in about a minute
	$(BIN)/python -m pytest tests/unit -m "not slow" --numprocesses 2 --dist loadfile

check: setup format lint types ## quick's checks, and cfn-lint, sam validate and checkov
	$(BIN)/cfn-lint template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(BIN)/sam validate --lint
# In an environment of its own, since it wants another boto3; the first run makes it, in seconds. .checkov.yaml has the rest.
# A template that it cannot read counts as a success there, but not here.
	@report=$$($(BIN)/uv tool run --quiet --python $(BIN)/python --from checkov==3.3.30 checkov); status=$$?; echo "$$report"; \
	 case "$$report" in *"Parsing errors"*) status=1;; esac; exit $$status

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache --no-logo

types: setup
	$(BIN)/mypy functions common training operations local demo benchmarks tests

unit: setup ## Tests without sockets
	$(BIN)/python -m pytest tests/unit --numprocesses 2 --dist loadfile

# In one run, since each of them waits for sockets and processes most of the time.
end-to-end: setup ## Integration, browser and notebook tests at the same time
	$(BIN)/python -m pytest tests/integration tests/browser tests/notebook --numprocesses 4 --dist loadfile

integration: setup ## Tests against the laptop's AWS
	$(BIN)/python -m pytest tests/integration --numprocesses 4 --dist loadfile

browser: setup ## The pages in a real Chromium, where there is one (Debian: apt-get install chromium)
	$(BIN)/python -m pytest tests/browser --numprocesses 3 --dist loadfile

notebook: setup ## Execute notebooks/walkthrough.ipynb from start to end on the laptop's AWS
	$(BIN)/python -m pytest tests/notebook

container-test: setup ## sam local invoke of every event; needs Docker
	$(BIN)/python -m pytest tests/container

# Pictures to train on: cifar100 is downloaded, an archive or folder is not, and synthetic is drawn.
BENCH_DATA ?= cifar100

bench: setup ## Serving against SageMaker's own servers (needs Java), training over 3 seeds, import time; reports/bench/summary.json
	$(BIN)/python -m benchmarks.import_time
	$(BIN)/python -m training.stage_data "$(BENCH_DATA)" --no-upload --out data/bench/staged
	$(BIN)/python -m benchmarks.training --staged data/bench/staged
	$(BIN)/python -m benchmarks.serving --staged data/bench/staged --model data/bench/training/fast/seed-0/model
	$(BIN)/python -m benchmarks.summary --require serving training imports

bench-cross-validate: setup ## Train five times without a fifth of the pictures, for each preset; after make bench; over an hour
	$(BIN)/python -m benchmarks.training --staged data/bench/staged --cross-validate 0

bench-neither: setup ## What a trained model makes of pictures of neither class; after make bench; reports/bench/neither/
	$(BIN)/python -m benchmarks.neither --staged data/bench/staged --model data/bench/training/fast/seed-0/model

bench-adapt: setup ## The same scripts on five drawn classes and on photos of 640x480; reports/bench/adapt.json
	$(BIN)/python -m benchmarks.adapt

bench-drift: setup ## How often drift is found where there is some, and where there is none; reports/bench/drift.json
	$(BIN)/python -m benchmarks.drift

bench-monitor: setup ## The monitoring report over 100,000 captured calls: seconds and memory; reports/bench/monitor.json
	$(BIN)/python -m benchmarks.monitor

bench-batch: setup ## 2,000 pictures through the batch, against the bare endpoint; reports/bench/batch.json
	$(BIN)/python -m benchmarks.batch --port $(PORT)

hostile: setup ## Hostile pictures: outcome, time and memory of each; reports/hostile/summary.json
	$(BIN)/python -m benchmarks.hostile

clean: ## Stop the laptop's AWS, remove what was built and reported, but not data/
	-@test -x $(BIN)/python && $(BIN)/python -m local stop 2>/dev/null
	rm -rf .aws-sam .local reports .pytest_cache .mypy_cache .ruff_cache
