# `make` sets up the environment and runs the main job; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VIEW := .venv-view
VIEW_READY := $(VIEW)/.ready

.DEFAULT_GOAL := run

run: $(READY)  ## install the environment, compute the quick preset, draw all figures
	$(BIN)/snakemake --cores all --rerun-incomplete

smoke: $(READY)  ## every rule and condition on a few images, about a minute, in the folder .smoke
	$(BIN)/snakemake --cores all --rerun-incomplete --directory .smoke --config preset=smoke

SHOWN = $$($(VIEW)/bin/python -c 'from einorm.records.archive import SHOWN; print(SHOWN)')
view: $(VIEW_READY)  ## figures, claims and report of the released runs, in an environment without torch; 2 minutes
	$(VIEW)/bin/snakemake --cores all --rerun-incomplete --config results=archive preset=$(SHOWN)
	@echo "Open paper_artifact/bundle/report.html. Figures are in figures/, verdicts in results/claims/."
	@echo "For python -m einorm and snakemake: . $(VIEW)/bin/activate"

FORMAT ?= pdf
figures: $(VIEW_READY)  ## the figures of the released runs alone; as SVG, with text as text: FORMAT=svg
	$(VIEW)/bin/snakemake figures --cores all --rerun-incomplete --config results=archive preset=$(SHOWN) format=$(FORMAT)

archive: $(VIEW_READY)  ## the same of the quick preset's released tables
	$(VIEW)/bin/snakemake --cores all --rerun-incomplete --config results=archive

artifact: $(READY)  ## the bundle, a zip ready for a DOI, from the computed results
	$(BIN)/snakemake artifact --cores all --rerun-incomplete

release: $(VIEW_READY)  ## the bundle of the released runs, checked, to upload for a DOI
	$(VIEW)/bin/snakemake artifact --cores all --rerun-incomplete --config results=archive preset=$(SHOWN)
	$(VIEW)/bin/python -m einorm verify paper_artifact/bundle/einorm-$(SHOWN).zip

budget: $(READY)  ## what every preset costs on this machine
	$(BIN)/python -m einorm budget

# three workers keep two cores busy: tests of the workflow wait
SUITE = $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder --cov
test: $(READY)  ## run the tests, but for the long ones
	$(SUITE) -m "not long" --cov-report=

test-long: $(READY)  ## run the long tests, marked so: SLURM, executed documentation, determinism, other machines
	$(SUITE) -m long --cov-append --cov-report=term

test-all: test test-long  ## run all tests, the short ones first

faults: $(READY)  ## strike a running workflow 25 times: nothing may be lost (a quarter of an hour)
	cd tests && ../$(BIN)/python faults.py --rounds 25 --seed 0

IMAGES := results/data/fashion_mnist.npz
gpu-check: $(READY)  ## check a GPU: golden vectors, every condition, speed, two cells against the CPU's (4 minutes)
	$(BIN)/snakemake $(IMAGES) --cores 1
	$(BIN)/python tests/gpu_check.py --images $(IMAGES) --out paper_artifact/benchmark_gpu.json

test-slurm: $(READY)  ## run the SLURM profile on a real SLURM, started for the test (as root on Debian)
	command -v slurmctld munged > /dev/null || apt-get install -y slurm-wlm munge
	EINORM_REQUIRE_SLURM=1 $(BIN)/python -m pytest tests/test_slurm.py

audit: $(READY)  ## look the locked packages up among the known vulnerabilities (needs PyPI's own index)
	$(BIN)/python -m venv --clear $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet pip-audit
	$(VENV)-audit/bin/pip-audit --require-hashes --disable-pip -r envs/requirements.lock

BUNDLE ?= paper_artifact/bundle/einorm-quick.zip
crate: $(READY)  ## check the RO-Crate of a bundle (BUNDLE=ZIP) with roc-validator, in an environment of its own
	$(BIN)/python -m venv --clear $(VENV)-crate
	$(VENV)-crate/bin/python -m pip install --quiet roc-validator==0.13.0
	$(VENV)-crate/bin/python -m pip install --quiet --no-deps rocrate==0.9.0  # for the context of RO-Crate 1.1
	$(VENV)-crate/bin/python tests/validate_crate.py $(BUNDLE)

PAGES := paper_artifact/bundle/report.html paper_artifact/bundle/explore.html
accessibility: $(READY)  ## check report and explorer with axe-core (needs npm and Chromium), 0 violations
	npm install --silent --no-save --prefix .axe axe-core@4
	$(BIN)/python tests/axe.py .axe/node_modules/axe-core/axe.min.js $(PAGES)

lint: $(READY)  ## check style and types: ruff, mypy, snakefmt, snakemake --lint, prose
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/snakemake --lint
	$(BIN)/python tests/prose.py

UPGRADE ?=
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/uv pip compile pyproject.toml --quiet --universal \
	--python-version 3.11 --generate-hashes --no-annotate
lock:  ## refresh the locks in envs, of all platforms, from pyproject.toml; newer versions: UPGRADE=--upgrade
	$(PYTHON) -m venv --clear $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet uv
	$(COMPILE) --all-extras $(UPGRADE) --output-file envs/requirements.lock
	$(COMPILE) --constraints envs/requirements.lock --output-file envs/view.lock

docs: $(READY)  ## build the documentation site, docs/_build/html/index.html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

docs-reference: $(READY)  ## refresh docs/reference/config.md from the typed config and config.yaml
	$(BIN)/python docs/config_reference.py

docs-results: $(READY)  ## refresh what the pages show of the archives: claims, cost, robustness, with their pictures
	$(BIN)/python docs/archived_results.py

docs-pictures: $(READY)  ## refresh docs/pictures (needs Graphviz)
	$(BIN)/python docs/pictures.py

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

define install  # an environment (1) with exactly what a lock (2) names
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "einorm: error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --no-deps --require-hashes --requirement $(2)
	$(1)/bin/python -m pip install --quiet --no-deps --editable .
	touch $(1)/.ready
endef

$(READY): envs/requirements.lock pyproject.toml
	$(call install,$(VENV),envs/requirements.lock)

$(VIEW_READY): envs/view.lock pyproject.toml
	$(call install,$(VIEW),envs/view.lock)

.PHONY: run smoke view figures archive artifact release budget test test-long test-all faults gpu-check test-slurm audit crate accessibility lint lock docs docs-reference docs-results docs-pictures help
