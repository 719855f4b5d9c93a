"""The examples in docs/agent-file.md are valid agent files, and its table names every field."""

import re
from pathlib import Path

from pydantic import BaseModel

from worker.agent_file import AgentFile, Limits, parse
from worker.agent_tools import Phone, Tools
from worker.phrases import Phrases

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "agent-file.md").read_text(encoding="utf-8")


def test_the_examples_are_valid():
    whole, tools = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert parse(whole.encode(), "example").name == "Ada"
    assert parse(tools.encode(), "example").tools.transfer[0].name == "billing"


def test_the_table_names_every_field():
    groups: dict[str, type[BaseModel]] = {"phrases": Phrases, "limits": Limits, "tools": Tools, "phone": Phone}
    fields = [f for f in AgentFile.model_fields if f not in groups]
    fields += [f"{group}.{f}" for group, model in groups.items() for f in model.model_fields]
    assert re.findall(r"^\| `([\w.]+)` \|", PAGE, re.M) == fields
