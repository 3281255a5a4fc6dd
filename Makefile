# `make demo` and `make test` do all the set-up they need. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: demo serve test test-slow check format clip dataset train evaluate bench bench-score capacity capacity-measure lock lock-check sbom audit image cluster-check deploy clean help

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python that fits; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)

VIDEO ?=
CAMERA ?=
JOBS ?= $(shell nproc)
ENGINE ?= $(shell command -v docker || command -v podman || command -v buildah)
BASE_IMAGE ?=
IMAGE ?= gaze-function:dev
OVERLAY ?= knative/overlays/prod

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## stream a clip of a person through the whole path; VIDEO=file or CAMERA=0 for your own
	@$(BIN)/python -m gaze_tools.demo $(if $(VIDEO),--video "$(VIDEO)") $(if $(CAMERA),--camera "$(CAMERA)")

serve: $(VENV)/.installed ## leave the local stack running and print its addresses; Ctrl-C stops it
	@$(BIN)/python -m gaze_tools.stack

test: $(VENV)/.installed-test ## set up and run the tests
	@$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.installed-test ## the tests that take longer
	@$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed ## formatting, lint, types and the layer rule
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo
	@$(BIN)/python .ci/prose.py

format: $(VENV)/.installed ## format the code and apply automatic lint fixes
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

clip: $(VENV)/.installed-research ## render the sample clip and the video that is watched in it
	@$(BIN)/python -m research.clip

dataset: $(VENV)/.installed-research ## render people and find their landmarks: long, resumable; makes the two tables
	@$(BIN)/python -m research.dataset --identities 360 --frames-per-identity 18 --seed 2 --jobs $(JOBS)
	@$(BIN)/python -m research.dataset --identities 360 --calibrations 40 --seed 2 --jobs $(JOBS) \
		--out research/tables/calibration_table.npz

train: $(VENV)/.installed ## learn what the outline of the eyes tells, and fit the gaze model, from the committed table
	@$(BIN)/python -m research.training.outline
	@$(BIN)/python -m research.training.train

evaluate: $(VENV)/.installed ## measure the shipped model on people it never saw; renews card, tables and figures
	@$(BIN)/python -m research.evaluation

bench: $(VENV)/.installed ## time the steps of a frame, each as a ratio
	@$(BIN)/python -m gaze_tools.bench.frame

bench-score: $(VENV)/.installed ## score sessions of up to an hour: time and memory
	@$(BIN)/python -m gaze_tools.bench.score --curve

capacity: $(VENV)/.installed ## what 10 to 1,000,000 viewers need, and how the autoscaler takes a crowd
	@$(BIN)/python -m gaze_tools.capacity sweep
	@$(BIN)/python -m gaze_tools.capacity compare

capacity-measure: $(VENV)/.installed ## load two functions on this machine; hold the capacity plan's formulas against it
	@$(BIN)/python -m gaze_tools.capacity measure

lock: $(VENV)/.installed ## rewrite requirements.lock, the hashes of what the image installs, from constraints.txt
	@$(BIN)/python .ci/lock.py

lock-check: $(VENV)/.installed ## resolve the pins for Python 3.11 and 3.12, x86_64 and aarch64, without installing
	@$(BIN)/python .ci/lock.py --check

sbom: $(VENV)/.installed ## write out/sbom.cdx.json, the image's packages and models as a CycloneDX bill of materials
	@$(BIN)/python .ci/sbom.py out/sbom.cdx.json

audit: $(VENV)/.installed ## ask the Python advisory service for known vulnerabilities of the locked packages (network)
	@$(BIN)/python -m venv .cache/pip-audit
	@.cache/pip-audit/bin/python -m pip install --quiet pip-audit==2.10.1
	@.cache/pip-audit/bin/pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip

.PHONY: docs
docs: $(VENV)/.installed ## update the generated tables in docs/
	@PYTHONPATH=. $(BIN)/python .ci/docs.py

image: ## build the function's image; BASE_IMAGE=name@sha256:… pins what it stands on
	@$(ENGINE) build --target function --tag $(IMAGE) $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
		--build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) --build-arg REVISION=$$(git rev-parse HEAD) .

cluster-check: $(VENV)/.installed ## say what a cluster lacks, and how to get it
	@KUBECTL=$(BIN)/kubectl .ci/cluster-check $(if $(findstring k8s-hpa,$(OVERLAY)),k8s-hpa,knative)

deploy: $(VENV)/.installed ## deploy OVERLAY with func, and put right what func cannot say; safe to repeat
	@KUBECTL=$(BIN)/kubectl .ci/deploy $(OVERLAY)

clean: ## remove what make made
	rm -rf $(VENV) .cache out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt .ci/install
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed; install it or say make PYTHON=…" >&2; exit 1; }
	@.ci/install debian libegl1 libgles2 $$($(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| $(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])') $(ALSO)
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)
	@.ci/install python $(BIN)/python serve,tools,research,dev --editable
	@touch $@

# What more they need is asked for at once, together with what all need, and what the tests render with is fetched.
$(VENV)/.installed-test: pyproject.toml constraints.txt .ci/install
	@$(MAKE) --no-print-directory $(VENV)/.installed ALSO="strace libgl1-mesa-dri"
	@.ci/install debian strace libgl1-mesa-dri
	@$(BIN)/python -c 'from research.rendering.assets import data_folder; data_folder()'
	@touch $@

$(VENV)/.installed-research: pyproject.toml constraints.txt .ci/install
	@$(MAKE) --no-print-directory $(VENV)/.installed ALSO=libgl1-mesa-dri
	@.ci/install debian libgl1-mesa-dri
	@touch $@
