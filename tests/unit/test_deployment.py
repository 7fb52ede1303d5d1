"""The files of a deployment agree with each other and with the worker's settings."""

import re
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from chunkwise import VERSION
from chunkwise.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
KUBERNETES = CHECKOUT / "deploy" / "kubernetes"
# To hand back what is not finished by then, see the worker's RELEASE_SECONDS, and to end.
LEFT_TO_HAND_BACK_S = 5
HEALTH = ["python", "-m", "chunkwise.worker.liveness"]

Document = dict[str, Any]


@pytest.fixture
def deployment() -> Document:
    (document,) = documents(KUBERNETES / "worker.yaml")
    return document


@pytest.fixture
def worker(deployment: Document) -> Document:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.fixture
def service() -> Document:
    (compose,) = documents(CHECKOUT / "compose.yaml")
    found = compose["services"]["worker"]
    assert isinstance(found, dict)
    return found


def documents(path: Path) -> list[Document]:
    return list(yaml.safe_load_all(path.read_text()))


def seconds(text: str) -> float:
    return float(re.fullmatch(r"(\d+)s", text).group(1))  # type: ignore[union-attr]


def test_there_is_time_to_hand_back_before_the_kill(
    deployment: Document, worker: Document, service: Document
) -> None:
    stop = {entry["name"]: entry["value"] for entry in worker["env"]}["CHUNKWISE_STOP_SECONDS"]
    pod = deployment["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] >= float(stop) + LEFT_TO_HAND_BACK_S
    in_compose = float(service["environment"]["CHUNKWISE_STOP_SECONDS"])
    assert seconds(service["stop_grace_period"]) >= in_compose + LEFT_TO_HAND_BACK_S


def test_every_setting_is_one_that_the_worker_takes(worker: Document, service: Document) -> None:
    given = {entry["name"]: entry["value"] for entry in worker["env"]}
    of_compose = service["environment"]
    required = {"SUPABASE_URL", "SUPABASE_SECRET_KEY"}
    settings = (CHECKOUT / "workers/chunkwise/settings.py").read_text()

    for name in (given.keys() | of_compose.keys()) - required:
        assert f'"{name}"' in settings, name
    assert {name for name, value in of_compose.items() if ":?" in value} == required
    assert worker["envFrom"] == [{"secretRef": {"name": "chunkwise"}}]
    Settings.read(
        **given, SUPABASE_URL="https://ref.supabase.co", SUPABASE_SECRET_KEY="sb_secret_x"
    )


def test_nothing_runs_as_root_or_writes_but_to_tmp(
    deployment: Document, worker: Document, service: Document
) -> None:
    pod = deployment["spec"]["template"]["spec"]
    user = re.search(r"^USER (\d+):(\d+)$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == int(user[1])
    assert pod["securityContext"]["runAsGroup"] == int(user[2])
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert worker["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (
        True,
        ["/tmp"],
        ["ALL"],
    )


def test_no_worker_takes_all_memory_or_processes(worker: Document, service: Document) -> None:
    assert worker["resources"]["limits"] == {"memory": "512Mi", "ephemeral-storage": "64Mi"}
    assert service["deploy"]["resources"]["limits"] == {"memory": "512M", "pids": 128}


def test_the_base_image_is_an_exact_version() -> None:
    lines = (CHECKOUT / "Dockerfile").read_text().splitlines()
    (image,) = (line.removeprefix("FROM ") for line in lines if line.startswith("FROM "))
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", image)
    commented = "\n".join(line for line in lines if line.startswith("#"))
    assert f"imagetools inspect {image.partition('@')[0]} " in commented


@pytest.mark.parametrize(
    ("address", "port", "is_let_out"),
    [
        ("203.0.114.7", 443, True),
        ("2600:1f16::1", 443, True),
        ("203.0.114.7", 80, False),
        ("203.0.114.7", 5432, False),
        ("169.254.169.254", 443, False),
        ("169.254.169.254", 80, False),
        ("fd00:ec2::254", 443, False),
        ("10.96.0.1", 443, False),
        ("172.17.0.1", 443, False),
        ("192.168.1.1", 443, False),
        ("127.0.0.1", 443, False),
        ("fe80::1", 443, False),
    ],
)
def test_the_network_policy_lets_a_worker_out_to_the_internet_alone(
    deployment: Document, address: str, port: int, is_let_out: bool
) -> None:
    (policy,) = documents(KUBERNETES / "network-policy.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == []
    assert any(lets_out(rule, address, port) for rule in policy["spec"]["egress"]) == is_let_out


def lets_out(rule: Document, address: str, port: int) -> bool:
    """Pods aside."""
    target = ip_address(address)
    return {"protocol": "TCP", "port": port} in rule["ports"] and any(
        target in ip_network(peer["ipBlock"]["cidr"])
        and not any(target in ip_network(other) for other in peer["ipBlock"].get("except", ()))
        for peer in rule["to"]
        if "ipBlock" in peer
    )


def test_a_silent_database_restarts_no_worker(worker: Document) -> None:
    assert worker["livenessProbe"]["exec"]["command"] == HEALTH
    assert worker["readinessProbe"]["exec"]["command"] == [*HEALTH, "--ready"]


def test_names_fit(deployment: Document, worker: Document, service: Document) -> None:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert "replicas" not in deployment["spec"], "KEDA's would be overwritten by every apply"
    for image in (worker["image"], service["image"]):
        assert image.endswith(f"chunkwise:{VERSION}")


def test_the_scaler_scales_this_deployment(deployment: Document, worker: Document) -> None:
    authentication, scaled = documents(KUBERNETES / "keda.yaml")
    kinds = (authentication["kind"], scaled["kind"])
    assert kinds == ("TriggerAuthentication", "ScaledObject")
    assert {document["apiVersion"] for document in (authentication, scaled)} == {"keda.sh/v1alpha1"}
    assert scaled["spec"]["scaleTargetRef"] == {"name": deployment["metadata"]["name"]}

    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "postgresql"
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    (secret,) = authentication["spec"]["secretTargetRef"]
    assert secret.keys() == {"parameter", "name", "key"}
    assert secret["parameter"] == "password"
    fields = {"host", "port", "userName", "dbName", "sslmode", "query", "targetQueryValue"}
    assert trigger["metadata"].keys() == fields
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    settings = {entry["name"]: entry["value"] for entry in worker["env"]}
    assert trigger["metadata"]["targetQueryValue"] == settings["CHUNKWISE_CONCURRENCY"]


def test_the_worker_is_locked_to_what_everything_is_tested_with() -> None:
    worker, tested = locked("requirements-worker.lock"), locked("requirements.lock")

    assert worker.items() <= tested.items()
    assert "supabase" in worker
    assert not {"pytest", "mypy", "ruff", "asyncpg", "hypothesis"} & worker.keys()


def locked(name: str) -> dict[str, frozenset[str]]:
    """Package and version, and the hashes that are accepted."""
    text = (CHECKOUT / name).read_text()
    starts = [match.start() for match in re.finditer(r"^[a-z]\S+==", text, re.MULTILINE)]
    packages = [text[start:end] for start, end in pairwise([*starts, len(text)])]
    return {
        f"{package.split()[0]}".partition("==")[0]: frozenset(
            [package.split()[0], *re.findall(r"sha256:\w+", package)]
        )
        for package in packages
    }
