"""Rendered overlays, once for all tests."""

import pytest

from manifests import OVERLAYS, Docs, render


@pytest.fixture(scope="session")
def rendered() -> dict[str, Docs]:
    """Every overlay as `kubectl apply -k` would send it. Copy before changing anything."""
    return {name: render(directory) for name, directory in OVERLAYS.items()}
