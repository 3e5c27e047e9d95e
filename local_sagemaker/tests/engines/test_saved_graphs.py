import shutil

import pytest


@pytest.fixture
def counted(monkeypatch):
    """Signatures that were written as pure graphs, in order."""
    from local_sagemaker.engines import saved_graphs

    purified = []

    def purify(meta_graph, name):
        purified.append(name)
        return real(meta_graph, name)

    real = saved_graphs.purify
    monkeypatch.setattr(saved_graphs, "purify", purify)
    saved_graphs._remembered.cache_clear()
    return purified


def test_a_graph_that_several_models_share_is_read_once(models, tmp_path, counted):
    from local_sagemaker.engines.saved_models import SavedModel

    shutil.copytree(models / "heavy" / "1", tmp_path / "1")
    first, second = SavedModel(models / "heavy" / "1"), SavedModel(tmp_path / "1")
    assert first.graph.pure_graphs is second.graph.pure_graphs
    assert counted == ["serving_default"]


def test_large_graphs_are_not_kept_in_memory(models, counted, monkeypatch):
    from local_sagemaker.engines import saved_graphs
    from local_sagemaker.engines.saved_models import SavedModel

    monkeypatch.setattr(saved_graphs, "_LARGEST_REMEMBERED", 100)
    assert SavedModel(models / "heavy" / "1").graph is not SavedModel(models / "heavy" / "1").graph
    assert saved_graphs._remembered.cache_info().currsize == 0
