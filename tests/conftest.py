"""Set-up for every test."""

import pytest

# Its asserts are tests too, and should say as much as theirs when they fail.
pytest.register_assert_rewrite("tests.structures")
