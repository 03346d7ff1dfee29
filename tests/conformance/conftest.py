import pytest

from tests.conformance.small_world import SIZES, manifest_for, open_pools, write_source


@pytest.fixture(scope="session")
def pools(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    return open_pools([write_source(root, slug, size) for slug, size in SIZES.items()])


@pytest.fixture(scope="session")
def doc(pools):
    return manifest_for(pools)
