"""deploy/helm/voice-agent as Kubernetes gets it: rendered with each set of values and held to rules."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from typer.main import get_command

from worker import cli
from worker.settings import Settings
from worker.setup.charts import HELM
from worker.setup.places import ROOT

pytestmark = pytest.mark.deploy
CHART = ROOT / "deploy" / "helm" / "voice-agent"
SETS = [CHART / "values.yaml", CHART / "values-production.yaml", *sorted((CHART / "ci").glob("*.yaml"))]
OTHERS = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute", "ExternalSecret"}
NOT_SETTINGS = {"HOME", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "POD_NAME"}
each = pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
Object = dict[str, Any]


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = HELM.find()
    assert program, "helm is not built: `make test` builds it"
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=50)


@functools.cache
def rendered(values: Path, *sets: str) -> tuple[Object, ...]:
    more = [part for one in sets for part in ("--set", one)]
    done = helm("template", "r", CHART, "--namespace", "voice", "-f", values, *more)
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.safe_load_all(done.stdout) if one)


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    return next(one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)


def pods(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    for one in objects:
        if one["kind"] in ("Deployment", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]
        elif one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]


def containers(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    for name, pod in pods(objects):
        for one in [*pod.get("initContainers", []), *pod["containers"]]:
            yield f"{name}/{one['name']}", one


@each
def test_helm_finds_nothing_to_say(values: Path) -> None:
    done = helm("lint", "--strict", CHART, "-f", values)
    assert done.returncode == 0, done.stdout + done.stderr


@each
def test_kubernetes_knows_every_field(values: Path) -> None:
    checked = 0
    for one in rendered(values):
        if one["kind"] in OTHERS:
            continue
        kubernetes_validate.validate(one, "1.37", strict=True)
        checked += 1
    assert checked >= 8


@each
def test_names_are_not_used_twice_and_lie_in_the_release(values: Path) -> None:
    keys = [(one["kind"], one["metadata"]["name"]) for one in rendered(values)]
    assert len(set(keys)) == len(keys)
    assert all(len(name) <= 63 for _, name in keys)


@each
def test_every_pod_passes_restricted_pod_security(values: Path) -> None:
    for name, pod in pods(rendered(values)):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert pod["automountServiceAccountToken"] is False, name
        # A Service called livekit would set LIVEKIT_PORT=tcp://…, which is a setting of ours.
        assert pod["enableServiceLinks"] is False, name
        for volume in pod.get("volumes", []):
            assert volume.keys() - {"name"} <= {
                "configMap", "emptyDir", "image", "persistentVolumeClaim", "projected", "secret",
            }, (name, volume)  # fmt: skip
    for name, one in containers(rendered(values)):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


@each
def test_every_container_says_what_it_needs_and_what_is_too_much(values: Path) -> None:
    for name, one in containers(rendered(values)):
        assert one["resources"]["requests"].keys() >= {"cpu", "memory"}, name
        assert "memory" in one["resources"]["limits"], name


@each
def test_every_mount_has_its_volume(values: Path) -> None:
    for name, pod in pods(rendered(values)):
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for one in [*pod.get("initContainers", []), *pod["containers"]]:
            mounted = {mount["name"] for mount in one.get("volumeMounts", [])}
            assert mounted <= volumes, (name, one["name"])


@each
def test_the_commands_are_commands_of_the_product(values: Path) -> None:
    ours = get_command(cli.app).commands  # type: ignore[attr-defined]
    for name, one in containers(rendered(values)):
        if one["name"] == "sip":
            continue
        command = one["command"]
        if command[0] == "tts-ops":
            assert command[1] in ours, name
        else:
            assert command[0] == "python", name
            assert command[1] == "-c" or (ROOT / f"{command[2].replace('.', '/')}.py").exists(), name


@each
def test_every_variable_is_a_setting_and_every_value_is_one_that_is_taken(
    values: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = rendered(values)
    shared = named(objects, "ConfigMap", "r-voice-agent-settings")["data"]
    fields = {field.upper() for field in Settings.model_fields}
    assert shared.keys() <= fields
    for name, one in containers(objects):
        if one["name"] in ("sip", "speaks"):
            continue
        given = {entry["name"]: entry.get("value") for entry in one.get("env", [])}
        assert given.keys() - NOT_SETTINGS <= fields, name
        made = {k.lower(): v for k, v in (shared | given).items() if k in fields and v is not None}
        made["api_keys_file"] = "api-keys.json"
        Settings(_env_file=None, **made)


@each
def test_no_secret_is_in_a_config_map_or_in_plain_sight(values: Path) -> None:
    secrets = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    for one in rendered(values):
        if one["kind"] == "ConfigMap":
            assert not one["data"].keys() & secrets, one["metadata"]["name"]
    for name, one in containers(rendered(values)):
        for entry in one.get("env", []):
            assert entry["name"] not in secrets, name
            assert not re.search(r"KEY$|SECRET$|TOKEN$", entry["name"]) or "valueFrom" in entry, name


@each
def test_pods_that_hold_calls_outlast_their_drain(values: Path) -> None:
    objects = rendered(values)
    drain = int(named(objects, "ConfigMap", "r-voice-agent-settings")["data"]["DRAIN_TIMEOUT"])
    holding = 0
    for name, pod in pods(objects):
        if name.endswith(("-worker", "-engine", "-sip")):
            assert pod["terminationGracePeriodSeconds"] == drain + 60, name
            holding += 1
    assert holding >= 1


@each
def test_the_autoscaler_alone_says_how_many(values: Path) -> None:
    objects = rendered(values)
    scaled = [one for one in objects if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")]
    assert ("replicas" in named(objects, "Deployment", "r-voice-agent-worker")["spec"]) == (not scaled)
    for one in scaled:
        assert one["spec"]["scaleTargetRef"]["name"] == "r-voice-agent-worker"


@each
def test_images_are_ours_of_this_version_or_pinned(values: Path) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    for name, one in containers(rendered(values)):
        assert re.fullmatch(rf"tts-ops-(engine|engine-cpu|worker|service):{re.escape(version)}|.+@sha256:\w{{64}}",
                            one["image"]), name  # fmt: skip


@each
def test_every_service_selects_pods_that_are_there_by_a_port_that_they_have(values: Path) -> None:
    objects = rendered(values)
    for service in (one for one in objects if one["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        chosen = [
            one
            for one in objects
            if one["kind"] == "Deployment" and wanted <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert len(chosen) == 1, service["metadata"]["name"]
        pod = chosen[0]["spec"]["template"]["spec"]
        ports = {
            key
            for one in [*pod.get("initContainers", []), *pod["containers"]]
            for port in one.get("ports", [])
            for key in (port["name"], port["containerPort"])
        }
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, service["metadata"]["name"]


def test_a_copy_of_a_first_key_opens_the_service(tmp_path: Path) -> None:
    from worker.keys import KeyFile

    secret = named(rendered(CHART / "values.yaml"), "Secret", "r-voice-agent-api-keys")["stringData"]
    file = tmp_path / "api-keys.json"
    file.write_text(secret["api-keys.json"])
    file.chmod(0o440)
    key = KeyFile(file).find(secret["first-key"])
    assert key is not None
    assert key.name == "first"


def test_a_stack_with_other_ports_says_so_everywhere() -> None:
    objects = rendered(CHART / "values.yaml", "ports.engine=9001", "ports.metrics=9191", "ports.models=9002")
    given = {name: {e["name"]: e.get("value") for e in one.get("env", [])} for name, one in containers(objects)}
    assert given["r-voice-agent-worker/worker"]["ENGINE_URLS"] == "http://127.0.0.1:9001"
    assert given["r-voice-agent-worker/worker"]["MODELS_URL"] == "http://127.0.0.1:9002"
    assert given["r-voice-agent-worker/engine"]["ENGINE_PORT"] == "9001"
    assert given["r-voice-agent-service/service"]["WORKER_URLS"].endswith(":9191")
