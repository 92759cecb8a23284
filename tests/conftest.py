"""Fixtures shared by all tests."""

import os
from pathlib import Path

import hypothesis
import pytest
from browser import chromium  # noqa: F401  a fixture
from wheel_environment import wheel, wheel_python  # noqa: F401  fixtures

import dmws_lite  # noqa: F401  before any test imports torch: sets how torch's threads wait, here and in kernels

ROOT = Path(__file__).resolve().parents[1]

# The same examples every time, so that a change is judged by what it changes; every night others (NIGHTLY=1).
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("others", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("others" if os.environ.get("NIGHTLY") else "same")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images beside the checkout, for development only; the tests that need them skip without."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no shared/data beside the checkout: the tests on real images are for development machines")
    return folder


# Fixtures that take seconds to prepare, and how a test that uses one is marked.
MARKED = {"chromium": "browser", "many": "slow", "hub": "slow", "wheel": "slow", "wheel_python": "slow"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `make check` leaves out because of what they use."""
    for item in items:
        for name in MARKED.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKED[name])
