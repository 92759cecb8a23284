"""The distillation lab's files: its engine in JavaScript, its teachers, and the presets with what each one promises."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

from .._system import data_path

STATIC = Path(__file__).resolve().parent / "widgets" / "static"
PARTS = ("lab_net", "lab_rules", "lab_worlds", "lab_engine")

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./lab_\w+\.js";\n', re.MULTILINE)


def engine_script() -> str:
    """Return the lab's engine as one ES module without imports: a saved page has no folder to import from."""
    texts = ((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in PARTS)
    return "\n".join(_IMPORT.sub("", text) for text in texts)


@lru_cache(maxsize=1)
def lab_assets() -> dict:
    """Return the teachers by ``"WORLD/TASK"``, as ``Lab`` of ``lab_engine.js`` takes them.

    ``scripts/make_lab_teachers.py`` trained them and wrote ``data/lab/teachers.json``.
    """
    return json.loads(data_path("lab/teachers.json").read_text(encoding="utf-8"))
