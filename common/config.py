"""Configuration: YAML files with one parent, `key=value` overrides, and all problems told at once.

OmegaConf merges (mappings merge, lists replace) and resolves `${...}`; pydantic judges. The YAML reader mends two
traps of YAML 1.1: `1e-3` is a number, and only `true` and `false` are booleans. Relative paths inside a file are
relative to the folder where the command runs, except `base:`, which is relative to the file that names it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import UserError
from common.image_io import write_bytes

MAX_PARENTS = 16
MAX_YAML_BYTES = 1_000_000
MAX_YAML_NODES = 100_000  # with aliases written out; the largest file of this project has 500


class ConfigError(UserError):
    """A configuration that cannot be used; the message lists every problem found."""


class Section(BaseModel):
    """Base of all configuration sections: unknown keys are refused, values are strict and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Schema = TypeVar("Schema", bound=Section)


class _Loader(yaml.SafeLoader):
    """Safe YAML without its surprises: numbers like 1e-3, only true/false as booleans, no duplicate keys, no tags."""


_REPLACED_TAGS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in _REPLACED_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false|True|False)$"), list("tfTF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:\d[\d_]*\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(?:inf|Inf)|\.(?:nan|NaN))$"),
    list("-+0123456789."),
)


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    repeated = sorted({str(key) for key in keys if keys.count(key) > 1})
    if repeated:
        raise yaml.constructor.ConstructorError(None, None, f"the key {repeated[0]!r} stands twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}
_Loader.yaml_constructors = {
    tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag in _PLAIN_TAGS
}
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def load_config(path: Path, schema: type[Schema], overrides: typing.Sequence[str] = ()) -> Schema:
    """Return the validated configuration of `path` with its parents and `overrides` merged in.

    Args:
        path: a YAML file; its key `base` may name one parent file.
        schema: the class that judges it.
        overrides: "a.b=value" strings, value in YAML; they win over the file.

    Raises:
        ConfigError: a file cannot be read, or any key or value is wrong; the message lists all of them.
    """
    layers = [*_read_with_parents(path), *(_parse_override(text) for text in overrides)]
    try:
        merged = OmegaConf.create({})
        for layer in layers:
            merged = typing.cast(DictConfig, OmegaConf.merge(merged, layer))
        resolved = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{path}: {reason}; set the variable, or mend or override the key") from error
    return validate(resolved, schema, source=str(path))


def outermost_keys(path: Path) -> set[str]:
    """Return the outermost keys of a configuration file and its parents, which tell what command it is for.

    Raises:
        ConfigError: a file cannot be read.
    """
    return {str(key) for layer in _read_with_parents(path) for key in layer}


def validate(content: Any, schema: type[Schema], *, source: str) -> Schema:
    """Return `content` (plain mappings, lists and scalars) as an instance of `schema`.

    Raises:
        ConfigError: lists every wrong key and value.
    """
    try:
        # By way of JSON, where strict mode still reads strings as paths and lists as tuples.
        return schema.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problems = "\n".join(f"  {_describe(problem, schema)}" for problem in error.errors(include_url=False))
        raise ConfigError(f"{source}: the configuration has these problems:\n{problems}") from None


def to_yaml(config: Section) -> str:
    """Return the fully resolved configuration as YAML text that `load_config` reads back."""
    return yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False, allow_unicode=True)


def save_config(path: Path, config: Section) -> None:
    """Write the fully resolved configuration as YAML."""
    write_bytes(path, to_yaml(config).encode())


def differing_keys(old: Section, new: Section) -> list[str]:
    """Return "key: old -> new" for every key in which two configurations differ."""
    flat_old, flat_new = (_flatten(json.loads(config.model_dump_json())) for config in (old, new))
    return [
        f"{key}: {flat_old.get(key, '(absent)')} -> {flat_new.get(key, '(absent)')}"
        for key in sorted(flat_old.keys() | flat_new.keys())
        if flat_old.get(key, "(absent)") != flat_new.get(key, "(absent)")
    ]


def fingerprint(config: Section) -> str:
    """Return a SHA-256 over the resolved configuration, equal for equal settings."""
    return hashlib.sha256(json.dumps(json.loads(config.model_dump_json()), sort_keys=True).encode()).hexdigest()


def _flatten(content: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(content, dict) or not content:
        return {prefix: content}
    return {
        key: value
        for name, child in content.items()
        for key, value in _flatten(child, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _read_with_parents(path: Path) -> list[dict[str, Any]]:
    """Return the mappings of `path` and its parents, the eldest first."""
    layers: list[dict[str, Any]] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        if current.resolve() in seen or len(seen) > MAX_PARENTS:
            raise ConfigError(f"{path}: `base` goes in a circle through {current}")
        seen.append(current.resolve())
        layer = read_yaml(current)
        base = layer.pop("base", None)
        if base is not None and not isinstance(base, str):
            raise ConfigError(f"{current}: `base` names one file, found {base!r}")
        layers.insert(0, layer)
        current = current.parent / base if base is not None else None
    return layers


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file of plain values: texts, numbers, lists and mappings.

    Raises:
        ConfigError: the file cannot be read, or holds something else, tags of objects, more than `MAX_YAML_NODES`
            values with its aliases written out, or a nesting that no configuration needs.
    """
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_YAML_BYTES} bytes; no file of settings is")
        content = _parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = sorted(str(file) for file in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = f"; files there: {', '.join(known)}" if known else ""
        raise ConfigError(f"{path}: cannot be read ({error.strerror}){hint}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path}: expected a mapping of names to values, found {type(content).__name__}")
    return content


def _parse_yaml(text: str) -> Any:
    """Return the content of YAML text.

    Raises:
        yaml.YAMLError: it is no YAML of plain values, or too large or deep.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count_nodes(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested deeper than any configuration") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        # PyYAML's own answers to values that do not fit the tag before them, e.g. `!!bool maybe`.
        raise yaml.YAMLError(f"a value does not fit its tag ({error})") from error
    finally:
        loader.dispose()


def _count_nodes(node: yaml.Node, counts: dict[int, int]) -> int:
    """Return how many nodes there are with aliases written out, each node once in `counts` by its identity.

    Raises:
        yaml.YAMLError: there are too many, or one contains itself.
    """
    if id(node) in counts:
        if counts[id(node)] == 0:
            raise yaml.YAMLError("an alias stands inside what it is an alias of")
        return counts[id(node)]
    counts[id(node)] = 0  # until it is counted
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    number = 1 + sum(_count_nodes(child, counts) for child in children)
    if number > MAX_YAML_NODES:
        raise yaml.YAMLError(f"it holds more than {MAX_YAML_NODES} values once its aliases are written out")
    counts[id(node)] = number
    return number


def _parse_override(text: str) -> dict[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not all(key.split(".")):
        raise ConfigError(f"{text!r}: overrides look like key=value or section.key=value")
    try:
        content: Any = _parse_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"{text!r}: the value is not valid YAML: {error}") from error
    for part in reversed(key.split(".")):
        content = {part: content}
    return typing.cast(dict[str, Any], content)


def _describe(problem: Any, schema: type[Section]) -> str:
    location = [str(part) for part in problem["loc"]]
    known, key = _known_names(schema, problem["loc"])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: missing; give it in the file or as {key}=VALUE"
    value = problem.get("input")
    shown = "" if isinstance(value, dict | list) else f" (found {value!r})"
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}{shown}"


def _known_names(schema: type[Section], location: tuple[int | str, ...]) -> tuple[list[str], str]:
    """Return the names known beside the last part of `location`, and the key as a user writes it."""
    candidates: list[type[BaseModel]] = [schema]
    shown: list[str] = []
    known = sorted(schema.model_fields)
    for part in location:
        # Pydantic puts the tag of a tagged union into the location; a user never wrote it.
        tagged = [model for model in candidates if _tag(model) == part]
        if tagged and len(candidates) > 1:
            candidates = tagged
            known = sorted(tagged[0].model_fields)
            continue
        shown.append(str(part))
        known = sorted({name for model in candidates for name in model.model_fields}) or known
        fields = [model.model_fields[part] for model in candidates if part in model.model_fields]
        candidates = [model for field in fields for model in _models_in(field.annotation)] or candidates
    return known, ".".join(shown)


def _tag(model: type[BaseModel]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if typing.get_origin(annotation) is None and isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]
