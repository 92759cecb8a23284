"""YAML that would mean something else than it says is refused by name, and so is YAML without end."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dmws_lite._system import data_path
from dmws_lite.experiments.grids import GridError, read_grid
from dmws_lite.experiments.plain_yaml import PlainYamlError, read_plain_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)

MERGED = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2", "line 2: the key 'seed' is there twice"),
        ("blocks:\n  - {seed: 1, 'seed': 2}", "line 2: the key 'seed' is there twice"),
        ("learning_rate: 1e-3", "1e-3 is a text in YAML; write 0.001"),
        ("learning_rate: [1e-3, 0.1]", "1e-3 is a text in YAML"),
        ("learning_rate: 1E5", "1E5 is a text in YAML"),
        ("seed: 010", "010 is 8 in YAML"),
        ("seed: 0o10", "0o10 is a text in YAML; write 8"),
        ("seed: 0x10", "0x10 is 16 in YAML"),
        ("seed: 0b11", "0b11 is 3 in YAML"),
        ("seed: 1_000", "1_000 is 1000 in YAML"),
        ("seed: 1:30", "1:30 is 90 in YAML"),
        ("tau: 1:30.5", "1:30.5 is 90.5 in YAML"),
        ("tau: .inf", ".inf is inf in YAML"),
        ("tau: nan", "nan is a text in YAML"),
        ("rule: no", "no is False in YAML"),
        ("rule: On", "On is True in YAML"),
        ("title: 2026-11-26", "2026-11-26 is a date in YAML"),
        ("1: 2", "a key is no text"),
        ("no: 2", "a key is no text"),
        ("? [a, b]\n: 2", "a key is no text"),
        ("a: !!python/object/apply:os.system [ls]", "python/object"),
        ("a: !!binary aGk=", "binary is not read"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 5000, "nested too deeply"),
        ("a: *b", "undefined alias"),
        ("a: [", "while parsing"),
        ("a: 1\n--- \nb: 2", "expected a single document"),
        (BOMB, "it has more than 100,000 entries"),
        (MERGED, "it has more than 100,000 entries"),
        ("x: " + "y" * 1_000_001, "characters; at most 1,000,000"),
    ],
)
def test_what_is_not_plain_is_refused_by_name(text, message):
    started = time.monotonic()
    with pytest.raises(PlainYamlError) as error:
        read_plain_yaml(text)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert time.monotonic() - started < 5


def test_what_is_plain_is_read():
    text = "{a: 1, b: -0.5, c: 'yes', d: \"010\", e: true, f: null, g: [x, 1.0e-3], h: {<<: {i: 2}}, j: ~}"
    assert read_plain_yaml(text) == {
        "a": 1, "b": -0.5, "c": "yes", "d": "010", "e": True, "f": None, "g": ["x", 0.001], "h": {"i": 2}, "j": None,
    }  # fmt: skip
    assert read_plain_yaml("") is None


def test_the_projects_grids_are_plain():
    for path in data_path("grids").glob("*.yaml"):
        assert read_plain_yaml(path.read_text()) == yaml.safe_load(path.read_text())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_yaml_writes_is_read_or_refused_never_read_as_something_else(value):
    text = yaml.safe_dump(value)
    try:
        assert read_plain_yaml(text) == value
    except PlainYamlError:  # PyYAML writes 1e+16 in a way that it reads as a text itself
        pass


@given(st.text(alphabet="0123456789abefxon_.:+-~ ", min_size=1, max_size=8))
def test_a_word_is_read_as_python_reads_it_or_refused(word):
    try:
        value = read_plain_yaml(f"a: {word}")["a"]
    except (PlainYamlError, TypeError):
        return
    if isinstance(value, float | int) and not isinstance(value, bool):
        assert value == float(word)
        digits = word.strip("+- ")
        assert "." in digits or not digits.startswith("0") or digits == "0"


TASK = {"dataset": "phantom-mri", "pair": "convnext_pocket", "size": 32, "epochs": 1, "fraction": 0.5, "method": "cm1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": True}, "seed=True"),
        ({"seed": "0"}, "seed='0'"),
        ({"seed": 0, "fraction": True}, "fraction=True"),
        ({"seed": 0, "tau": True}, "tau=True"),
        ({"seed": 0, "alpha": False}, "alpha=False"),
        ({"seed": 0, "rule": False}, "rule=False"),
        ({"seed": 0, "dataset": 3}, "dataset=3"),
        ({"seed": 0, "method": [["cm1"]]}, "method="),
        ({"seed": 0, "tune": {"tau": [1, True]}}, "tune has tau=[1, True]"),
        ({"seed": list(range(1000)), "size": list(range(32, 1032))}, "has 1,000,000 runs by block 1; at most 50,000"),
    ],
)
def test_a_grid_refuses_what_means_something_else(change, message):
    started = time.monotonic()
    with pytest.raises(GridError) as error:
        read_grid({"blocks": [{**TASK, **change}]})
    assert message in str(error.value) and time.monotonic() - started < 5


@pytest.mark.parametrize(
    "content",
    [{"blocks": "ab"}, {"blocks": [TASK], "defaults": [1]}, {"blocks": [TASK], "name": 1}, {"blocks": [], 1: 2, "x": 3},
     {"blocks": [{1: 2, "x": 3}]}, {"blocks": [TASK], "order": {}}],
)  # fmt: skip
def test_a_grid_of_another_form_is_one_sentence(content):
    with pytest.raises(GridError):
        read_grid(content)
