# make run   DICOM=folder   triage a CT (without DICOM: a phantom made on the spot)
# make test                 the whole test suite
# make test-thorough        the same with every example of its properties and every second proof
# make check                style, types, architecture
# Everything below makes its own environment in .venv; only Python >= 3.11 and make are needed.

VENV   ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN    := $(VENV)/bin
OUT    ?= build/out
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# The phantom of `make run` and of the pictures: T10 crushed by a lytic lesion, L1 a plain wedge, a
# curved spine.
PHANTOM := --levels T4-L5 --fracture L1:wedge:0.35 --fracture T10:crush:0.4 --lesion T10:lytic \
	--scoliosis 12 --seed 7

.PHONY: run test test-thorough fuzz check wheel peers servers containers pictures samples format clean sbom licences audit
.DEFAULT_GOAL := run

run: $(VENV)/.installed
ifdef DICOM
	$(BIN)/vfx-edge run "$(DICOM)" --out "$(OUT)"
else
	@echo "No DICOM=folder given: making a phantom in build/phantom"
	rm -rf build/phantom
	$(BIN)/vfx-edge phantom build/phantom $(PHANTOM)
	$(BIN)/vfx-edge run build/phantom --out "$(OUT)"
endif

# Two processes: most tests wait for others, or use one core. One: PROCESSES=0.
# xdist's own order, by number of tests, would begin the dearest files last: see tests/conftest.py.
PROCESSES ?= 2
PYTEST := $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
test: $(VENV)/.installed-dev peers
	$(PYTEST) $(ARGS)

# Every night, or before a release: properties at random, not the same few examples each time; and
# the harnesses, whose old findings the suite replays anyway.
test-thorough: $(VENV)/.installed-dev peers servers containers
	$(PYTEST) --hypothesis-profile=thorough -m "thorough or not thorough" $(ARGS)
ifndef ARGS
	$(MAKE) fuzz
endif

# Every harness for a few seconds; most of the minute is their start.
fuzz: $(VENV)/.installed-peers
	$(BIN)/python -m tests.fuzz all --seconds 3 --at-once 2

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pictures of the documents, from the phantom: what is shown is what this checkout makes.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
pictures: $(VENV)/.installed
	@test -n "$(CHROMIUM)" || { echo "pictures: chromium is needed; make peers installs it" >&2; exit 1; }
	rm -rf build/pictures && mkdir -p docs
	$(BIN)/vfx-edge phantom build/pictures/ct $(PHANTOM)
	$(BIN)/vfx-edge run build/pictures/ct --out build/pictures/out --quiet
	"$(CHROMIUM)" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1400,1320 \
		--screenshot=docs/report.png "file://$(CURDIR)/build/pictures/out/report.html" 2>/dev/null

# A contact sheet of the training generator's composites beside real CT (where DATA has some), for
# people to look at: real CT is not ours to publish, so it stays in build/.
DATA ?= ../shared/data
samples: $(VENV)/.installed-dev
	$(BIN)/python -m models.recipes.generator samples --data "$(DATA)" --out build/samples.png

# Wheel and source distribution, the default models inside.
wheel: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --quiet --no-isolation

# Other people's programs that tests compare with or show the report in. Tests skip without them.
peers: $(VENV)/.installed-peers build/peers/.installed
	@if command -v chromium && command -v dcmdump && command -v dciodvfy \
		&& PATH="$$PATH:/usr/sbin" command -v Orthanc && command -v openssl \
		&& command -v minisign && command -v strace \
		&& test -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so; then :; \
	elif command -v apt-get && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends chromium dcmtk dicom3tools orthanc orthanc-dicomweb openssl minisign strace; \
	else echo "peers: needs apt-get and root; the tests that use them will skip" >&2; fi >/dev/null

# What builds and runs the container images in the thorough tests, without Docker.
CONTAINERS := podman crun netavark aardvark-dns iptables debootstrap
containers:
	@if command -v podman && command -v crun && PATH="$$PATH:/usr/sbin" command -v debootstrap \
		&& PATH="$$PATH:/usr/sbin" command -v iptables; then :; \
	elif command -v apt-get && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			--no-install-recommends $(CONTAINERS); \
	else echo "containers: needs apt-get and root; the tests that use them will skip" >&2; fi >/dev/null

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/it" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing vfx-edge into $(VENV) (some 500 MB the first time)"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing vfx-edge, its test tools and PyTorch into $(VENV)"
	$(PIP) -e '.[dev,export,service,radiomics,kserve]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-peers: $(VENV)/.installed-dev
	@echo "Installing nnU-Net, dcmqi and Node.js, for the tests, into $(VENV) (some 700 MB the first time)"
	@$(PIP) -e '.[peers]' && touch $@ || \
		echo "peers: not all could be installed; the tests that use them will skip" >&2

# What OHIF, a viewer, reads segmentations and reports with.
OHIF = dcmjs@0.52.0 @cornerstonejs/adapters@5.14.0 @babel/runtime@7
build/peers/.installed: $(VENV)/.installed-peers
	@mkdir -p $(@D)
	@PATH="$(abspath $(BIN)):$$PATH" npm install --prefix $(@D) --no-audit --no-fund --silent $(OHIF) \
		&& touch $@ || echo "peers: no libraries of OHIF; the tests that use them will skip" >&2

# Servers of the KServe v2 protocol, for the thorough tests (522 MB): NVIDIA Triton, which comes with PyTriton (whose
# own needs are left out: it wants older packages than they run with), and Seldon's MLServer.
SERVING = build/peers/serving
servers: build/peers/.installed-serving
build/peers/.installed-serving: $(VENV)/.installed-peers
	@rm -rf $(SERVING) && "$(PYTHON)" -m venv $(SERVING) \
		&& $(SERVING)/bin/python -m pip --disable-pip-version-check install --quiet \
			mlserver==1.7.1 onnxruntime==1.26.0 'numpy<2' \
		&& $(SERVING)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
			nvidia-pytriton==0.7.0 \
		&& touch $@ || echo "peers: no servers; the tests that use them will skip" >&2

# What a hospital asks of the packages that run there: an environment of these alone, the tools in
# another one, so that they are not in their own list.
RUNTIME ?= build/runtime
TOOLS   ?= build/tools
SBOM    := build/sbom.cdx.json
PACKAGES = $(shell $(RUNTIME)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
$(RUNTIME)/.installed: pyproject.toml constraints.txt
	@echo "Installing vfx-edge and what it runs on into $(RUNTIME)"
	@rm -rf $(RUNTIME) && "$(PYTHON)" -m venv $(RUNTIME)
	@$(RUNTIME)/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt '.[service]'
	@$(RUNTIME)/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes setuptools pip
	@touch $@
$(TOOLS)/.installed: Makefile
	@"$(PYTHON)" -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet \
		cyclonedx-bom==7.5.0 pip-licenses==5.5.5 pip-audit==2.10.1
	@touch $@

# The software bill of materials (CycloneDX), and the SOUP list of the documents from it.
sbom: $(RUNTIME)/.installed $(TOOLS)/.installed
	@mkdir -p $(dir $(SBOM))
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --of JSON --pyproject pyproject.toml \
		-o $(SBOM) $(RUNTIME)/bin/python
	$(RUNTIME)/bin/python integration/supply/soup.py $(SBOM) docs/soup.md
	@echo "$(SBOM), docs/soup.md"

# Fails on a licence that is not on the list. resvg_py declares none: its file is the MIT licence's.
LICENCES := MIT;BSD;Apache;ISC;PSF;Python Software Foundation;MPL;Mozilla
licences: $(RUNTIME)/.installed $(TOOLS)/.installed
	$(TOOLS)/bin/pip-licenses --python $(RUNTIME)/bin/python --from=mixed --partial-match \
		--ignore-packages resvg_py --allow-only '$(LICENCES)'
	@$(TOOLS)/bin/pip-licenses --python $(RUNTIME)/bin/python --from=mixed --partial-match \
		--ignore-packages resvg_py --fail-on 'GPL;GNU;UNKNOWN' >/dev/null

# Known vulnerabilities; needs PyPI's advisory database, and ends with 3 where it can't be reached.
audit: $(RUNTIME)/.installed $(TOOLS)/.installed
	$(TOOLS)/bin/python integration/supply/audit.py "$(PACKAGES)"

clean:
	rm -rf build dist vfx-edge-out .pytest_cache .mypy_cache .ruff_cache .hypothesis
