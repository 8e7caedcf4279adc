"""The published schemas and reference page are up to date, and the schemas accept what the program ships."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bot.config_settings import Config
from bot.contract_settings import ContractSettings
from bot.fields.nodes import Mapping, Node, Scalar, Sequence
from bot.schema import CONFIG_SCHEMA, CONTRACT_SCHEMA, REFERENCE_PAGE, json_schema, published
from bot.strict_yaml import load
from strategies import BUNDLED
from strategies import load as load_strategy

ROOT = Path(__file__).parents[2]
PARAMS = {name: load_strategy(name).params_type for name in BUNDLED}


@pytest.mark.parametrize("name", [CONFIG_SCHEMA, CONTRACT_SCHEMA, REFERENCE_PAGE])
def test_the_committed_file_is_up_to_date(name: str) -> None:
    committed = (ROOT / name).read_text(encoding="utf-8")
    assert committed == published(PARAMS)[name], f"{name} is out of date: run `make docs`"


def plain(node: Node) -> Any:
    """Return the node as an editor's YAML reader would read it: numbers and truth values typed."""
    if isinstance(node, Mapping):
        return {key.text: plain(value) for key, value in node.entries}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    assert isinstance(node, Scalar)
    try:
        return node.text if node.quoted else json.loads(node.text)
    except ValueError:
        return node.text


TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def faults(value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """Return where `value` breaks `schema`, for the words of JSON schema that ours use."""
    known = {
        "$schema",
        "title",
        "description",
        "examples",
        "default",
        "type",
        "enum",
        "const",
        "pattern",
        "anyOf",
        "allOf",
    }
    known |= {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "items", "properties", "required"}
    assert set(schema) <= known | {"additionalProperties", "if", "then"}, f"{path}: {set(schema) - known}"
    if "anyOf" in schema:
        return [] if any(not faults(value, option, path) for option in schema["anyOf"]) else [f"{path}: anyOf"]
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{path}: type {kind}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: enum")
    if "const" in schema and value != schema["const"]:
        found.append(f"{path}: const")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{path}: pattern")
    numeric = kind in ("integer", "number")
    if numeric and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{path}: bounds")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{path}: missing {key}" for key in schema.get("required", []) if key not in value]
        for key, entry in value.items():
            if key in properties:
                found += faults(entry, properties[key], f"{path}.{key}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{path}: unknown {key}")
    if isinstance(value, list):
        found += [fault for i, entry in enumerate(value) for fault in faults(entry, schema["items"], f"{path}[{i}]")]
    for rule in schema.get("allOf", []):
        if not faults(value, rule["if"], path):
            found += faults(value, rule["then"], path)
    return found


SHIPPED = {"config.yaml": CONFIG_SCHEMA, "contracts/TH1BTC-2014Q4.yaml": CONTRACT_SCHEMA}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_schema_accepts_the_shipped_document(name: str) -> None:
    assert faults(plain(load(ROOT / name)), json.loads((ROOT / SHIPPED[name]).read_text(encoding="utf-8"))) == []


MISTAKES = {
    "deposit: 100 BTC": "$.account.deposit: type string",
    "debug: false": "$.run.debug: type boolean",
    "engine: auto": "$.run.engine: enum",
    "entry_band: 0.25": "$.strategies[0].params.entry_band: anyOf",
    "retargets: 6": "$.value.retargets: bounds",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_the_schema_shows_a_mistake_while_one_types(line: str, tmp_path: Path) -> None:
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert text.count(f" {line}\n") == 1
    key = line.split(":")[0]
    (tmp_path / "config.yaml").write_text(text.replace(f" {line}\n", f" {key}: 5000\n"), encoding="utf-8")
    assert MISTAKES[line] in faults(plain(load(tmp_path / "config.yaml")), json_schema(Config, PARAMS))


def test_every_key_is_described() -> None:
    def descriptions(schema: dict[str, Any]) -> list[str]:
        below = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
        own = [part["description"] for part in schema.get("properties", {}).values()]
        return own + [text for part in below for text in descriptions(part)]

    for settings in (Config, ContractSettings):
        assert all(text.endswith(".") for text in descriptions(json_schema(settings)))
