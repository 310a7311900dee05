"""A Ray cluster of two nodes on one machine: the records of the pool, and a node that is taken away costs nothing."""

import threading

import killing
import pytest

from seqbench import plan, store
from seqbench import suite as suites
from seqbench.measure import conduct
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Return a cluster of two nodes with one core each; the second may time."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    ray.shutdown()
    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    made.second = made.add_node(**small, resources={"exclusive": 1})
    yield made
    ray.shutdown()
    made.shutdown()


def conducted(study, folder, **settings):
    conduct.conduct(study, folder, settings=conduct.Settings(**{"workers": 2} | settings))
    assert store.validate(folder) == ()
    return store.contents(folder)


def facts(held):
    """Return everything of the accepted records that is not a time, in the order of cells."""
    return sorted(
        (
            entry.cell.address,
            entry.fingerprint,
            entry.model,
            None if entry.cell.timing else (entry.status, entry.measurements, entry.error),  # a machine may be busy
            entry.learning_rate,
            entry.environment.machine,
            entry.environment.threads,
            entry.lane,
        )
        for entry in held.accepted().values()
    )


def test_two_nodes_give_the_records_of_the_pool(tmp_path, cluster):
    """The smoke suite on two nodes: the same cells, statuses and numbers, bit for bit, but for what was timed."""
    name, content = suites.find("smoke")
    study = plan.study(name, content, known_models=MODELS, known_probes=PROBES)
    there = facts(conducted(study, tmp_path / "ray", executor="ray", address=cluster.address))
    here = facts(conducted(study, tmp_path / "pool", executor="pool"))
    assert repr(there) == repr(here)  # as text, where NaN equals itself
    assert len(here) == len(plan.planned(study))


def test_a_node_taken_away_in_the_middle_costs_nothing(tmp_path, cluster):
    """One of two nodes is removed with cells under way: the run finishes, each cell once, nothing lost."""
    killing.prepare(tmp_path, seeds=15)
    name, content = suites.find("many.toml")
    study = plan.study(name, content, known_models=MODELS, known_probes=PROBES)
    done = []

    def finished(record):
        done.append(record)
        if len(done) == 12:
            threading.Thread(
                target=cluster.remove_node, args=[cluster.second], kwargs={"allow_graceful": False}
            ).start()

    settings = conduct.Settings(executor="ray", address=cluster.address)
    conduct.conduct(study, tmp_path / "R", settings=settings, finished=finished)
    assert len(cluster.list_all_nodes()) == 1
    assert store.validate(tmp_path / "R") == ()
    assert len(store.contents(tmp_path / "R").accepted()) == 60
    assert {entry.status for entry in done} == {"ok"}
    assert len(done) == 60
