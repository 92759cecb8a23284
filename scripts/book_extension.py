"""What the build of the book adds to Sphinx: the pages of the API reference, help texts of commands, the search.

``_config.yml`` names this module among the extensions, and ``build_book.py`` puts its folder onto the path.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc import Documenter, ModuleDocumenter
from sphinx.util.nodes import make_refnode

PACKAGE = "dmws_lite"
SEARCH = Path(__file__).with_name("search.js")


class MainNamesFirst(ModuleDocumenter):
    """Documents a module: first the names whose docstring has an example, then the others, both as in the file."""

    priority = ModuleDocumenter.priority + 1

    def sort_members(self, documenters: list[tuple[Documenter, bool]], order: str) -> list[tuple[Documenter, bool]]:
        def has_no_example(entry: tuple[Documenter, bool]) -> bool:
            name = entry[0].name.partition("::")[2]
            return "Example:" not in (getattr(self.object, name).__doc__ or "")

        return sorted(super().sort_members(documenters, order), key=has_no_example)


class CommandHelp(Directive):
    """``{command-help} run`` shows what ``dmws-lite run --help`` prints."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = help_text(self.arguments[0])
        return [nodes.literal_block(text, text, language="text")]


def help_text(command: str) -> str:
    """Return what ``dmws-lite COMMAND --help`` prints.

    Raises:
        ValueError: there is no such command.
    """
    from dmws_lite.cli import make_parser  # loads PyTorch, which books without that directive do not need

    actions = make_parser()._actions
    commands = next(each.choices for each in actions if isinstance(each, argparse._SubParsersAction))
    if command not in commands:
        raise ValueError(f"command {command!r} is unknown; the commands are {', '.join(commands)}")
    return commands[command].format_help().rstrip()


def prepare_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Write two things of our docstrings in the way that napoleon reads them; changes ``lines`` in place.

    - A colon in the first line below ``Returns:`` ends a type for napoleon. Ours has sentences there, types are hints.
    - ``low, high: ends of the interval``: napoleon takes the first of two names for a type.
    """
    section, prepared = "", []
    for line in lines:
        if found := re.fullmatch(r"(\w[\w ]*):", line):
            section = found[1]
        elif section in ("Returns", "Yields") and prepared[-1].endswith(":"):
            prepared.append(f"{line[: len(line) - len(line.lstrip())]}:")
        elif section in ("Args", "Attributes", "Class attributes"):
            line = re.sub(r"^\s+\w+(, \w+)+: ", lambda match: match[0].replace(", ", "/"), line)
        prepared.append(line)
    lines[:] = prepared


def short_names(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Shorten ``~module.Name`` to ``Name`` in a signature that Sphinx prints as it is.

    It does so where a default is no Python expression, such as ``<factory>``; elsewhere it makes a link of the name.
    """
    if signature and "<" in signature:
        signature = re.sub(r"~(?:\w+\.)+(\w+)", r"\1", signature)
    return signature, returns


def link_bare_name(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, shown: nodes.Element
) -> nodes.Element | None:
    """Link a name in a docstring, such as ``:func:`fit```, to its entry, in whatever module of the package that is.

    What the package defines but no page has an entry for, such as a field of a dataclass, stays plain text. The rest,
    a misspelt name or one that two modules define, is left to Sphinx, which warns.
    """
    if node.get("refdomain") != "py":
        return None
    domain = environment.get_domain("py")
    kinds = domain.objtypes_for_role(node["reftype"]) or []
    target = node["reftarget"].removeprefix(f"{PACKAGE}.")
    found = [
        name for name, entry in domain.objects.items() if f".{name}".endswith(f".{target}") and entry.objtype in kinds
    ]
    if len(found) == 1:
        entry = domain.objects[found[0]]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown, found[0])
    module = sys.modules.get(node.get("py:module"))
    places = [sys.modules[PACKAGE], module, getattr(module, node.get("py:class") or "", None)]
    return shown if any(defines(place, target) for place in places) else None


def defines(place: object, target: str) -> bool:
    """Tell whether a module or class has an attribute or annotated field of this name, which may have dots."""
    name, _, rest = target.partition(".")
    if rest:
        return defines(getattr(place, name, None), rest)
    return hasattr(place, name) or name in getattr(place, "__annotations__", {})


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_autodocumenter(MainNamesFirst, override=True)
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # before napoleon, at 500
    app.connect("autodoc-process-signature", short_names)
    app.connect("missing-reference", link_bare_name)
    app.connect("config-inited", lambda app, config: setattr(config, "html_search_scorer", str(SEARCH)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
