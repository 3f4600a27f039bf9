"""What the Hub says of the YAML block at the head of a README.md: the rules of its metadata that a card can break."""

import re
from typing import Any

import yaml

# Of the Hub's list, those that come into question here.
LICENSES = (
    *("apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0"),
    *("cc-by-nc-sa-4.0", "openrail", "unlicense", "other", "unknown"),
)
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SDKS = ("gradio", "docker", "static")

_BLOCK = re.compile(r"^\s*---[\r\n]+(.*?)[\r\n]+---(?:\r?\n|$)", re.DOTALL)
_STRINGS = ("library_name", "pipeline_tag", "license_name", "license_link", "new_version")
_LISTS = ("language", "tags", "datasets", "metrics", "base_model", "license")


def metadata_of(text: str) -> dict[str, Any]:
    """Returns the metadata in the YAML block of a README, {} where there is none.

    Raises:
        ValueError: the block is not YAML, or not a mapping; the message says where.
    """
    found = _BLOCK.match(text)
    try:
        metadata = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError as error:
        raise ValueError(f"YAML metadata is not valid: {error}") from error
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError("YAML metadata must be an object")
    return metadata or {}


def problems(text: str, repo_type: str) -> tuple[list[str], list[str]]:
    """Returns the errors, which refuse a README.md, and the warnings, which don't."""
    try:
        metadata = metadata_of(text)
    except ValueError as error:
        return [str(error)], []
    if repo_type == "space":
        return list(_space_errors(metadata)), []
    if not metadata:
        return [], ["empty or missing yaml metadata in repo card"]
    return [*_errors(metadata), *_model_index_errors(metadata.get("model-index"))], []


def _errors(metadata: dict[str, Any]):
    for name in _STRINGS:
        if name in metadata and not isinstance(metadata[name], str):
            yield f'"{name}" must be a string'
    for name in _LISTS:
        value = metadata.get(name, [])
        if not all(isinstance(item, str) for item in (value if isinstance(value, list) else [value])):
            yield f'"{name}" must be a string or an array of strings'  # YAML reads the language `no` as False
            return
    for language in _listed(metadata.get("language")):
        if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]+)?|code|multilingual", language):
            yield f'"language" with value "{language}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code'
    for license in _listed(metadata.get("license")):
        if license not in LICENSES:
            yield f'"license" must be one of [{", ".join(LICENSES)}]'
    for model in _listed(metadata.get("base_model")):
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model):
            yield f'"base_model" with value "{model}" is not valid. Use a model id from https://hf.co/models.'
    for dataset in _listed(metadata.get("datasets")):
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", dataset):
            yield f'"datasets" with value "{dataset}" is not valid. Use a dataset id from https://hf.co/datasets.'
    if not isinstance(metadata.get("widget", []), list):
        yield '"widget" must be an array'


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _model_index_errors(index: Any):
    """Yields what scores lack: each needs a task, a data set's name and type, a metric's type and value."""
    if index is None:
        return
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for i, model in enumerate(index):
        if not isinstance(model.get("name"), str):
            yield f'"model-index[{i}].name" is required'
        for j, result in enumerate(model.get("results") or []):
            place = f"model-index[{i}].results[{j}]"
            for part, names in {"task": ("type",), "dataset": ("type", "name")}.items():
                for name in names:
                    if not isinstance((result.get(part) or {}).get(name), str):
                        yield f'"{place}.{part}.{name}" is required'
            if not result.get("metrics"):
                yield f'"{place}.metrics" is required'
            for k, metric in enumerate(result.get("metrics") or []):
                if not isinstance(metric.get("type"), str):
                    yield f'"{place}.metrics[{k}].type" is required'
                if metric.get("value") is None:
                    yield f'"{place}.metrics[{k}].value" is required'


def _space_errors(metadata: dict[str, Any]):
    if metadata.get("sdk") not in SDKS:
        yield f'"sdk" must be one of [{", ".join(SDKS)}]'
    for name in ("colorFrom", "colorTo"):
        if metadata.get(name, COLORS[0]) not in COLORS:
            yield f'"{name}" must be one of [{", ".join(COLORS)}]'
    for name in ("title", "emoji", "app_file", "license"):
        if not isinstance(metadata.get(name, ""), str):
            yield f'"{name}" must be a string'
    if not isinstance(metadata.get("sdk_version", ""), str):
        yield '"sdk_version" must be a string'  # without quotation marks 5.0 is a number
    if len(str(metadata.get("short_description", ""))) > 60:
        yield '"short_description" length must be less than or equal to 60 characters long'
