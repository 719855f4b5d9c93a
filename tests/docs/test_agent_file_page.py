"""The example in docs/agent-file.md is a valid agent file, and its table names every field."""

import re
from pathlib import Path

from pydantic import BaseModel

from worker.agent_file import AgentFile, Limits, parse
from worker.phrases import Phrases

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "agent-file.md").read_text(encoding="utf-8")


def test_the_example_is_valid():
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    assert parse(example.encode(), "example").name == "Ada"


def test_the_table_names_every_field():
    groups: dict[str, type[BaseModel]] = {"phrases": Phrases, "limits": Limits}
    fields = [f for f in AgentFile.model_fields if f not in groups]
    fields += [f"{group}.{f}" for group, model in groups.items() for f in model.model_fields]
    assert re.findall(r"^\| `([\w.]+)` \|", PAGE, re.M) == fields
