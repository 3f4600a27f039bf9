"""The recipe: reading, overriding, and a clear error for everything that cannot be meant."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from training.recipe import GROUPS, RecipeError, make_recipe, read_recipe, recipe_from_command_line

RECIPES = sorted((Path(__file__).parents[2] / "configuration" / "recipes").glob("*.yaml"))
KEYS = [item.name for group in GROUPS for item in dataclasses.fields(group)]


@pytest.fixture
def file(tmp_path, recipe_values):
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump(recipe_values))
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_projects_recipes_give_every_key_and_explain_each(path):
    values = yaml.safe_load(path.read_text())
    assert sorted(values) == sorted(KEYS)
    assert read_recipe(path).as_dict().keys() == set(KEYS)


def test_defaults_are_the_papers():
    recipe = make_recipe(
        {"data": "embedded", "source_language": "en", "target_language": "de", "model": "base", "output": "x"}
    )
    optimization, decoding = recipe.optimization, recipe.decoding
    assert (optimization.tokens_per_batch, optimization.warmup_steps, optimization.max_updates) == (
        25000,
        4000,
        100000,
    )
    assert (optimization.adam_beta1, optimization.adam_beta2, optimization.adam_epsilon) == (0.9, 0.98, 1e-9)
    assert (optimization.label_smoothing, optimization.peak_learning_rate) == (0.1, None)
    assert (decoding.num_beams, decoding.length_penalty, decoding.max_length_offset) == (4, 0.6, 50)
    assert recipe.output.average_last == 5


def test_the_command_line_wins_over_the_file(file):
    recipe = recipe_from_command_line(
        [
            str(file),
            "--seed",
            "7",
            "--max-updates=null",
            "--max_minutes",
            "2",
            "--overwrite",
            "--mixed_precision",
            "no",
        ]
    )
    assert recipe.optimization.seed == 7
    assert recipe.optimization.max_updates is None
    assert recipe.optimization.max_minutes == 2.0
    assert recipe.output.overwrite is True
    assert recipe.optimization.mixed_precision == "no"


def test_numbers_and_words_that_yaml_reads_otherwise(tmp_path, recipe_values):
    path = tmp_path / "odd.yaml"
    recipe_values.pop("mixed_precision")
    path.write_text(yaml.safe_dump(recipe_values) + "adam_epsilon: 1e-9\nmixed_precision: no\nlength_penalty: 1\n")
    recipe = read_recipe(path)
    assert recipe.optimization.adam_epsilon == 1e-9
    assert recipe.optimization.mixed_precision == "no"
    assert recipe.decoding.length_penalty == 1.0


def test_a_written_recipe_reads_back_equal(file, tmp_path):
    recipe = read_recipe(file)
    recipe.write(tmp_path / "copy.yaml")
    assert read_recipe(tmp_path / "copy.yaml") == recipe


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--warmup_step", "3"], ["command line", "'warmup_step'", "did you mean 'warmup_steps'"]),
        (["--zzz", "3"], ["unknown key 'zzz'", "--help"]),
        (["--seed", "many"], ["command line", "seed", "whole number", "'many'"]),
        (["--seed", "1.5"], ["seed", "whole number", "1.5"]),
        (["--seed", "true"], ["seed", "whole number"]),
        (["--seed", "["], ["command line", "--seed [", "not readable as YAML"]),
        (["--seed", "2026-99-99"], ["command line", "--seed 2026-99-99", "not readable as YAML"]),
        (["--length_penalty", ".nan"], ["length_penalty", "finite number", "nan"]),
        (["--max_minutes", "inf"], ["max_minutes", "finite number", "inf"]),
        (["--dropout", "1" + "0" * 400], ["dropout", "finite number"]),
        (["--overwrite", "perhaps"], ["overwrite", "true or false"]),
        (["--empty_lines", "keep"], ["empty_lines", "one of drop, error", "'keep'"]),
        (["--output"], ["--output", "no value"]),
        (["--output="], ["command line", "--output is empty"]),
        (["--max_updates="], ["command line", "--max_updates is empty"]),
        (["3"], ["'3'", "no key"]),
        (["--tokenizer", "somewhere"], ["some.yaml", "vocab_size", "tokenizer: somewhere"]),
        (["--max_length", "700"], ["tokens_per_batch", "600", "max_length: 700"]),
        (["--max_updates", "null"], ["max_updates, max_epochs, max_minutes", "never end"]),
        (["--keep_checkpoints", "1"], ["keep_checkpoints", "average_last: 2"]),
        (["--test", "train"], ["test", "training pairs themselves"]),
        (["--target_language", "en"], ["target_language", "source_language"]),
        (["--source_column", "a"], ["source_column and target_column", "both or neither"]),
        (["--dropout", "1"], ["dropout", "is 1", "below 1"]),
        (["--label_smoothing", "-0.1"], ["label_smoothing"]),
        (["--save_every", "0"], ["save_every", "above 0"]),
        (["--max_minutes", "-1"], ["max_minutes", "above 0, or null"]),
        (["--sources", "a"], ["command line: sources must be a list of entries with the keys data, train", "'a'"]),
        (["--sources", "[a]"], ["sources must be a list of entries"]),
        (["--sources", "[]"], ["sources: is empty"]),
        (["--sources", "[{wieght: 2}]"], ["sources, entry 1: unknown key 'wieght'", "did you mean 'weight'"]),
        (["--sources", "[{}, {weight: much}]"], ["command line: sources, entry 2: weight must be a finite number"]),
        (["--sources", "[{train: 5}]"], ["sources, entry 1: train must be text or null, but is 5"]),
        (["--sources", "[{weight: 0}]"], ["sources, entry 1: weight: is 0.0; give a value above 0"]),
        (["--sources", "[{source_column: a}]"], ["sources, entry 1: source_column and target_column", "or neither"]),
        (["--sources", "[{train: x}, {train: val}]"], ["validation: is 'val', the training pairs themselves"]),
        (["--long_pairs", "keep"], ["long_pairs", "one of drop, cut"]),
        (["--max_length_ratio", "0.5"], ["max_length_ratio", "1 or more, or null"]),
        (["--streaming_pairs", "0"], ["streaming_pairs", "above 0"]),
        (["--num_workers", "0"], ["num_workers", "above 0"]),
    ],
)
def test_what_cannot_be_meant_is_named(file, arguments, parts):
    with pytest.raises(RecipeError) as caught:
        recipe_from_command_line([str(file), *arguments])
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("data: embedded\n", ["'source_language' is missing", "--source_language"]),
        ("data: embedded\ndata: other\n", ["line 2", "'data' a second time"]),
        ("- a\n- b\n", ["lines of `key: value`", "list"]),
        ("data: [\n", ["not readable as YAML"]),
        ("data: a\n? [a]\n: b\n", ["line 2", "['a'] is no key"]),
        ("seed: 2026-99-99\n", ["not readable as YAML"]),
        ("output: ' '\n", ["output: is empty", "leave the key out"]),
        ("data: 5\n", ["data must be text", "5", "quotes"]),
        ("", ["'data' is missing"]),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, parts):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    for part in ["broken.yaml", *parts]:
        assert part in str(caught.value)


def test_folders_may_lie_in_the_users_own(file, monkeypatch):
    monkeypatch.setenv("HOME", "/home/user")
    recipe = recipe_from_command_line(
        [str(file), "--output=~/runs/a", "--model", "~/m", "--tokenizer", "~/t", "--vocab_size", "null"]
    )
    folders = (recipe.output.output, recipe.model.model, recipe.model.tokenizer)
    assert folders == ("/home/user/runs/a", "/home/user/m", "/home/user/t")


def test_a_mapping_may_take_over_the_keys_of_another(file, tmp_path):
    path = tmp_path / "merged.yaml"
    path.write_text(file.read_text() + "sources: [&one {train: a, weight: 2}, {<<: *one, train: b}]\n")
    assert [source.weight for source in read_recipe(path).data.sources] == [2, 2]


def test_sources_take_what_they_leave_out_from_the_recipe(file, tmp_path, text_folder):
    sources = "[{train: other, weight: 2}, {data: wmt/wmt14, data_config: de-en}, {}]"
    recipe = recipe_from_command_line([str(file), "--sources", sources, "--data_config", "plain"])
    assert [source.weight for source in recipe.data.sources] == [2, 1, 1]
    assert [(source.data, source.data_config, source.train) for source in recipe.data.training_sources()] == [
        (str(text_folder), "plain", "other"),
        ("wmt/wmt14", "de-en", "train"),
        (str(text_folder), "plain", "train"),
    ]
    recipe.write(tmp_path / "copy.yaml")
    assert read_recipe(tmp_path / "copy.yaml") == recipe


def test_one_source_is_the_recipe_itself(file):
    data = read_recipe(file).data
    assert data.training_sources() == [data]


def test_a_language_whose_script_is_not_known(file):
    with pytest.raises(RecipeError, match="drop_wrong_script: the script of 'tlh' isn't known here; set it to false"):
        read_recipe(file, {"drop_wrong_script": True, "source_language": "tlh"})
    assert read_recipe(file, {"source_language": "tlh"}).data.source_language == "tlh"


def test_a_missing_file_has_a_hint():
    with pytest.raises(RecipeError, match="no such recipe file; did you mean configuration/recipes/miniature.yaml"):
        read_recipe("nowhere/minature.yaml")
    with pytest.raises(RecipeError, match="name a recipe"):
        recipe_from_command_line([])
    with pytest.raises(RecipeError, match="name the recipe first"):
        recipe_from_command_line(["--seed", "1"])


def test_help_explains_every_key(capsys):
    with pytest.raises(SystemExit) as caught:
        recipe_from_command_line(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for key in KEYS:
        assert f"--{key}" in shown
    assert "paper" in shown
