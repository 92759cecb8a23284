"""YAML that means what it says. Whatever YAML 1.1 would read as something else is refused by name.

In YAML 1.1 ``1e-3`` is a text, ``010`` is eight, ``1:30`` is ninety and ``no`` is false; of two equal keys the last one
wins; and a few lines of references can stand for more nodes than a machine has memory for.
"""

from __future__ import annotations

import re

import yaml

LARGEST = 1_000_000  # bytes of a file

MOST_NODES = 100_000  # with every reference written out

_INTEGER, _REAL = re.compile(r"[-+]?(0|[1-9][0-9]*)"), re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")

_TAG = "tag:yaml.org,2002:"


class PlainYamlError(ValueError):
    """A text is no YAML, or would be read as something else than it says; the message names the place."""


def read_plain_yaml(text: str) -> object:
    """Read a YAML document of mappings, lists, texts, numbers, true, false and null.

    Raises:
        PlainYamlError: the text is no YAML, or not plain in the sense above.

    Example:
        >>> read_plain_yaml("{learning_rate: 0.001, seed: [0, 1]}")
        {'learning_rate': 0.001, 'seed': [0, 1]}
        >>> read_plain_yaml("learning_rate: 1e-3")
        Traceback (most recent call last):
        ...
        dmws_lite.experiments.plain_yaml.PlainYamlError: line 1: 1e-3 is a text in YAML; write 0.001, or quote it
    """
    if len(text) > LARGEST:
        raise PlainYamlError(f"it has {len(text):,} characters; at most {LARGEST:,} are read")
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check(node, {}, ())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except PlainYamlError:
        raise
    except RecursionError:
        raise PlainYamlError("it is nested too deeply, or a part of it contains itself") from None
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise PlainYamlError(" ".join(str(error).split())) from error


def _check(node: yaml.Node, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """Check a node and all below it; return how many nodes they are with every reference written out."""
    if id(node) in above:
        raise PlainYamlError(f"line {_line(node)}: a part of it contains itself")
    if id(node) in sizes:
        return sizes[id(node)]
    inner = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        _check_scalar(node)
        size = 1
    elif isinstance(node, yaml.SequenceNode):
        size = 1 + sum(_check(each, sizes, inner) for each in node.value)
    else:
        _check_keys(node)
        size = 1 + sum(_check(key, sizes, inner) + _check(value, sizes, inner) for key, value in node.value)
    if size > MOST_NODES:
        raise PlainYamlError(f"with its references written out it has more than {MOST_NODES:,} entries")
    sizes[id(node)] = size
    return size


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
            raise PlainYamlError(f"line {_line(key)}: a key is no text; write it in quotes")
        if key.value in seen and key.tag != f"{_TAG}merge":
            raise PlainYamlError(f"line {_line(key)}: the key {key.value!r} is there twice; keep one of them")
        seen.add(key.value)


def _check_scalar(node: yaml.ScalarNode) -> None:
    if node.style is not None:  # in quotes, or a block of text: it says itself that it is one
        return
    text, kind, line = node.value, node.tag.removeprefix(_TAG), _line(node)
    if kind == "int" and not _INTEGER.fullmatch(text):
        raise PlainYamlError(f"line {line}: {text} is {_read(node)} in YAML; write the number in plain digits")
    if kind == "float" and not _REAL.fullmatch(text):
        raise PlainYamlError(f"line {line}: {text} is {_read(node)} in YAML; write the number in plain digits")
    if kind == "bool" and text not in ("true", "false"):
        raise PlainYamlError(f"line {line}: {text} is {_read(node)} in YAML; write true or false, or quote it")
    if kind == "timestamp":
        raise PlainYamlError(f"line {line}: {text} is a date in YAML; quote it")
    if kind == "str" and (number := _as_number(text)) is not None:
        raise PlainYamlError(f"line {line}: {text} is a text in YAML; write {number}, or quote it")
    if kind not in ("int", "float", "bool", "null", "str", "merge"):
        raise PlainYamlError(f"line {line}: {node.tag} is not read; give texts, numbers, lists and mappings only")


def _as_number(text: str) -> str | None:
    """Return a text that Python reads as a number as YAML would have it, else ``None``."""
    try:
        value = float(text)
    except ValueError:
        try:
            return str(int(text, 0))
        except ValueError:
            return None
    return "another word" if value != value or abs(value) == float("inf") else f"{value:.12g}"


def _read(node: yaml.ScalarNode) -> object:
    try:
        return yaml.safe_load(node.value)
    except (yaml.YAMLError, ValueError, OverflowError):
        return "something else"


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
