"""The files of a deployment agree with each other and with the worker's settings."""

import re
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
