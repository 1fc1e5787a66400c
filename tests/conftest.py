"""Set-up for every test."""

import pytest
from hypothesis import HealthCheck, settings

# Its asserts are tests too, and should say as much as theirs when they fail.
pytest.register_assert_rewrite("tests.structures")

# How long an example takes says more of what else the machine does than of us.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
