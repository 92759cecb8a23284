"""Everything that is made, tested or measured here, with Python alone: ``python make.py help`` lists it.

    python make.py book
    python make.py book PIP_OPTIONS="--extra-index-url ADDRESS"

Where there is make, ``make book`` runs this file. It needs Python 3.10 or newer with its venv module, and nothing else;
the rest goes into the private environment ``.venv``, which the first target makes.

No f-strings and no annotations in this file: then an older Python can read it as well, and ends with a sentence on the
version it needs in place of a SyntaxError.
"""

import difflib
import glob
import os
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, ".installed")
INSTALLED_FROM = [os.path.join(ROOT, "requirements.txt"), os.path.join(ROOT, "pyproject.toml")]
BUILT = ["_build", "dist", "build", "runs", ".pytest_cache", ".ruff_cache"]
OLDEST = (3, 10)
VARIABLES = {"PIP_OPTIONS": "what pip should know besides, in every installation, such as another index"}

# These words stand for several: the options of the user for pip, and the paths of the notebooks.
PIP_OPTIONS = "PIP_OPTIONS"
NOTEBOOKS = "NOTEBOOKS"

# A test goes to whichever worker is free; more workers than four would need more memory than time they save.
SIDE_BY_SIDE = ["-n", "logical", "--maxprocesses", "4", "--dist", "worksteal"]
LINT = [
    ["-m", "ruff", "check", "."],
    ["-m", "ruff", "format", "--check", "."],
    ["-m", "nbstripout", "--verify", "--keep-id", NOTEBOOKS],
    ["scripts/stamp_notebooks.py", "--check"],
    ["scripts/stamp_results.py", "--check"],
    ["scripts/check_notebooks.py"],
    ["scripts/make_exercises.py", "--check"],
    ["-m", "codespell_lib"],
]
STAMP_ALL = [["scripts/stamp_notebooks.py"], ["scripts/make_exercises.py"], ["scripts/stamp_results.py"]]
WHEELHOUSE = ["-m", "pip", "wheel", "--disable-pip-version-check", "--progress-bar", "off", PIP_OPTIONS]

# Target: what it does, and the arguments of the environment's Python, one list a step.
IN_ENVIRONMENT = {
    "environment": ("make the environment .venv, or bring it up to date", []),
    "book": ("execute the notebooks and build the book into _build/html", [["scripts/build_book.py"]]),
    "zip": (
        "pack the built book into dist/dmws-lite-book.zip, to be read without a network",
        [["scripts/zip_book.py"]],
    ),
    "wheelhouse": (
        "collect all packages in dist/wheelhouse, to install without a network (3 GB on Linux)",
        [WHEELHOUSE + ["--wheel-dir", "dist/wheelhouse", "-r", "requirements.txt", "."]],
    ),
    "pdf": ("print the built book into dist/dmws-lite-book.pdf (needs Chromium)", [["scripts/make_pdf.py"]]),
    "slides": (
        "make the slides of the sessions from the built book, in dist/slides (printed too, with Chromium)",
        [["scripts/make_slides.py"]],
    ),
    "times": (
        "write reading and running times into pages and notebooks (to measure: scripts/stamp_times.py --measure)",
        [["scripts/stamp_times.py"], ["scripts/make_exercises.py"]],
    ),
    "instructor": (
        "build the instructor's pages into dist/instructor: answers, rubrics, exam bank, solutions",
        [["scripts/make_instructor.py"]],
    ),
    "check": (
        "style and the fast tests, before a commit",
        LINT + [["-m", "pytest", "-m", "not slow and not notebooks and not browser"] + SIDE_BY_SIDE],
    ),
    "test": ("all tests, the notebooks among them", [["-m", "pytest"] + SIDE_BY_SIDE]),
    "lab": ("open the notebooks in JupyterLab", [["-m", "jupyter", "lab", "--notebook-dir=notebooks"]]),
    "exercises": (
        "write the student notebooks (notebooks/exercises/) from the notebooks with solutions",
        [["scripts/stamp_notebooks.py"], ["scripts/make_exercises.py"]],
    ),
    "bench": ("measure time and memory", [["benchmarks/bench.py"]]),
    "bench-loop": ("measure what each choice of the training loop gains", [["benchmarks/loop.py", "--compile"]]),
    "lint": ("check style, spelling and notebooks, changing nothing", LINT),
    "format": (
        "correct the style where a tool can",
        [["-m", "ruff", "check", "--fix", "."], ["-m", "ruff", "format", "."]] + STAMP_ALL,
    ),
    "stamp": ("write the repository's address (pyproject.toml) and the table of results where they belong", STAMP_ALL),
    "stamp-origin": (
        "take the address of this clone's git origin into pyproject.toml, then stamp",
        [["scripts/stamp_notebooks.py", "--origin"]] + STAMP_ALL[1:],
    ),
}
WITHOUT_ENVIRONMENT = {
    "clean": "remove what was built; the environment .venv stays",
    "distclean": "remove .venv too",
    "help": "this list",
}
# Tests run side by side, so each process gets one thread.
ENVIRONMENT_OF = {"check": {"OMP_NUM_THREADS": "1"}, "test": {"OMP_NUM_THREADS": "1"}}

NO_VENV = """\
%s comes without its venv module, which makes the private environment .venv. Install it and try again:
  Debian, Ubuntu:  sudo apt install python3-venv
  Fedora, RHEL:    sudo dnf install python3 python3-pip
  Windows:         Python from python.org or the Microsoft Store
  others:          the package that holds Python's venv and ensurepip modules"""


class Refused(Exception):
    """Something the user can mend; the message says what. The second argument, if any, is the exit code."""


def say(text):
    """Print at once, so that the line stands before what a started program prints."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def venv_python(venv, system=os.name):
    """Return the path of a virtual environment's Python; ``system`` is a value of os.name."""
    return os.path.join(venv, "Scripts", "python.exe") if system == "nt" else os.path.join(venv, "bin", "python")


def split_options(text, system=os.name):
    """Split PIP_OPTIONS into words as a shell would; on Windows a backslash is part of a path."""
    if system != "nt":
        return shlex.split(text)
    words = shlex.split(text, posix=False)
    return [word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word for word in words]


def pip_options():
    """Return the words of the variable PIP_OPTIONS."""
    try:
        return split_options(os.environ.get("PIP_OPTIONS", ""))
    except ValueError as error:
        raise Refused("PIP_OPTIONS=%s cannot be split into words: %s" % (os.environ["PIP_OPTIONS"], error))


def expanded(words):
    """Return the arguments of a step with what PIP_OPTIONS and NOTEBOOKS stand for."""
    found = []
    for word in words:
        if word == PIP_OPTIONS:
            found += pip_options()
        elif word == NOTEBOOKS:
            found += sorted(glob.glob(os.path.join("notebooks", "*.ipynb")))
        else:
            found.append(word)
    return found


def run(command, **variables):
    """Run a program in the project's folder; where it fails, end with its exit code, as it has said why."""
    process = subprocess.Popen(command, env=dict(os.environ, **variables))
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            pass  # the program got the Ctrl-C too, and may ask a question or tidy up before it ends
    if code:
        sys.exit(code if code > 0 else 128 - code)


def runs(python):
    """Tell whether this Python can be started: the one behind an environment may have been removed or replaced."""
    try:
        return not subprocess.call([python, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return False


def remove(path):
    """Remove a file, a folder or a link to one, if it is there."""
    try:
        if os.path.islink(path) or os.path.isfile(path):
            os.remove(path)
        elif os.path.isdir(path):
            shutil.rmtree(path)
    except OSError as error:
        raise Refused("%s cannot be removed (%s); end the programs that use it and try again" % (path, error.strerror))


def stamp_text():
    """Return what the stamp of a whole environment holds: the folder's own path."""
    return os.fsencode(os.path.realpath(ROOT) + "\n")


def environment_is_whole():
    """Tell whether the environment was made to the end, in this folder, by a Python that is still there.

    The stamp is written last. So it is missing in an environment that was killed half-way, and names another folder in
    one that was moved or copied with its project.
    """
    try:
        with open(STAMP, "rb") as stamp:
            text = stamp.read()
    except OSError:
        return False
    return text == stamp_text() and runs(venv_python(VENV))


def make_environment():
    """Make the environment, or bring it up to date where only requirements.txt or pyproject.toml is newer than it."""
    if not environment_is_whole():
        try:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
        except ImportError:
            raise Refused(NO_VENV % sys.executable)
        say("Making the environment .venv: several minutes, once. On Linux, PyTorch brings 5.5 GB of CUDA packages;")
        say("README.md, section Two commands, says how to get its build for the CPU instead, of about 200 MB.")
        # Inside a virtual environment the Python behind it: the environment may be the one that is removed here.
        base = getattr(sys, "_base_executable", None) or sys.executable
        remove(VENV)
        run([base, "-m", "venv", VENV])
    elif max(map(os.path.getmtime, INSTALLED_FROM)) > os.path.getmtime(STAMP):
        say("requirements.txt or pyproject.toml has changed: bringing .venv up to date.")
    else:
        return
    pip = [venv_python(VENV), "-m", "pip", "install", "--disable-pip-version-check"] + pip_options()
    run(pip + ["--quiet", "--upgrade", "pip>=23.1"])
    run(pip + ["--progress-bar", "off", "-r", "requirements.txt", "-e", "."])
    with open(STAMP + ".new", "wb") as stamp:
        stamp.write(stamp_text())
    os.replace(STAMP + ".new", STAMP)


def clean():
    """Remove what was built, and Python's own caches outside of the environment."""
    for name in BUILT:
        remove(os.path.join(ROOT, name))
    for folder, names, _ in os.walk(ROOT):
        if "__pycache__" in names:
            remove(os.path.join(folder, "__pycache__"))
        names[:] = [name for name in names if name not in (".venv", ".git", "__pycache__")]


def show_help():
    """List the targets and the variables."""
    say("python make.py TARGET, or where there is make: make TARGET\n")
    texts = [(name, text) for name, (text, _) in IN_ENVIRONMENT.items()] + list(WITHOUT_ENVIRONMENT.items())
    for name, text in texts:
        say("  %-13s %s" % (name, text))
    say("\nVariables, from the environment or behind the target as NAME=VALUE:\n")
    for name, text in VARIABLES.items():
        say("  %-13s %s" % (name, text))
    say("\nAnother Python: python3.12 make.py TARGET, or make TARGET PYTHON=python3.12")


def set_variable(word):
    """Carry out NAME=VALUE of the command line, as make would."""
    name, _, value = word.partition("=")
    if name == "PYTHON":
        raise Refused("PYTHON is a variable of make; here start another Python yourself: %s make.py TARGET" % value, 2)
    if name not in VARIABLES:
        raise Refused("there is no variable %s, only %s" % (name, ", ".join(VARIABLES)), 2)
    os.environ[name] = value


def check_target(name):
    """Refuse a target that does not exist."""
    known = list(IN_ENVIRONMENT) + list(WITHOUT_ENVIRONMENT)
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = "did you mean %s? " % close[0] if close else ""
        raise Refused("there is no target %s; %s`python make.py help` lists all" % (name, hint), 2)


def make(target):
    """Make one target."""
    if target == "help":
        show_help()
    elif target in ("clean", "distclean"):
        clean()
        if target == "distclean":
            remove(VENV)
    else:
        make_environment()
        for step in IN_ENVIRONMENT[target][1]:
            run([venv_python(VENV)] + expanded(step), **ENVIRONMENT_OF.get(target, {}))


def main(words):
    """Carry out a command line and return its exit code."""
    try:
        if sys.version_info < OLDEST:
            version = ".".join(map(str, sys.version_info[:3]))
            raise Refused(
                "Python %s is too old: Python 3.10 or newer is needed, for example: make TARGET PYTHON=python3.12, or: "
                "python3.12 make.py TARGET" % version
            )
        targets = ["help" if word in ("-h", "--help") else word for word in words if "=" not in word] or ["help"]
        for word in words:
            if "=" in word:
                set_variable(word)
        for target in targets:
            check_target(target)
        os.chdir(ROOT)
        # The kernel of this environment goes before one of the same name in the user's home.
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
        for target in targets:
            make(target)
    except Refused as error:
        sys.stderr.write("make.py: %s\n" % error.args[0])
        return error.args[1] if len(error.args) > 1 else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
