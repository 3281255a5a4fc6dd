# `make demo` and `make test` set up everything they need. `make help` lists the other targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: demo demo-inputs serve test test-slow coverage soak reliability check format clip dataset train eye-images train-eyes evaluate bench bench-score capacity capacity-measure lock lock-check sbom audit docs image cluster-check deploy clean help

VENV ?= .venv
BIN := $(VENV)/bin
# The first supported Python; PYTHON=… selects another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)

# Of `demo` and `serve`; from the command line, make exports them to the recipes.
VIDEO ?=
WATCHED ?=
CAMERA ?=
OUT ?=
OVERLAY_VIDEO ?=
DATA ?=
PORT ?= 8080
JOBS ?= $(shell nproc)
# Many tests wait, for a time-out or a process.
TEST_JOBS ?= $(shell expr $(JOBS) + 1)
ENGINE ?= $(shell command -v docker || command -v podman || command -v buildah)
BASE_IMAGE ?=
IMAGE ?= gaze-function:dev
IMAGE_TARGET ?= function
BENCH ?=
OVERLAY ?= knative/overlays/prod
DEPLOY ?=
# Yours, or else the one that the development environment contains.
KUBECTL ?= $(or $(shell command -v kubectl),$(BIN)/kubectl)
WITHOUT_KUBECTL = $(if $(filter $(BIN)/kubectl,$(KUBECTL)),$(VENV)/.installed)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: demo-inputs $(VENV)/.installed-demo ## score a rendered sample clip; your own: VIDEO=me.mp4 or CAMERA=0, WATCHED=film.mp4
	@$(BIN)/gaze $(if $(WATCHED),run "$$WATCHED" $(if $(VIDEO),--viewer "$$VIDEO") $(if $(OVERLAY_VIDEO),--overlay "$$OVERLAY_VIDEO"),demo $(if $(VIDEO),--video "$$VIDEO")) \
		$(if $(CAMERA),--camera "$(CAMERA)") $(if $(OUT),--out "$$OUT")

serve: $(VENV)/.installed-demo ## open the studio (your own score in the browser), the function and its services on PORT (8080) to PORT+4; DATA=dir keeps the data
	@$(BIN)/gaze serve --port $(PORT) $(if $(DATA),--data "$$DATA")

test: $(VENV)/.installed-test ## install what the tests need and run them, with a process for each CPU and one more (TEST_JOBS=…)
	@$(BIN)/python -m pytest -m "not slow and not soak" -n $(TEST_JOBS) --maxprocesses 8 --dist loadfile

# Slow tests that need the machine to themselves: faults under load, benchmarks, and the build of the image.
ALONE = tests/faults tests/image $(addprefix tests/gaze_tools/,test_bench_all.py test_bench_comparison.py test_capacity.py)

test-slow: $(VENV)/.installed-test ## run the tests that take longer than a few seconds
	@$(BIN)/python -m pytest -m slow -n $(JOBS) --maxprocesses 8 --dist loadfile $(addprefix --ignore ,$(ALONE))
	@$(BIN)/python -m pytest -m slow $(ALONE)

coverage: $(VENV)/.installed-test ## run the tests and print the coverage of func and gaze_core; fails below its floor
	@$(BIN)/python -m pytest -m "not slow and not soak" --cov

soak: $(VENV)/.installed-test ## run ten minutes of load with upstream faults (SOAK_S=seconds): nothing may be lost or grow
	@$(BIN)/python -m pytest -m soak

reliability: $(VENV)/.installed-test ## run all fault tests and the soak (25 min); renews the table in docs/reliability.md
	@rm -rf out/reliability
	@RELIABILITY_DIR=out/reliability $(BIN)/python -m pytest -m "" --ignore-glob='*_inputs.py' tests/faults
	@$(BIN)/python -m tests.faults.reliability_rows out/reliability docs/reliability.md

check: $(VENV)/.installed ## check formatting, lint, types, layers and prose
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo
	@$(BIN)/python .ci/prose.py

format: $(VENV)/.installed ## format the code and apply automatic lint fixes
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

clip: $(VENV)/.installed-research ## render the sample clip and the video that its person watches
	@$(BIN)/python -m research.clip

dataset: $(VENV)/.installed-research ## render people and detect their landmarks into the two tables: an hour, resumable
	@$(BIN)/python -m research.dataset --identities 360 --frames-per-identity 18 --seed 2 --jobs $(JOBS)
	@$(BIN)/python -m research.dataset --identities 360 --calibrations 40 --seed 2 --jobs $(JOBS) \
		--out research/tables/calibration_table.npz

train: $(VENV)/.installed ## fit the eye region's weights, the fusion and the gaze model to the committed table: three minutes
	@$(BIN)/python -m research.training.eye_region
	@$(BIN)/python -m research.training.fusion
	@$(BIN)/python -m research.training.train
	@$(BIN)/python -m research.training.export

eye-images: $(VENV)/.installed-research ## render the eye images that train the eye network, resumable
	@$(BIN)/python -m research.dataset.eye_images --jobs $(JOBS)

train-eyes: eye-images $(VENV)/.installed-eyes ## train the eye network on eye images and measure it: half an hour on two cores
	@$(BIN)/python -m research.eye_network.train
	@$(BIN)/python -m research.eye_network.evaluate

evaluate: $(VENV)/.installed ## measure the shipped model on held-out people; updates card, tables and figures
	@$(BIN)/python -m research.evaluation

bench: $(VENV)/.installed-bench ## measure the function against its networks: 15 minutes, or BENCH=--quick; a report in out/bench
	@$(BIN)/gaze bench all $(BENCH)

bench-score: $(VENV)/.installed-demo ## time the scoring of sessions of up to an hour, and its memory
	@$(BIN)/gaze bench score --curve

capacity: $(VENV)/.installed-demo ## show what 10 to 1,000,000 viewers need, and how the autoscaler handles a crowd
	@$(BIN)/gaze capacity sweep
	@$(BIN)/gaze capacity compare

capacity-measure: $(VENV)/.installed-demo ## load two functions on this machine and compare with the capacity formulas
	@$(BIN)/gaze capacity measure

lock: $(VENV)/.installed ## rewrite the locks, the images' pinned wheels and hashes, from constraints.txt
	@$(BIN)/python .ci/lock.py

lock-check: $(VENV)/.installed ## check that the pins resolve for Python 3.11 and 3.12, x86_64 and aarch64
	@$(BIN)/python .ci/lock.py --check

sbom: $(VENV)/.installed ## write the images' bills of materials (CycloneDX) to out/sbom.cdx.json and out/sbom-lite.cdx.json
	@$(BIN)/python .ci/sbom.py out/sbom.cdx.json
	@$(BIN)/python .ci/sbom.py out/sbom-lite.cdx.json requirements-lite.lock

audit: $(VENV)/.installed ## check the locked packages for known vulnerabilities (needs the network)
	@$(BIN)/python -m venv .cache/pip-audit
	@.cache/pip-audit/bin/python -m pip install --quiet pip-audit==2.10.1
	@.cache/pip-audit/bin/pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip

docs: $(VENV)/.installed ## update the generated tables in docs/
	@PYTHONPATH=. $(BIN)/python .ci/docs.py

image: ## build the function's image; IMAGE_TARGET=lite, BASE_IMAGE=name@sha256:…
	@$(ENGINE) build --target $(IMAGE_TARGET) --tag $(IMAGE) $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
		--build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) --build-arg REVISION=$$(git rev-parse HEAD) \
		$(if $(filter docker,$(notdir $(ENGINE))),,--timestamp $$(git log -1 --format=%ct)) .

cluster-check: $(WITHOUT_KUBECTL) ## report what a cluster lacks and how to install it
	@KUBECTL=$(KUBECTL) .ci/cluster-check $(if $(findstring k8s-hpa,$(OVERLAY)),k8s-hpa,knative)

deploy: $(WITHOUT_KUBECTL) ## deploy OVERLAY step by step; safe to repeat. DEPLOY=--dry-run, DEPLOY=--rollback
	@KUBECTL=$(KUBECTL) PYTHON=$(PYTHON) .ci/deploy $(OVERLAY) $(DEPLOY)

clean: ## remove the environment, caches and output
	rm -rf $(VENV) .cache out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Before a long installation.
demo-inputs:
	@[ -z "$$VIDEO" ] || [ -z "$(CAMERA)" ] || { echo "Give either VIDEO or CAMERA." >&2; exit 1; }
	@[ -z "$$WATCHED" ] || [ -n "$$VIDEO$(CAMERA)" ] || { echo "WATCHED needs the viewer: add VIDEO=me.mp4 or CAMERA=0." >&2; exit 1; }
	@[ -z "$$OVERLAY_VIDEO" ] || [ -n "$$WATCHED" ] || { echo "OVERLAY_VIDEO needs the film that was watched: add WATCHED=film.mp4." >&2; exit 1; }
	@for file in "$$VIDEO" "$$WATCHED"; do [ -z "$$file" ] || [ -f "$$file" ] || { echo "$$file does not exist" >&2; exit 1; }; done
	@[ -z "$(CAMERA)" ] || [ -e "/dev/video$(CAMERA)" ] || { echo "There is no webcam $(CAMERA): /dev/video$(CAMERA) does not exist." >&2; exit 1; }

INSTALL_INPUTS := pyproject.toml constraints.txt .ci/install
# Debian's Python lacks ensurepip until its venv package is installed.
VENV_PACKAGE = $(if $(PYTHON),$(shell $(PYTHON) -c 'import ensurepip' 2>/dev/null \
	|| $(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])' 2>/dev/null))

define require-python
@$(or $(PYTHON),false) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || { \
	echo "Python 3.11 or 3.12 is required, but $(if $(PYTHON),$(PYTHON) is another version or cannot run,none was found). Install it, or run make PYTHON=/path/to/python3.12." >&2; \
	exit 1; }
endef

# What the demo needs, and the rest on top of it in the same environment.
$(VENV)/.installed-demo: $(INSTALL_INPUTS)
	$(require-python)
	@.ci/install debian libegl1 libgles2 $(VENV_PACKAGE)
	@.ci/install venv $(PYTHON) $(VENV)
	@.ci/install python $(BIN)/python serve,tools --editable
	@touch $@

$(VENV)/.installed: $(INSTALL_INPUTS)
	$(require-python)
	@.ci/install debian libegl1 libgles2 $(VENV_PACKAGE) $(ALSO)
	@.ci/install venv $(PYTHON) $(VENV)
	@.ci/install python $(BIN)/python serve,lite,otel,tools,research,dev --editable
	@touch $(VENV)/.installed-demo $@

# ALSO: one call of apt-get for all Debian packages. The tests render faces from downloaded meshes.
$(VENV)/.installed-test: $(INSTALL_INPUTS)
	@$(MAKE) --no-print-directory $(VENV)/.installed ALSO="strace libgl1-mesa-dri"
	@.ci/install debian strace libgl1-mesa-dri
	@$(BIN)/python -c 'from research.rendering.assets import data_folder; data_folder()'
	@touch $@

$(VENV)/.installed-bench: $(INSTALL_INPUTS)
	@$(MAKE) --no-print-directory $(VENV)/.installed-demo
	@.ci/install python $(BIN)/python serve,lite,tools,bench --editable
	@touch $@

$(VENV)/.installed-eyes: $(INSTALL_INPUTS)
	@$(MAKE) --no-print-directory $(VENV)/.installed
	@.ci/install python $(BIN)/python eyes --editable
	@touch $@

$(VENV)/.installed-research: $(INSTALL_INPUTS)
	@$(MAKE) --no-print-directory $(VENV)/.installed ALSO=libgl1-mesa-dri
	@.ci/install debian libgl1-mesa-dri
	@touch $@
