"""What is published about the settings: JSON schemas for editors and the reference page, made from the declarations.

The schemas help an editor complete and check while one types; the program itself is stricter than they can say.
Everything is deterministic, so that a test can tell whether the committed files are up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bot.config_settings import Config
from bot.contract_settings import ContractSettings
from bot.fields.declare import ListOf, Raw, Section, Setting, Shape, accepted_example, declared_settings, range_words
from bot.fields.kinds import Choice, Flag, Integer, Kind
from bot.fields.quantities import Fraction
from bot.fields.ranges import range_of, ranges_of

CONFIG_SCHEMA: Final = "schemas/config.schema.json"
CONTRACT_SCHEMA: Final = "schemas/contract.schema.json"
REFERENCE_PAGE: Final = "docs/configuration.md"

Params = Mapping[str, type[Any]]
"""Params classes of the bundled strategies, by the name that `use` calls them."""

_INTRODUCTION: Final = """\
# Configuration

*Made by `fairhash docs` from the declarations in the code; do not edit.*

A run is described by one YAML file, `config.yaml`, which names a second one, the terms of the contract. Both are
strict: a key or value that is unknown, there twice, out of bounds or ambiguous is refused, all problems at once,
each as `file:line: path: value, bound, remedy`. `fairhash check config.yaml` does only that;
`fairhash explain config.yaml` lists every setting with its value, unit and origin.

* Amounts carry their unit: `100 BTC`, `6 h`, `50 contracts`, `0.75 %/day`. A bare number for money is refused.
* Numbers are plain decimals. `010`, `1_0`, `0x1F` and `1e3` are refused: YAML readers disagree about them.
* `true` and `false` are the only truth values; a text that looks like a number, a date or `no` needs quotation marks.
* Times are UTC: `2014-09-15` or `2014-09-15T06:30:00Z`.
* Paths are relative to the file they are written in.
* Aliases, anchors, tags, merge keys and several documents in one file are refused; so is a file above 256 KiB.

In the tables a default of *required* means that the key must be given.
"""


_RANGES: Final = """\
Under `sweep` each parameter of the strategy may have a range, in its own unit and within its own bounds: from, to and
points, or values. A choice, true and false have values only. [What a sweep does with them](sweep.md).
"""


def json_schema(settings: type[Any], params: Params | None = None) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a document with these settings.

    With `params`, the `params` of a list entry are described by what its `use` says.
    """
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": _first_line(settings)}
    return dialect | _object(settings, params or {})


def configuration_markdown(params: Params) -> str:
    """Return the reference page of every key: path, kind and bounds, default, meaning."""
    parts = [_INTRODUCTION]
    parts += ["## config.yaml\n", *_tables(Config, "")]
    for name, settings in params.items():
        parts += [f"## Parameters of `{name}`\n", f"{_first_line(settings)}\n", _table(settings, "")]
    parts += ["## A range in `sweep`\n", _RANGES, _table(range_of(_any_fraction()), "")]
    parts += ["## The contract\n", *_tables(ContractSettings, "")]
    return "\n".join(parts)


def published(params: Params) -> dict[str, str]:
    """Return the text of every published file by its path below the project's root."""
    return {
        CONFIG_SCHEMA: _written(json_schema(Config, params)),
        CONTRACT_SCHEMA: _written(json_schema(ContractSettings)),
        REFERENCE_PAGE: configuration_markdown(params),
    }


def _written(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _object(settings: type[Any], params: Params) -> dict[str, Any]:
    declared = [of for _, of in declared_settings(settings)]
    required = [of.key for of in declared if of.required]
    described: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {of.key: {"description": of.doc, **_shape(of, params)} for of in declared},
    }
    if required:
        described["required"] = required
    if params and {"use", "params"} <= set(described["properties"]):
        described["allOf"] = [_params_of(name, of) for name, of in params.items()]
    return described


def _params_of(name: str, settings: type[Any]) -> dict[str, Any]:
    """Return the rule that an entry which uses `name` has the parameters `settings`."""
    uses = {"properties": {"use": {"const": name}}, "required": ["use"]}
    described = {"params": _object(settings, {}), "sweep": _object(ranges_of(settings), {})}
    return {"if": uses, "then": {"properties": described}}


def _shape(of: Setting, params: Params) -> dict[str, Any]:
    shape = of.shape
    if isinstance(shape, Section):
        return _object(shape.settings, params)
    if isinstance(shape, ListOf):
        entries = _shape(shape.entry, params)
        return {"type": "array", "items": entries, "minItems": shape.shortest, "maxItems": shape.longest}
    if isinstance(shape, Raw):
        return {"type": "object"}
    described = _with_bounds(shape.schema(), of)
    if of.default_text:
        typed = isinstance(shape, Integer | Flag)
        described["default"] = shape.read_text(of.default_text) if typed else of.default_text
    return described


def _with_bounds(described: dict[str, Any], of: Setting) -> dict[str, Any]:
    """Add the bounds that JSON schema can say: those of plain numbers."""
    bounds = {name: bound for name, bound in (("minimum", of.low), ("maximum", of.high)) if bound is not None}
    if isinstance(of.shape, Integer):
        return described | bounds
    if isinstance(of.shape, Fraction):
        number, text = described["anyOf"]
        return {"anyOf": [number | bounds, text]}
    return described


def _tables(settings: type[Any], path: str) -> Iterator[str]:
    """Yield the table of a section and those of the sections below it, each under its heading."""
    yield _table(settings, path)
    for _, of in declared_settings(settings):
        below = f"{path}.{of.key}" if path else of.key
        shape: Shape = of.shape
        if isinstance(shape, ListOf):
            shape, below = shape.entry.shape, f"{below}[]"
        if isinstance(shape, Section):
            yield f"### {below}\n\n{of.doc}\n"
            yield from _tables(shape.settings, below)


def _table(settings: type[Any], path: str) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for _, of in declared_settings(settings):
        key = f"{path}.{of.key}" if path else of.key
        rows.append(f"| `{key}` | {_value_words(of)} | {_default_words(of)} | {_cell(of.doc)} |")
    if len(rows) == 2:
        return "It has none.\n"
    return "\n".join(rows) + "\n"


def _value_words(of: Setting) -> str:
    shape = of.shape
    if isinstance(shape, Kind):
        example = "" if of.default_text or isinstance(shape, Choice | Flag) else f", as in `{accepted_example(of)}`"
        return _cell(shape.noun + range_words(of) + example)
    if isinstance(shape, ListOf):
        entry = "sections" if isinstance(shape.entry.shape, Section) else f"values, each {_value_words(shape.entry)}"
        return f"a list of {shape.shortest} to {shape.longest} {entry}"
    return "settings of the strategy" if isinstance(shape, Raw) else "a section"


def _default_words(of: Setting) -> str:
    if of.required:
        return "*required*"
    if of.absent:
        return _cell(of.absent)
    return f"`{of.default_text}`" if of.default_text else "see below" if isinstance(of.shape, Section) else "empty"


def _any_fraction() -> Setting:
    """Return a setting without bounds, whose range stands for those of all numbers."""
    return Setting("any", Fraction(), "", True, "", "", None, None, None)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _first_line(settings: type[Any]) -> str:
    return (settings.__doc__ or settings.__name__).strip().splitlines()[0]
