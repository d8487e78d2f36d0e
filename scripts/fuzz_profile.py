"""pytest plugin of ``make fuzz``: the property tests with many more examples and no time limit per example.

``FUZZ_EXAMPLES`` says how many each test gets.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5000"))

settings.register_profile("fuzz", max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("fuzz")
