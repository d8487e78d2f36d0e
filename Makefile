# wherry: see README.md. Everything here runs as root on Debian 12/13 or Ubuntu 24.04.

PYTHON := .venv/bin/python
.PHONY: setup demo test test-vm vm vm-update lint unit system bench fuzz clean
UPDATE_IN_VM := $(wildcard tests/vm/test_vm_auto_update*.py)

setup:          ## install distribution packages and .venv; quick when nothing is missing
	@scripts/setup.sh

demo: setup     ## the main job end to end on a locally made image
	@scripts/demo.sh

test: setup lint unit system $(if $(UPDATE_IN_VM),vm-update)    ## everything below, after installing what is needed

lint: setup     ## ruff and mypy --strict
	$(PYTHON) -m ruff check src tests scripts bench
	$(PYTHON) -m mypy

unit: setup     ## unit, property, contract and architecture tests: no root needed, no containers
	$(PYTHON) -m pytest -q tests/unit tests/property tests/contract tests/arch

system: setup   ## real conmon, crun, runc, netavark, registry, Podman, Buildah, Skopeo
	$(PYTHON) -m pytest -q tests/system tests/compat

test-vm: vm     ## everything that needs systemd as init, in a virtual machine (no KVM needed); builds it the first time
	$(PYTHON) -m pytest -q tests/vm

vm-update: vm
	$(PYTHON) -m pytest -q $(UPDATE_IN_VM)

vm: setup
	@scripts/setup.sh vm
	@$(PYTHON) -m tests.vm.guest

bench: setup    ## side by side with Podman; writes bench/results/latest.json
	$(PYTHON) bench/run.py

fuzz: setup     ## property tests with many examples; FUZZ_EXAMPLES=N says how many
	$(PYTHON) -m pytest -q -p scripts.fuzz_profile tests/property

clean:          ## remove what make made
	rm -rf .venv .setup .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
