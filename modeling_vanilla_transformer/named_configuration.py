# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""Named configurations: base, big, every row of the paper's Table 3, and the small ones."""

from pathlib import Path

from .configuration_vanilla_transformer import VanillaTransformerConfig

# A wheel carries the folder inside the package; in a checkout it stands beside the package.
_PLACES = (Path(__file__).parent / "models", Path(__file__).parent.parent / "configuration" / "models")
MODELS_FOLDER = next((place for place in _PLACES if place.is_dir()), _PLACES[0])


def configuration_names() -> list[str]:
    """Returns the names that [`named_configuration`] knows, sorted."""
    return sorted(path.parent.name for path in MODELS_FOLDER.glob("*/config.json"))


def named_configuration(name: str) -> VanillaTransformerConfig:
    """
    Returns the configuration called `name`: "base" and "big" are the paper's models, "table3_a1" to "table3_e" the
    rows of its Table 3; [`configuration_names`] lists them all.

    Raises:
        ValueError: there is no configuration of this name; the message lists those there are.
    """
    if name not in configuration_names():
        raise ValueError(f"There is no configuration named {name!r}. There are: {', '.join(configuration_names())}.")
    return VanillaTransformerConfig.from_pretrained(MODELS_FOLDER / name)


__all__ = ["configuration_names", "named_configuration"]
