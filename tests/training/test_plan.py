"""The plan of a recipe: the paper's figures, the data where they are at hand, and the command."""

import json
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from modeling_vanilla_transformer import (
    VanillaTransformerConfig,
    VanillaTransformerForConditionalGeneration,
    named_configuration,
)
from training.batching import TokenBudgetBatches
from training.data import read_pairs, tokenize_pairs
from training.plan import PAPER, PlanError, as_dict, describe, main, measure_epoch, plan
from training.recipe import RecipeError, make_recipe
from training.setup import read_configuration, train_tokenizer

PAPERS = {"data": "wmt/wmt14", "source_language": "en", "target_language": "de", "output": "unused"}


def papers_recipe(model="base", **changes):
    updates = {"base": 100_000, "big": 300_000}.get(model, 100_000)
    return make_recipe(PAPERS | {"model": model, "max_updates": updates} | changes)


def test_the_papers_own_estimate_is_what_its_table_2_prints():
    for paper in PAPER:
        assert paper.flops == pytest.approx(paper.table_2, rel=0.01)
        # Its hours are its updates at its speed, to the precision in which it gives them.
        assert paper.updates * paper.seconds_per_update / 3600 == pytest.approx(paper.hours, rel=0.08)
    base, big = PAPER
    assert base.flops == 12 * 3600 * 8 * 9.5e12
    assert big.flops == 3.5 * 24 * 3600 * 8 * 9.5e12


@pytest.mark.parametrize("model", ["base", "big"])
def test_the_papers_models(model):
    planned = plan(papers_recipe(model), sentence_length=25)
    assert planned.updates == {"base": 100_000, "big": 300_000}[model]
    assert planned.tokens_per_update == (25_000, 25_000)
    assert planned.paper is not None and planned.paper.model == model
    # PyTorch's count for a hundredth of the batch: 10 sentences of 25 tokens.
    with torch.device("meta"):
        built = VanillaTransformerForConditionalGeneration(named_configuration(model))
        built.set_attn_implementation("eager")
        tokens = torch.zeros(10, 25, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            built(input_ids=tokens, decoder_input_ids=tokens, use_cache=False).logits.sum().backward()
    assert planned.operations_per_update == 100 * counter.get_total_flops()
    assert planned.operations_in_all == planned.updates * planned.operations_per_update
    # Fewer operations than the hardware could have made in the time.
    assert planned.operations_in_all < planned.paper.flops


@pytest.mark.parametrize(
    "changes",
    [{"max_updates": 50_000}, {"tokens_per_batch": 20_000}, {"model": "table3_c1"}, {"model": "table3_e"}],
)
def test_the_papers_estimate_stands_beside_the_papers_training_only(changes):
    assert plan(papers_recipe()).paper is not None
    assert plan(papers_recipe(vocab_size=32_000, dropout=0.3)).paper is not None
    planned = plan(papers_recipe(**changes))
    assert planned.paper is None and "paper" not in describe(planned)


def test_hours_are_tokens_over_speed_and_end_at_the_limit():
    planned = plan(papers_recipe())
    assert planned.hours(62_500) == pytest.approx(100_000 * 0.4 / 3600)  # the paper's 0.4 s an update
    assert plan(papers_recipe(max_minutes=30)).hours(62_500) == 0.5
    assert plan(papers_recipe(max_minutes=30, max_updates=None)).hours(1) == 0.5
    unknown = plan(papers_recipe(max_epochs=3, max_updates=None))
    assert (unknown.updates, unknown.operations_in_all, unknown.hours(1000)) == (None, None, None)
    assert "unknown" in describe(unknown)


def test_processes_and_accumulation_share_the_memory_of_activations_alone():
    one, eight = (plan(papers_recipe(gradient_accumulation_steps=2), processes=count) for count in (1, 8))
    for name in ("float32", "bf16"):
        assert eight.memory[name].activations == pytest.approx(one.memory[name].activations / 8, rel=0.02)
        assert eight.memory[name].logits == pytest.approx(one.memory[name].logits / 8, rel=0.02)
        assert eight.memory[name].weights == one.memory[name].weights
    assert eight.operations == one.operations
    assert (one.parts, eight.parts) == (2, 16)


def test_gradient_checkpointing_computes_the_layers_again():
    without, planned = plan(papers_recipe()), plan(papers_recipe(gradient_checkpointing=True))
    assert planned.operations_per_update == without.operations_per_update + planned.operations.layers
    assert planned.memory == without.memory  # both are shown, whatever the recipe says


def test_data_at_hand_are_read_and_counted(recipe_values):
    recipe = make_recipe(recipe_values | {"max_updates": None, "max_epochs": 7, "gradient_accumulation_steps": 2})
    epoch = measure_epoch(recipe)
    assert epoch is not None

    text = read_pairs(recipe.data, "train")
    tokenizer = train_tokenizer(recipe, read_configuration(recipe), text, show_progress=False)
    pairs = tokenize_pairs(text, tokenizer, max_length=60)
    lengths = pairs.source_lengths, pairs.target_lengths
    assert (epoch.pairs, epoch.vocab_size) == (len(pairs), len(tokenizer))
    assert (epoch.source_tokens, epoch.target_tokens) == tuple(int(side.sum()) for side in lengths)
    batches = TokenBudgetBatches(*lengths, 600, accumulation_steps=2, seed=1)
    updates = batches.epoch(0)
    assert epoch.updates == len(updates)
    slots = sum(sentences * (source + target) for sentences, source, target in epoch.shapes)
    assert slots == sum(part.slots for update in updates for step in update.parts for part in step)
    assert epoch.padding == pytest.approx(1 - (epoch.source_tokens + epoch.target_tokens) / slots)

    planned = plan(recipe, epoch=epoch)
    assert planned.updates == 7 * epoch.updates
    assert planned.tokens_per_update[1] == epoch.target_tokens / epoch.updates
    assert planned.hours(100) == pytest.approx(7 * epoch.target_tokens / 100 / 3600)
    assert planned.vocab_size == len(tokenizer) and planned.sentence_length is None
    assert f"{epoch.pairs:,} pairs" in describe(planned)


def test_with_few_shapes_the_epoch_is_one_that_leftovers_have_reached(recipe_values):
    recipe = make_recipe(recipe_values | {"max_shapes": 12})
    epoch = measure_epoch(recipe)
    assert epoch is not None
    text = read_pairs(recipe.data, "train")
    pairs = tokenize_pairs(
        text, train_tokenizer(recipe, read_configuration(recipe), text, show_progress=False), max_length=60
    )
    batches = TokenBudgetBatches(pairs.source_lengths, pairs.target_lengths, 600, seed=1, max_shapes=12)
    first, second = (sum(len(update.indices) for update in batches.epoch(number)) for number in (0, 1))
    assert epoch.pairs == second > first


def test_a_tokenizer_that_is_given_leaves_the_models_vocabulary(recipe_values, tmp_path):
    recipe = make_recipe(recipe_values)
    text = read_pairs(recipe.data, "train")
    train_tokenizer(recipe, read_configuration(recipe), text, show_progress=False).save_pretrained(tmp_path / "t")
    config = VanillaTransformerConfig(**named_configuration("miniature").to_dict() | {"vocab_size": 1234})
    config.save_pretrained(tmp_path / "m")
    values = recipe_values | {"tokenizer": str(tmp_path / "t"), "vocab_size": None, "model": str(tmp_path / "m")}
    recipe = make_recipe(values)
    assert plan(recipe).vocab_size == plan(recipe, epoch=measure_epoch(recipe)).vocab_size == 1234


def test_data_that_are_far_or_large_are_left_alone(recipe_values, monkeypatch):
    assert measure_epoch(papers_recipe()) is None
    assert measure_epoch(make_recipe(recipe_values | {"data": "no/such/folder"})) is None
    assert measure_epoch(make_recipe(recipe_values | {"streaming": True})) is None
    monkeypatch.setattr("training.plan.SMALL", 1000)
    assert measure_epoch(make_recipe(recipe_values)) is None


def test_what_cannot_be_planned(recipe_values):
    with pytest.raises(PlanError, match="processes: is 0; give one from 1 to tokens_per_batch: 600"):
        plan(make_recipe(recipe_values), processes=0)
    with pytest.raises(PlanError, match="sentence_length: is 601"):
        plan(make_recipe(recipe_values), sentence_length=601)
    with pytest.raises(RecipeError, match="model: 'nothing' is neither"):
        plan(papers_recipe("nothing"))


WMT = "configuration/recipes/wmt14_en_de_base.yaml"


def test_the_command_prints_the_plan(capsys, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    main([WMT, "--processes", "8"])
    shown = capsys.readouterr().out
    for part in (
        "63,045,632",
        "100,000",
        "12 h x 8 P100 x 9.5 TFLOP/s sustained, not a count",
        "the paper's Table 2",
        "3.3e+18",
        "in all, counted",
        "1/8 of an update at a time",
        "the paper's 8 P100: 0.4 s an update",
        "with gradient checkpointing",
        "if all logits were held",
    ):
        assert part in shown
    assert max(len(line) for line in shown.splitlines()) <= 120


def test_the_command_prints_json(capsys, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    main([WMT, "--json", "--tokens_per_second", "250000", "--max_updates=9", "--sentence_length", "20"])
    printed = json.loads(capsys.readouterr().out)
    expected = plan(make_recipe(PAPERS | {"model": "base", "max_updates": 9}), sentence_length=20)
    assert printed == json.loads(json.dumps(as_dict(expected, 250_000.0)))
    assert printed["hours"] == {"250000": 9 * 25_000 / 250_000 / 3600}
    assert printed["memory"]["bf16"]["peak"] == expected.memory["bf16"].peak()


def test_a_reader_may_leave_before_the_end(request):
    text = "from training.files import print_text; print_text('a line\\n' * 100_000)"
    work = f'"{sys.executable}" -c "{text}" | head -n 1; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", work], cwd=request.config.rootpath, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line\n", "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "name a recipe: python -m training.plan RECIPE"),
        (["nowhere.yaml"], "no such recipe file"),
        ([WMT, "--warmup_step", "3"], "did you mean 'warmup_steps'"),
        ([WMT, "--tokens_per_second", "0"], "--tokens_per_second: is 0; give a number above 0"),
        ([WMT, "--processes", "0"], "--processes: is 0; give a number above 0"),
        ([WMT, "--sentence_length", "-1"], "--sentence_length: is -1; give"),
    ],
)
def test_a_mistake_ends_the_command_with_one_message(arguments, part, capsys, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert part in capsys.readouterr().err
