"""Fixtures for every test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tests.support.drive import DRIVERS

if TYPE_CHECKING:
    from tests.support.drive import Drive

# a busy machine is no failure: deadlines are wall time
settings.register_profile("looplet", deadline=None)
settings.load_profile("looplet")

pytest_plugins = ["pytester"]

# Coverage is measured in this process. In the thousand sessions that tests start it would double the time they take.
for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.pop(name, None)

os.environ.pop("FORCE_COLOR", None)  # set by some CI services, and then our commands would print colour into pipes


@pytest.fixture(params=sorted(DRIVERS))
def drive(request: pytest.FixtureRequest) -> Drive:
    """Run an agent under each driver: a test that uses this is part of the behaviour suite."""
    driver: Drive = DRIVERS[request.param]
    return driver
