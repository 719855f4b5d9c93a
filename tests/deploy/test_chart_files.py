"""What the chart carries and refuses: copies, README, schema, suites, and queries that Prometheus reads."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import tts_plugin
from worker.settings import Settings
from worker.setup.charts import HELM, UNITTEST
from worker.setup.places import ROOT

pytestmark = pytest.mark.deploy
CHART = ROOT / "deploy" / "helm" / "voice-agent"
MONITORING = ROOT / "deploy" / "monitoring"


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = HELM.find()
    assert program, "helm is not built: `make test` builds it"
    return subprocess.run([program, "template", "r", CHART, *arguments], capture_output=True, text=True, timeout=50)


def readme_writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_readme", CHART.parent / "write_readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_dashboards_and_rules_are_those_of_the_monitoring_folder() -> None:
    theirs = {path.name: path.read_text() for path in (MONITORING / "dashboards").glob("*.json")}
    assert {path.name: path.read_text() for path in (CHART / "files" / "dashboards").glob("*.json")} == theirs
    assert (CHART / "files" / "rules" / "voice-agent.yml").read_text() == (
        MONITORING / "rules" / "voice-agent.yml"
    ).read_text(), "cp deploy/monitoring/rules/voice-agent.yml deploy/helm/voice-agent/files/rules/"


def test_its_readme_is_the_one_that_its_values_make() -> None:
    assert (CHART / "README.md").read_text() == readme_writer().readme(), "python deploy/helm/write_readme.py"


def test_every_value_has_a_meaning() -> None:
    text = (CHART / "values.yaml").read_text()
    said = {path for path, _ in readme_writer().meanings(text)}
    above = {path[:n] for path in said for n in range(1, len(path))}

    def look(value: Any, path: tuple[str, ...]) -> None:
        if path in said or (path[:-1] in said and path[:-1] not in above):
            return
        assert value, f"{'.'.join(path)} has no comment"
        assert isinstance(value, dict), f"{'.'.join(path)} has no comment"
        for key, inner in value.items():
            look(inner, (*path, key))

    for key, inner in yaml.safe_load(text).items():
        look(inner, (key,))


def test_its_version_is_the_products() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == tts_plugin.__version__


def test_its_suites_pass() -> None:
    program = UNITTEST.find()
    assert program, "helm-unittest is not built: `make test` builds it"
    done = subprocess.run([program, CHART], capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"Test Suites: (\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 25


def objects_of(schema: Any) -> list[dict[str, Any]]:
    mine = [schema] if isinstance(schema, dict) and "properties" in schema else []
    inner = schema.values() if isinstance(schema, dict) else ()
    return [*mine, *(found for one in inner for found in objects_of(one))]


def test_the_schema_lets_nothing_unknown_pass() -> None:
    found = objects_of(json.loads((CHART / "values.schema.json").read_text()))
    assert len(found) > 30
    assert all(one["additionalProperties"] is False for one in found)


def test_the_schema_and_the_values_have_the_same_names() -> None:
    def compare(schema: dict[str, Any], values: Any, path: str) -> None:
        if isinstance(values, dict) and "properties" in schema:
            assert schema["properties"].keys() - {"global"} >= values.keys(), path
            if "requests" not in schema["properties"]:
                assert schema["properties"].keys() - {"global"} == values.keys(), path
            for key, inner in values.items():
                compare(schema["properties"][key], inner, f"{path}.{key}")

    schema = json.loads((CHART / "values.schema.json").read_text())
    compare(schema, yaml.safe_load((CHART / "values.yaml").read_text()), "")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("worker.replica=2", "replica"),
        ("terminationGracePeriodSeconds=30", "terminationGracePeriodSeconds"),
        ("worker.terminationGracePeriodSeconds=30", "terminationGracePeriodSeconds"),
        ("worker.maxCalls=0", "maxCalls"),
        ("worker.maxCalls=auto", "maxCalls"),
        ("engine.topology=sidecars", "topology"),
        ("engine.urls={ftp://x}", "urls"),
        ("autoscaling.mode=hpa", "mode"),
        ("autoscaling.targetOccupancy=1.2", "targetOccupancy"),
        ("autoscaling.minReplicas=0", "minReplicas"),
        ("livekit.url=https://x", "url"),
        ("livekit.existingSecret=", "existingSecret"),
        ("livekit.apiSecret=hidden", "apiSecret"),
        ("settings.ANTHROPIC_API_KEY=sk-hidden", "settings has ANTHROPIC_API_KEY, which is a secret"),
        ("settings.REDIS_URL=redis://hidden", "settings has REDIS_URL, which is a secret"),
        ("settings.HOST=0.0.0.0", "settings has HOST"),
        ("settings.llmProvider=x", 'settings has "llmProvider"'),
        ("modelCache.mode=hostPath", "mode"),
        ("ports.engine=70000", "engine"),
        ("image.tag=a b", "tag"),
        ("service.corsOrigins={*}", "corsOrigins"),
        ("logs.level=LOUD", "level"),
        ("calls.drainTimeout=5", "drainTimeout"),
        ("worker.resources.requests.cpu=lots", "cpu"),
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: str, named: str) -> None:
    done = template("--set", wrong)
    assert done.returncode != 0
    assert named in done.stderr
    assert "hidden" not in done.stderr


def test_every_secret_setting_is_refused_outside_a_secret() -> None:
    pattern = re.compile(
        re.findall(r'regexMatch "(.*)" \$name', (CHART / "templates" / "_settings.tpl").read_text())[1]
    )
    secrets = [name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert len(secrets) > 5
    assert [name for name in secrets if not pattern.search(name)] == []


def test_a_call_of_a_day_is_not_refused() -> None:
    assert template("--set", "calls.maxSeconds=86400,calls.drainTimeout=86400").returncode == 0


def test_prometheus_reads_the_autoscalers_questions_and_the_rules(missing: Any, tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or missing("promtool (Debian package prometheus)")
    done = template("-f", str(CHART / "ci" / "keda-operator-values.yaml"), "--namespace", "voice")
    objects = [one for one in yaml.safe_load_all(done.stdout) if one]
    scaled = next(one for one in objects if one["kind"] == "ScaledObject")
    asked = [one["metadata"]["query"] for one in scaled["spec"]["triggers"] if one["type"] == "prometheus"]
    rules = next(one for one in objects if one["kind"] == "PrometheusRule")["spec"]
    assert len(asked) == 2
    mine = {"name": "asked", "rules": [{"record": f"asked:{n}", "expr": expr} for n, expr in enumerate(asked)]}
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [*rules["groups"], mine]}))
    checked = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=50)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("draining", "refused", "calls", "pressed"),
    [("0 0", "0 0 0", "9", "9"), ("0 1", "0 0 0", "4", "4"), ("0 0", "0 6 6", "9", "15")],
    ids=["both serve", "one drains", "callers are refused"],
)
def test_the_autoscalers_questions_count_what_they_should(
    draining: str, refused: str, calls: str, pressed: str, missing: Any, tmp_path: Path
) -> None:
    promtool = shutil.which("promtool") or missing("promtool (Debian package prometheus)")
    done = template("-f", str(CHART / "ci" / "keda-operator-values.yaml"), "--namespace", "voice")
    scaled = next(one for one in yaml.safe_load_all(done.stdout) if one and one["kind"] == "ScaledObject")
    asked = [one["metadata"]["query"] for one in scaled["spec"]["triggers"] if one["type"] == "prometheus"]
    pod = 'namespace="voice",pod="r-voice-agent-worker-{}"'
    series = []
    for n, (active, drains) in enumerate(zip(("4", "5"), draining.split(), strict=True)):
        series += [
            {"series": f"voice_calls_active{{{pod.format(n)}}}", "values": f"{active}x4"},
            {"series": f"voice_draining{{{pod.format(n)}}}", "values": f"{drains}x4"},
        ]
    series.append(
        {
            "series": f'voice_calls_refused_total{{{pod.format(0)},door="job",reason="at_capacity"}}',
            "values": refused,
        }
    )
    other = {"series": 'voice_calls_active{namespace="else",pod="r-voice-agent-worker-9"}', "values": "50x4"}
    cases = [
        {"expr": asked[0], "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": float(calls)}]},
        {"expr": asked[1], "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": float(pressed)}]},
    ]
    test = {"interval": "30s", "input_series": [*series, other], "promql_expr_test": cases}
    file = tmp_path / "case.yml"
    file.write_text(yaml.safe_dump({"tests": [test]}))
    checked = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=50)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_page_names_values_and_files_that_are_there() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = [name for name in re.findall(r"`([A-Za-z]+(?:\.[A-Za-z]+)+)`", text) if name.split(".")[0] in values]
    assert len(named) > 12
    for name in named:
        inner: Any = values
        for key in name.split("."):
            assert key in inner, name
            inner = inner[key]
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / "docs" / link).exists(), link
