"""Set-up for every test, and a registry for tests that declare structures of their own."""

from collections.abc import Iterator

import pytest

from vmgexit.schema import Structure, structures

# Its asserts are tests too, and should say as much as theirs when they fail.
pytest.register_assert_rewrite("tests.structures")


@pytest.fixture
def registry() -> Iterator[dict[str, dict[str, type[Structure]]]]:
    """What is declared before the test; what the test declares is gone after it."""
    held = structures()
    before = {name: dict(revisions) for name, revisions in held.items()}
    yield before
    held.clear()
    held.update(before)
