"""The files for Prometheus and Grafana, as Prometheus' own tool sees them; every name in them is a metric of ours."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from passenger.core.metric_names import METRICS
from tests.support.running import CHECKOUT

FOLDER = CHECKOUT / "config" / "monitoring"
RULES = ("recording_rules.yml", "alerts.yml")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
SERIES = {metric.name + suffix for metric in METRICS for suffix in SUFFIXES.get(metric.kind, ("",))}


def promtool(*arguments: str, cwd: Path = FOLDER) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def recorded() -> set[str]:
    groups = yaml.safe_load((FOLDER / "recording_rules.yml").read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"]}


def rule_expressions() -> list[str]:
    files = [yaml.safe_load((FOLDER / name).read_text()) for name in RULES]
    return [rule["expr"] for file in files for group in file["groups"] for rule in group["rules"]]


def expressions(value: Any) -> Iterator[str]:
    """Everything that Grafana would ask, wherever it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "expr":
                yield inner
            else:
                yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def dashboard() -> Any:
    return json.loads((FOLDER / "grafana-dashboard.json").read_text())


def test_rules_are_valid_and_fire_when_they_should() -> None:
    """By promtool: syntax, and the cases of rules_test.yml."""
    promtool("check", "rules", *RULES)
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "rules_test.yml")


def test_every_alert_says_what_to_do() -> None:
    """And how urgent it is."""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for alert in (rule for group in groups for rule in group["rules"]):
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"].keys() == {"summary", "what_to_do"}


def test_every_name_in_rules_and_dashboard_is_a_metric() -> None:
    """A metric that was renamed would leave an alert that never fires."""
    asked = [*rule_expressions(), *expressions(dashboard())]
    asked += [item["query"]["query"] for item in dashboard()["templating"]["list"] if item["type"] == "query"]
    assert len(asked) > 40
    known = SERIES | recorded()
    for expression in asked:
        named = set(re.findall(r"\bpassenger[_:][a-z0-9_:]+", expression))
        assert named, expression
        assert named <= known, expression


def test_the_autoscaler_of_the_page_is_valid_and_asks_for_what_there_is(tmp_path: Path) -> None:
    """docs/kubernetes.md: the metric that the adapter makes is the one that is scaled by, out of ours."""
    blocks = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "docs" / "kubernetes.md").read_text(), re.DOTALL)
    documents = [yaml.safe_load(block) for block in blocks]
    (scaler,) = [one for one in documents if one.get("kind") == "HorizontalPodAutoscaler"]
    (adapter,) = [one["rules"][0] for one in documents if "rules" in one]
    kubernetes_validate.validate(scaler, "1.30", strict=True)
    assert scaler["spec"]["metrics"][0]["pods"]["metric"]["name"] == adapter["name"]["as"]
    asked = adapter["seriesQuery"] + adapter["metricsQuery"]
    assert set(re.findall(r"passenger_[a-z_]+", asked)) <= SERIES
    query = adapter["metricsQuery"].replace("<<.GroupBy>>", "pod").replace("<<.LabelMatchers>>", 'namespace="x"')
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "x", "rules": [{"record": "x:y", "expr": query}]}]})
    )
    promtool("check", "rules", "rules.yml", cwd=tmp_path)


def test_prometheus_understands_the_dashboard(tmp_path: Path) -> None:
    """Each expression as a rule, with Grafana's variables filled in; panels have a place of their own."""
    asked = [text.replace("$instance", ".*").replace("$app", "blog|shop") for text in expressions(dashboard())]
    rules = [{"record": f"x:panel{number}:y", "expr": text} for number, text in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": rules}]}))
    promtool("check", "rules", "rules.yml", cwd=tmp_path)
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    squares: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not own & squares, panel["title"]
        squares |= own
