# make book    the whole book, executed, from a bare checkout
# make help    all targets
#
# Needs python3 (3.10 or newer, with venv) and make, nothing else. Works with make 3.81 and the BSD tools of macOS.
# Every path is relative, so the folder's own path may contain spaces.

PYTHON ?= python3
SHELL = /bin/sh
VENV = .venv
RUN = $(VENV)/bin/python
STAMP = $(VENV)/.installed

# The kernel of this environment goes before one of the same name in the user's home.
export JUPYTER_PREFER_ENV_PATH = 1

.PHONY: help book pdf zip wheelhouse test lab exercises bench bench-loop lint format stamp clean distclean

help:
	@echo "make book       execute the notebooks and build the book into _build/html"
	@echo "make zip        pack the built book into dist/dmws-lite-book.zip, for reading without a network"
	@echo "make wheelhouse everything to install it without a network, into dist/wheelhouse (3 GB on Linux)"
	@echo "make pdf        print the built book into dist/dmws-lite-book.pdf (needs Chromium)"
	@echo "make test       all tests, the notebooks among them"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make exercises  write the student notebooks (notebooks/exercises/) from the notebooks with solutions"
	@echo "make bench      measure time and memory (benchmarks/bench.py)"
	@echo "make bench-loop measure what each choice of the training loop gains (benchmarks/loop.py)"
	@echo "make lint       style, spelling and notebook checks, changing nothing"
	@echo "make format     put style right where a tool can"
	@echo "make stamp      write the repository's address (pyproject.toml) into the notebooks"
	@echo "make clean      remove what was built; the environment $(VENV) stays"
	@echo "make distclean  remove $(VENV) too"
	@echo "Another Python: make book PYTHON=python3.12"

book: $(STAMP)
	@$(RUN) scripts/build_book.py

zip: $(STAMP)
	@$(RUN) scripts/zip_book.py

# For machines of the kind that this runs on: the same system and the same Python. What else pip should know goes into
# PIP_OPTIONS, such as another index with smaller builds of PyTorch.
wheelhouse: $(STAMP)
	@$(RUN) -m pip wheel --disable-pip-version-check --progress-bar off --wheel-dir dist/wheelhouse $(PIP_OPTIONS) \
	    -r requirements.txt .

pdf: $(STAMP)
	@$(RUN) scripts/make_pdf.py

test: $(STAMP)
	@$(RUN) -m pytest

lab: $(STAMP)
	@$(RUN) -m jupyter lab --notebook-dir=notebooks

exercises: $(STAMP)
	@$(RUN) scripts/stamp_notebooks.py
	@$(RUN) scripts/make_exercises.py

bench: $(STAMP)
	@$(RUN) benchmarks/bench.py

bench-loop: $(STAMP)
	@$(RUN) benchmarks/loop.py --compile

lint: $(STAMP)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m nbstripout --verify --keep-id notebooks/*.ipynb
	@$(RUN) scripts/stamp_notebooks.py
	@$(RUN) scripts/stamp_results.py --check
	@$(RUN) scripts/check_notebooks.py
	@$(RUN) scripts/make_exercises.py --check
	@$(RUN) -m codespell_lib

format: $(STAMP)
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .
	@$(RUN) scripts/stamp_notebooks.py
	@$(RUN) scripts/make_exercises.py
	@$(RUN) scripts/stamp_results.py

stamp: $(STAMP)
	@$(RUN) scripts/stamp_notebooks.py
	@$(RUN) scripts/make_exercises.py
	@$(RUN) scripts/stamp_results.py

clean:
	rm -rf _build dist build runs .pytest_cache .ruff_cache
	find . -name "$(VENV)" -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# The stamp is written last and holds the folder's own path. So it is missing in an environment that was killed half-way,
# and differs in one that was moved or copied with its folder; both are made anew, as is one whose Python has gone.
# Where only requirements.txt or pyproject.toml is newer, pip brings the environment up to date in place.
STATE := $(shell test "`cat $(STAMP) 2>/dev/null`" = "`pwd -P`" && $(RUN) -c "print('whole')" 2>/dev/null)
ifneq ($(STATE),whole)
.PHONY: $(STAMP)
endif

$(STAMP): requirements.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	    echo "$(PYTHON) was not found: install Python 3.10 or newer, or name yours: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 10))" || { \
	    echo "`"$(PYTHON)" --version 2>&1` is too old: Python 3.10 or newer is needed, for example: make PYTHON=python3.12" >&2; \
	    exit 1; }
	@"$(PYTHON)" -c "import venv, ensurepip" 2>/dev/null || { \
	    echo "$(PYTHON) comes without its venv module, which makes the private environment $(VENV). Install it and try again:" >&2; \
	    echo "  Debian, Ubuntu:  sudo apt install python3-venv" >&2; \
	    echo "  Fedora, RHEL:    sudo dnf install python3 python3-pip" >&2; \
	    echo "  others:          the package that holds Python's venv and ensurepip modules" >&2; \
	    exit 1; }
	@if test "$(STATE)" != whole; then \
	    echo "Making the environment $(VENV): about 6 GB with CUDA's packages on Linux, several minutes, once."; \
	    base=`"$(PYTHON)" -c "import sys; print(getattr(sys, '_base_executable', None) or sys.executable)"`; \
	    rm -rf $(VENV) && "$$base" -m venv $(VENV); \
	else \
	    echo "requirements.txt or pyproject.toml has changed: bringing $(VENV) up to date."; \
	fi
	@$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade "pip>=23.1"
	@$(RUN) -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt -e .
	@pwd -P > $(STAMP).new && mv $(STAMP).new $(STAMP)
