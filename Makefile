# make book    the whole book, executed, from a bare checkout
# make help    all targets
#
# Needs make and python3 (3.10 or newer, with venv), nothing else. What a target does is in make.py, which also works
# without make: python3 make.py book. Works with make 3.81 and the BSD tools of macOS.

PYTHON ?= python3
SHELL = /bin/sh
TARGETS = help environment book zip wheelhouse pdf slides instructor times check test lab exercises bench bench-loop lint \
    format stamp stamp-origin clean distclean

.PHONY: $(TARGETS) .venv/.installed
# Two targets at once would make the environment twice.
.NOTPARALLEL:

$(TARGETS):
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	    echo "$(PYTHON) was not found: install Python 3.10 or newer, or name yours: make $@ PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" make.py $@

.venv/.installed: environment
