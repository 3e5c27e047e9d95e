import os
from pathlib import Path

import pytest

from local_sagemaker.training import job_environments


def test_each_job_has_a_network_of_its_own(monkeypatch):
    monkeypatch.setattr(job_environments, "_has_many_loopbacks", lambda: True)
    networks = set()
    for number in range(20):
        found = job_environments.addresses(["algo-1", "algo-2"], Path(f"/jobs/job-{number}"))
        assert found == job_environments.addresses(["algo-1", "algo-2"], Path(f"/jobs/job-{number}"))
        first, second = (address.rpartition(".") for address in found.values())
        assert (first[0], first[2], second[2]) == (second[0], "1", "2")
        assert first[0].startswith("127.") and not first[0].startswith("127.0.")
        networks.add(first[0])
    assert len(networks) == 20


def test_where_there_is_one_loopback_address_all_hosts_share_it(monkeypatch):
    monkeypatch.setattr(job_environments, "_has_many_loopbacks", lambda: False)
    found = job_environments.addresses(["algo-1", "algo-2"], Path("/jobs/job"))
    assert found == {"algo-1": "127.0.0.1", "algo-2": "127.0.0.1"}


@pytest.mark.parametrize(("instances", "threads"), [(2, "4"), (3, "2"), (16, "1")])
def test_instances_share_the_cores(monkeypatch, instances, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert set(job_environments.threads(instances).values()) == {threads}


def test_one_instance_has_the_whole_machine():
    assert job_environments.threads(1) == {}
