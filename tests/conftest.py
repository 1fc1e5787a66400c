"""Set-up for every test, and a registry for tests that declare structures of their own."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from vmgexit.schema import Structure, structures

# Its asserts are tests too, and should say as much as theirs when they fail.
pytest.register_assert_rewrite("tests.structures")

# How long an example takes says more of what else the machine does than of us.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def registry() -> Iterator[dict[str, dict[str, type[Structure]]]]:
    """What is declared before the test; what the test declares is gone after it."""
    held = structures()
    before = {name: dict(revisions) for name, revisions in held.items()}
    yield before
    held.clear()
    held.update(before)
