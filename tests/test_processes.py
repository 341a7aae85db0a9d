"""What our processes do with their memory while they load what stays."""

import gc

import pytest

from assistant.processes.host_processes import without_collections


def test_while_something_is_loaded_nothing_is_collected_and_afterwards_as_before():
    with pytest.raises(ImportError), without_collections():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    with without_collections():
        with without_collections():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
