"""The project's recipes: the paper's numbers, a comment for every key, and a short run of each family on made-up text.

The data that a recipe names are not at hand here: a few sentences of the same schema take their place.
"""

import re
from pathlib import Path

import datasets
import pytest
import yaml

from modeling_vanilla_transformer import configuration_names, named_configuration
from tests.training.text import sentences, write_lines
from training.plan import plan
from training.recipe import read_recipe
from training.train import train

FOLDER = Path(__file__).parents[2] / "configuration" / "recipes"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
TABLE_3 = [f"table3_{row}" for row in ("base", *"a1 a2 a3 a4 b1 b2 c1 c2 c3 c4 c5 c6 c7 d1 d2 d3 d4 e".split(), "big")]
WMT_14 = [f"wmt14_en_{language}_{size}" for language in ("de", "fr") for size in ("base", "big")]


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets_cache"))
        yield


def test_there_is_a_recipe_for_everything_the_project_names():
    others = {f"{data}_en_{language}" for data in ("mixed", "multi30k") for language in ("de", "fr")}
    assert RECIPES.keys() >= {*TABLE_3, *WMT_14, *others, "iwslt14_de_en", "miniature", "quickstart"}
    used = {read_recipe(path).model.model for path in RECIPES.values()}
    assert used <= set(configuration_names())


@pytest.mark.parametrize("path", RECIPES.values(), ids=RECIPES)
def test_every_key_has_a_comment_and_the_header_its_command(path):
    text = path.read_text(encoding="utf-8")
    keys = re.findall(r"^(\w+):.*?(# .+)?$", text, flags=re.M)
    assert {key for key, comment in keys if not comment} == set()
    assert f"configuration/recipes/{path.name}" in text.split("----")[0]
    assert yaml.safe_load(text)["output"] == f"runs/{path.stem}"


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_planned(name):
    planned = plan(read_recipe(RECIPES[name]))
    assert planned.parameters.total > planned.parameters.embedding > 0
    # The rows that vary no size cost what the base model costs.
    same_size = {f"table3_{row}" for row in ("base", "d1", "d2", "d3", "d4", "big")}
    assert (planned.paper is not None) == (name in {*WMT_14, *same_size})
    if planned.paper is not None:
        assert planned.paper.model == ("big" if name.endswith("big") else "base")


@pytest.mark.parametrize("name", [*WMT_14, *TABLE_3])
def test_the_papers_training(name):
    recipe = read_recipe(RECIPES[name])
    data, optimization, output, decoding = recipe.data, recipe.optimization, recipe.output, recipe.decoding
    assert (data.data, data.train, data.validation) == ("wmt/wmt14", "train", "validation")
    assert (optimization.tokens_per_batch, optimization.warmup_steps) == (25_000, 4_000)
    assert (optimization.peak_learning_rate, optimization.max_gradient_norm) == (None, None)
    assert (optimization.adam_beta1, optimization.adam_beta2, optimization.adam_epsilon) == (0.9, 0.98, 1e-9)
    assert (optimization.max_epochs, optimization.max_minutes, optimization.patience) == (None, None, None)
    assert (decoding.num_beams, decoding.length_penalty, decoding.max_length_offset) == (4, 0.6, 50)
    big = name.endswith("big")
    assert optimization.max_updates == (300_000 if big else 100_000)
    # A checkpoint every 10 minutes, at 1.0 and 0.4 seconds an update.
    assert output.save_every == 600 / (1.0 if big else 0.4)
    assert output.final_model == "average"


@pytest.mark.parametrize("name", WMT_14)
def test_wmt14(name):
    recipe = read_recipe(RECIPES[name])
    _, _, language, size = name.split("_")
    assert (recipe.data.source_language, recipe.data.target_language) == ("en", language)
    assert recipe.data.data_config == f"{language}-en"
    assert recipe.data.test == "test"
    assert recipe.model.model == size
    assert recipe.model.vocab_size == {"de": 37_000, "fr": 32_000}[language]
    dropout = named_configuration(size).dropout if recipe.model.dropout is None else recipe.model.dropout
    assert dropout == {"de_base": 0.1, "de_big": 0.3, "fr_base": 0.1, "fr_big": 0.1}[f"{language}_{size}"]
    assert recipe.optimization.label_smoothing == 0.1
    assert recipe.output.average_last == {"base": 5, "big": 20}[size]


@pytest.mark.parametrize("name", TABLE_3)
def test_table_3(name):
    recipe = read_recipe(RECIPES[name])
    assert (recipe.data.source_language, recipe.data.target_language) == ("en", "de")
    assert recipe.data.test == "validation"  # newstest2013
    # The sizes of each row are tested where the named configurations are.
    assert recipe.model.model == (name.removeprefix("table3_") if name in ("table3_base", "table3_big") else name)
    assert (recipe.model.vocab_size, recipe.model.dropout) == (37_000, None)
    assert recipe.optimization.label_smoothing == {"table3_d3": 0.0, "table3_d4": 0.2}.get(name, 0.1)
    assert recipe.output.average_last == 1


def test_iwslt14_is_the_small_setup_of_the_literature():
    config, recipe = named_configuration("iwslt14"), read_recipe(RECIPES["iwslt14_de_en"])
    assert (config.encoder_layers, config.decoder_layers, config.d_model) == (6, 6, 512)
    assert (config.encoder_ffn_dim, config.decoder_ffn_dim) == (1024, 1024)
    assert (config.encoder_attention_heads, config.decoder_attention_heads, config.dropout) == (4, 4, 0.3)
    assert (recipe.decoding.bleu_tokenize, recipe.decoding.bleu_lowercase) == ("none", True)


def pairs(count, seed, source, target):
    return [dict(zip((source, target), pair, strict=True)) for pair in zip(*sentences(count, seed), strict=True)]


COUNTS = {"train": 200, "validation": 12, "test": 6}


def from_the_hub(folder):
    """wmt14's schema: a column `translation` that holds both languages."""
    rows = {
        split: datasets.Dataset.from_dict({"translation": pairs(count, count, "de", "en")})
        for split, count in COUNTS.items()
    }

    def load_dataset(path, name=None, split=None, **keys):
        assert (path, name) == ("wmt/wmt14", "de-en")
        return rows[split]

    return load_dataset


def local_texts(folder, names, source, target):
    for count, name in zip(COUNTS.values(), names, strict=True):
        lines = sentences(count, seed=count)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        for language, side in zip((source, target), lines, strict=True):
            write_lines(folder / f"{name}.{language}", side)


def mixed(folder):
    local_texts(folder, ["unused", "newstest2013/en-de", "multi30k/raw/test_2016_flickr"], "en", "de")
    rows = [{"source": "some corpus", **pair} for pair in pairs(COUNTS["train"], 0, "en", "de")]
    (folder / "mixed").mkdir()
    datasets.Dataset.from_list(rows).to_parquet(folder / "mixed" / "en-de.parquet")


@pytest.mark.parametrize("name", ["wmt14_en_de_big", "table3_d4", "iwslt14_de_en", "mixed_en_de", "multi30k_en_fr"])
def test_a_recipe_of_each_family_trains(name, tmp_path, monkeypatch):
    # The recipe's own data and splits, in the folder that its relative paths start from.
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe(RECIPES[name])
    if name.startswith(("wmt14", "table3")):
        monkeypatch.setattr(datasets, "load_dataset", from_the_hub(tmp_path))
    elif name.startswith("mixed"):
        mixed(tmp_path / recipe.data.data)
    else:
        languages = recipe.data.source_language, recipe.data.target_language
        names = recipe.data.train, recipe.data.validation, recipe.data.test
        local_texts(tmp_path / recipe.data.data, names, *languages)
    short = {
        "model": "miniature",
        "vocab_size": 300,
        "max_length": 60,
        "tokens_per_batch": 400,
        "max_updates": 4,
        "save_every": 2,
        "evaluate_every": 4,
        "log_every": 2,
        "compile": False,  # the recipe's max_shapes stays
        "mixed_precision": "no",
        "max_length_offset": 3,
    }
    result = train(read_recipe(RECIPES[name], short), show_progress=False)
    assert result.updates == 4
    assert result.validation_perplexity is not None and result.test is not None
    assert len(result.hypotheses) == COUNTS["validation" if name.startswith("table3") else "test"]
    assert result.model.is_relative_to(recipe.output.output)
