"""Dashboards, alerts and their runbooks: read by Prometheus' own tools, and compared with the metrics that we have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.setup.places import ROOT

pytestmark = pytest.mark.deploy
FOLDER = ROOT / "deploy" / "monitoring"
RULES = FOLDER / "rules" / "voice-agent.yml"
BOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
OTHERS = ("kube_", "up")  # kube-state-metrics' and Prometheus' own


@pytest.fixture(scope="module")
def promtool(missing: Any) -> str:
    return shutil.which("promtool") or missing("promtool (Debian package prometheus)")


def board(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(path.read_text())
    return parsed


def panels(path: Path) -> Iterator[dict[str, Any]]:
    return (panel for panel in board(path)["panels"] if panel["type"] != "row")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def plain(expression: str) -> str:
    """A panel's query as Prometheus gets it."""
    return expression.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$pod", ".*")


def expressions() -> list[str]:
    shown = [target["expr"] for path in BOARDS for panel in panels(path) for target in panel["targets"]]
    return [*map(plain, shown), *(rule["expr"] for rule in rules())]


def test_the_four_dashboards_are_what_the_code_says(tmp_path: Path) -> None:
    script = "import json, sys, generate; json.dump(generate.texts(), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", script], cwd=FOLDER, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    written = {path.name: path.read_text() for path in BOARDS}
    assert json.loads(done.stdout) == written, "run `python deploy/monitoring/generate.py`"
    assert {"voice-agent-overview.json", "tts-performance.json"} <= written.keys()
    assert len(written) == 4


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_keeps_the_rules_of_the_house(path: Path) -> None:
    whole = board(path)
    assert re.fullmatch(r"tts-ops-[a-z-]+", whole["uid"])
    assert whole["schemaVersion"] >= 39
    assert {variable["name"] for variable in whole["templating"]["list"]} == {"datasource", "namespace", "pod"}
    numbers = [panel["id"] for panel in whole["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in panels(path):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert "$namespace" in target["expr"], panel["title"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_no_two_panels_lie_on_each_other(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board(path)["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_titles_are_not_used_twice() -> None:
    whole = [board(path) for path in BOARDS]
    assert len({one["uid"] for one in whole}) == len({one["title"] for one in whole}) == 4


def test_prometheus_reads_every_expression(promtool: str, tmp_path: Path) -> None:
    one_each = [{"record": f"test:expression:{n}", "expr": expression} for n, expression in enumerate(expressions())]
    file = tmp_path / "all.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": one_each}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(one_each)} rules found" in done.stdout
    assert len(one_each) > 80


def test_every_metric_that_is_read_is_one_that_we_have() -> None:
    ours = metric_names()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for expression in expressions():
        without = re.sub(r'"(?:\\.|[^"\\])*"', '""', expression)
        for name in re.findall(r"\b((?:voice|tts|kube)_[a-z_]+|voice:[a-z0-9_:]+)\b", without):
            known = (
                name in recorded or name.startswith(OTHERS) or re.sub(r"_(bucket|count|sum|total)$", "", name) in ours
            )
            assert known or name in ours, f"{name} in {expression}"


def test_the_edges_that_promises_are_measured_at_are_buckets() -> None:
    from worker import metrics

    assert 1.0 in metrics._SECONDS
    assert 3.0 in metrics._DEAD_AIR_SECONDS
    used = {(m, le) for e in expressions() for m, le in re.findall(r'(\w+)_bucket\{[^}]*?le="([\d.]+)"', e)}
    assert used == {("voice_turn_seconds", "1.0"), ("voice_dead_air_seconds", "3.0")}


def test_every_alert_has_a_severity_a_summary_and_a_runbook() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) >= 18
    for alert in alerts:
        assert alert["labels"]["severity"] in ("page", "ticket"), alert["alert"]
        assert alert["annotations"]["summary"], alert["alert"]
        text = (ROOT / alert["annotations"]["runbook_url"]).read_text()
        for part in ("**Callers notice.**", "**Look.**", "**Do.**"):
            assert part in text, alert["alert"]


def test_every_runbook_belongs_to_an_alert_and_its_links_lead_somewhere() -> None:
    wanted = {Path(rule["annotations"]["runbook_url"]).name for rule in rules() if "alert" in rule}
    pages = {path.name: path for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages.keys() == wanted
    for page in pages.values():
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / link).resolve().exists(), (page.name, link)


def test_the_alerts_fire_when_they_should_and_not_before(promtool: str) -> None:
    cases = sorted((FOLDER / "tests").glob("*.yml"))
    done = subprocess.run([promtool, "test", "rules", *cases], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = {
        case["alertname"]
        for file in cases
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
    }
    assert len(tried) >= 9


def test_prometheus_takes_its_configuration(promtool: str) -> None:
    command = [promtool, "check", "config", "--syntax-only", FOLDER / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_takes_its_configuration_and_sends_alerts_where_they_belong(missing: Any) -> None:
    amtool = shutil.which("amtool") or missing("amtool (Debian package prometheus-alertmanager)")
    file = FOLDER / "alertmanager.yml"
    done = subprocess.run([amtool, "check-config", file], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    for severity in ("page", "ticket"):
        command = [amtool, "config", "routes", "test", f"--config.file={file}", f"severity={severity}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50)
        assert done.stdout.strip() == severity


def metric_names() -> set[str]:
    """Of every process, without the endings that Prometheus' text format adds."""
    named = re.compile(r'"((?:voice|tts)_[a-z_]+)"')
    files = [*(ROOT / "worker").rglob("*metrics*.py"), *(ROOT / "tts_plugin").rglob("*metrics*.py")]
    return {re.sub(r"_total$", "", name) for file in files for name in named.findall(file.read_text())}
