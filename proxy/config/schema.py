"""The configuration's JSON Schema, for editors; `python -m proxy.config.schema` prints `config/schema.json`."""

from __future__ import annotations

import json
import sys
from typing import Any

from proxy.config.models import Config
from proxy.config.relations import FEED_NAME, NAME, RESERVED


def schema() -> dict[str, Any]:
    """Give the schema. What several keys must agree on is beyond it: `wheelgate check --offline` says that."""
    generated: dict[str, Any] = _tidy(Config.model_json_schema())
    properties = generated["properties"]
    for table in ("sources", "connections", "workspaces"):
        properties[table]["propertyNames"] = {"pattern": f"^{NAME.pattern}$"}
    properties["feeds"]["propertyNames"] = {"pattern": f"^{FEED_NAME.pattern}$", "not": {"enum": sorted(RESERVED)}}
    properties["feeds"]["minProperties"] = 1
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **generated,
        "title": "The configuration of Wheelgate",
    }


def render() -> str:
    """Give the schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out what says nothing about a TOML file: there is no null in it, and titles repeat the names."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _tidy(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
        and key != "discriminator"
        and not (key == "default" and (value is None or isinstance(value, dict)))
    }
    alternatives = [each for each in kept.get("anyOf", []) if each != {"type": "null"}]
    if len(alternatives) == 1:
        del kept["anyOf"]
        kept = {**alternatives[0], **kept}
    return kept


if __name__ == "__main__":
    sys.stdout.write(render())
