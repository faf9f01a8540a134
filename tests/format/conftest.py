"""Property tests take the same examples on every run, and as long as a busy machine needs."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("format", deadline=None, derandomize=True, database=None)
settings.load_profile("format")
