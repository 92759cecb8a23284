"""What holds for every description of a run: one name for equal runs, and nothing lost on the way to JSON and back."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dmws_lite._sealed import checksum_fits, with_checksum
from dmws_lite.experiments.records import record_text
from dmws_lite.experiments.run import Run

REALS = {
    "fraction": st.one_of(st.just(1), st.floats(0.001, 1)),
    "learning_rate": st.one_of(st.integers(1, 10), st.floats(1e-6, 10)),
    "alpha": st.one_of(st.integers(0, 1), st.floats(0, 1)),
    "beta": st.one_of(st.integers(0, 1), st.floats(0, 1)),
    "tau": st.one_of(st.integers(1, 100), st.floats(0.1, 100)),
    "label_noise": st.one_of(st.just(0), st.floats(0, 0.99)),
}
INTEGERS = {"seed": st.integers(0, 2**63 - 1), "size": st.integers(1, 512), "steps": st.integers(1, 10_000)}
RUNS = st.fixed_dictionaries({**REALS, **INTEGERS})


def run(values):
    return Run("phantom-mri", "convnext_pocket", "ours", **values)


@given(RUNS)
def test_equal_runs_have_one_name(values):
    one = run(values)
    other = run({k: float(v) if k in REALS else np.int64(v) for k, v in values.items()})
    assert (
        one == other and one.name == other.name and one.names[0] == one.name and len(set(one.names)) == len(one.names)
    )


@given(RUNS)
def test_the_name_from_before_is_among_the_names(values):
    made = run(values)
    as_given = {**made.settings(), **values}  # as it was hashed when whole numbers stayed whole
    assert made._named(as_given) in made.names


@given(RUNS, RUNS)
def test_other_runs_have_other_names(one, other):
    if run(one) != run(other):
        assert run(one).name != run(other).name


@given(RUNS)
def test_a_run_survives_json(values):
    made = run(values)
    assert Run(**json.loads(json.dumps(made.settings()))) == made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.text(), JSON)
def test_a_checksum_fits_what_was_written_and_nothing_else(content, key, value):
    content.pop("history", None)
    text = record_text(content)
    assert checksum_fits(json.loads(text)) and checksum_fits(json.loads(json.dumps(with_checksum(content))))
    changed = {**json.loads(text), key: value}
    if key != "checksum" and json.dumps(changed, sort_keys=True) != json.dumps(json.loads(text), sort_keys=True):
        assert not checksum_fits(changed)
