"""Fine-tuning with Seq2SeqTrainer: exact losses whatever the batches, evaluation, what is saved, and every error."""

import json
import math
import re
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import yaml
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    EvalPrediction,
    Seq2SeqTrainer,
)

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    named_configuration,
    paper_generation_config,
)
from tests.processes import in_two_processes
from tests.training.text import sentences, write_lines
from training.corpus import generate_corpus
from training.data import tokenize_pairs
from training.evaluation import bleu
from training.finetune import FinetuningArguments, finetune, main, read_settings
from training.finetune_resume import resume_point
from training.loop import NonFiniteLossError
from training.output import OutputError
from training.recipe import RecipeError, TrainingError
from training.trainer import Examples, LengthGroups, Scores, TranslationTrainer

REPOSITORY = Path(__file__).parents[2]


def make_model(tokenizer, seed=0, **changes):
    config = named_configuration("miniature")
    config.vocab_size = len(tokenizer)
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(seed)
    model = VanillaTransformerForConditionalGeneration(config)
    model.generation_config = paper_generation_config(config, num_beams=2, max_length_offset=3)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    source, target = sentences(300, seed=8)
    return VanillaTransformerTokenizer.train(source + target, vocab_size=400, show_progress=False)


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    """A folder with an untrained model."""
    folder = tmp_path_factory.mktemp("start") / "model"
    make_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_examples(tokenizer, count):
    source, target = sentences(count, seed=3)
    return Examples(tokenize_pairs(datasets.Dataset.from_dict({"source": source, "target": target}), tokenizer))


@pytest.fixture(scope="module")
def pairs(tokenizer):
    """24 pairs of 3 to 8 tokens a side, as Trainer takes them."""
    return make_examples(tokenizer, 24)


def target_tokens(pairs):
    return sum(len(pairs[index]["labels"]) for index in range(len(pairs)))


def make_trainer(folder, tokenizer, pairs, kind=TranslationTrainer, model=None, **choices):
    """A trainer of a float64 model without dropout, so that differences are more than rounding."""
    model = model or make_model(tokenizer, dropout=0.0).double()
    settings = {
        "max_steps": 3,
        "learning_rate": 0.01,
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_steps": 1,
    }
    settings |= {"disable_tqdm": True, "use_cpu": True} | choices
    return kind(
        model,
        FinetuningArguments(str(folder), **settings),
        train_dataset=pairs,
        eval_dataset=pairs,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
        compute_metrics=Scores(tokenizer),
    )


def trained(trainer):
    """The parameters after training, as one vector, and the losses logged."""
    trainer.train()
    vector = torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])
    return vector, [line["loss"] for line in trainer.state.log_history if "loss" in line]


def restated_losses(model, pairs, label_smoothing=0.0):
    """The loss of each pair, summed over its tokens, one pair at a time, without padding, by section 5.4's words."""
    losses = []
    for index in range(len(pairs)):
        pair, labels = pairs[index], pairs[index]["labels"]
        before = torch.tensor([[model.config.decoder_start_token_id, *labels[:-1]]])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([pair["input_ids"]]), decoder_input_ids=before).logits[0]
        logits = logits.double().numpy()
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        target = np.full(logits.shape, label_smoothing / logits.shape[-1])
        target[np.arange(len(labels)), labels] += 1 - label_smoothing
        losses.append(-(target * log_probabilities).sum())
    return np.array(losses)


# ---------------------------------------------------------------------------------------------------------------------
# The loss


@pytest.mark.parametrize(("label_smoothing", "optimizer"), [(0.0, "sgd"), (0.1, "sgd"), (0.1, "adamw_torch")])
def test_accumulated_parts_are_one_large_batch(tokenizer, pairs, tmp_path, label_smoothing, optimizer):
    choices = {"label_smoothing_factor": label_smoothing, "optim": optimizer}

    def run(size, parts, **more):
        batches = {"per_device_train_batch_size": size, "gradient_accumulation_steps": parts}
        return make_trainer(tmp_path, tokenizer, pairs, **choices, **batches, **more)

    whole, whole_losses = trained(run(8, 1))
    divided, losses = trained(run(2, 4))
    assert torch.allclose(divided, whole, rtol=0, atol=1e-9)
    assert losses == pytest.approx(whole_losses, rel=1e-6)
    mean_of_means = run(2, 4)  # what a trainer does that knows nothing of the update's tokens: it must differ
    mean_of_means.model_accepts_loss_kwargs = False
    assert not torch.allclose(trained(mean_of_means)[0], whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.4])
def test_the_training_loss_is_the_papers_over_the_tokens_of_the_update(tokenizer, pairs, tmp_path, label_smoothing):
    choices = {"label_smoothing_factor": label_smoothing, "train_sampling_strategy": "random", "max_steps": 1}
    choices |= {"per_device_train_batch_size": 5, "gradient_accumulation_steps": 5}
    trainer = make_trainer(tmp_path, tokenizer, pairs, **choices)
    tokens = target_tokens(pairs)
    expected = restated_losses(trainer.model.eval(), pairs, label_smoothing).sum() / tokens
    assert trained(trainer)[1] == pytest.approx([expected], rel=1e-6)


def test_evaluation_is_unsmoothed_and_per_token(tokenizer, tmp_path):
    pairs = make_examples(tokenizer, 23)  # in batches of 4, one is not full
    trainer = make_trainer(tmp_path, tokenizer, pairs, label_smoothing_factor=0.3, per_device_eval_batch_size=4)
    training_draws_from = torch.get_rng_state()
    metrics = trainer.evaluate()
    assert torch.equal(torch.get_rng_state(), training_draws_from)  # or a resumed run would go on otherwise
    model = trainer.model.eval()
    expected = restated_losses(model, pairs).sum() / target_tokens(pairs)
    assert metrics["eval_loss"] == pytest.approx(expected, rel=1e-5)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(expected), rel=1e-5)
    assert trainer.evaluate(num_beams=1)["eval_loss"] == metrics["eval_loss"]
    assert make_trainer(tmp_path, tokenizer, pairs, predict_with_generate=False).evaluate().keys() >= {"eval_loss"}


def test_translations_are_scored_as_text(tokenizer):
    texts = ["one red cat sees two dog and three tree", "blue house sees one cat and four red house"]
    labels = [tokenizer(text)["input_ids"] for text in texts]
    longest = max(map(len, labels)) + 2
    labels = np.array([ids + [-100] * (longest - len(ids)) for ids in labels])
    start = np.full((2, 1), tokenizer.bos_token_id)
    generated = np.concatenate((start, np.where(labels < 0, tokenizer.pad_token_id, labels)), axis=1)
    losses = np.array([3.0, 5.0])
    scores = Scores(tokenizer)(EvalPrediction((losses, generated), labels))
    assert scores["bleu"] == pytest.approx(100) and scores["loss"] == 8 / (labels >= 0).sum()
    generated[0, 3:] = -100  # cut short, and filled up as Trainer does
    cut = tokenizer.decode(generated[0, 1:3], skip_special_tokens=True)
    scores = Scores(tokenizer)(EvalPrediction((losses, generated), labels))
    assert 0 < scores["bleu"] < 90 and scores["bleu"] == pytest.approx(bleu([cut, texts[1]], texts)["bleu"])


def test_trainers_own_label_smoothing_trains_to_the_same_weights(tokenizer, pairs, tmp_path):
    """The README's lines, which know Seq2SeqTrainer alone, train by the same loss."""
    batches = {"train_sampling_strategy": "sequential", "per_device_train_batch_size": 2}
    batches |= {"gradient_accumulation_steps": 4, "label_smoothing_factor": 0.1}
    ours, losses = trained(make_trainer(tmp_path, tokenizer, pairs, **batches))
    theirs, their_losses = trained(make_trainer(tmp_path, tokenizer, pairs, kind=Seq2SeqTrainer, **batches))
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)
    assert losses == pytest.approx(their_losses, rel=1e-5)


def test_a_search_for_several_translations_is_scored_by_the_best(tokenizer, pairs, tmp_path):
    one = make_trainer(tmp_path, tokenizer, pairs, per_device_eval_batch_size=5)
    model = make_model(tokenizer, dropout=0.0).double()
    model.generation_config.update(num_return_sequences=2, return_dict_in_generate=True)
    several = make_trainer(tmp_path, tokenizer, pairs, model=model, per_device_eval_batch_size=5)
    words = []
    for trainer in (one, several):
        trainer.compute_metrics = lambda prediction: words.append(prediction.predictions[1]) or {}
        trainer.evaluate()
    assert np.array_equal(*words) and len(words[0]) == len(pairs)


def test_the_collator_shifts_labels_as_the_model_does(tokenizer, pairs):
    model = make_model(tokenizer, dropout=0.0)
    collator = DataCollatorForSeq2Seq(tokenizer, model=model)
    some = [pairs[index] for index in range(6)]
    batch = collator([dict(pair) for pair in some])
    assert batch["attention_mask"].sum(dim=1).tolist() == [len(pair["input_ids"]) for pair in some]
    for row, labels in zip(batch["decoder_input_ids"].tolist(), [pair["labels"] for pair in some], strict=True):
        padding = [tokenizer.pad_token_id] * (len(row) - len(labels))
        # What stands behind the last token is padding, or the end of sentence, and read by no position that counts.
        assert row[: len(labels)] == [model.config.decoder_start_token_id, *labels[:-1]]
        assert row[len(labels) + 1 :] == padding[1:]
    expected = model(**{key: batch[key] for key in ("input_ids", "attention_mask", "labels")}).loss
    assert model(**batch).loss.item() == expected.item()


def test_a_loss_that_is_no_number_stops_the_run(tokenizer, pairs, tmp_path):
    trainer = make_trainer(tmp_path, tokenizer, pairs, learning_rate=1e300, optim="sgd", max_grad_norm=0, max_steps=9)
    with pytest.raises(NonFiniteLossError, match=r"loss became .* by update \d; start anew with a lower learning_"):
        trainer.train()


# ---------------------------------------------------------------------------------------------------------------------
# The batches


def test_the_order_is_of_seed_and_epoch_alone():
    lengths = [length % 37 + 1 for length in range(500)]
    epoch = 0
    groups = LengthGroups(10, 5, lengths, seed=5, epoch=lambda: epoch)
    torch.manual_seed(1)
    first = list(groups)
    torch.manual_seed(2)
    assert list(groups) == first and sorted(first) == list(range(500))
    epoch = 1
    assert list(groups) != first
    assert list(LengthGroups(10, 5, lengths, seed=6, epoch=lambda: 0)) != first
    padded = sum(max(lengths[i] for i in first[k : k + 10]) * 10 for k in range(0, 500, 10))
    assert sum(lengths) / padded > 0.9
    assert {len(set(part)) for part in (first[:10], first[250:260])} == {10}


# ---------------------------------------------------------------------------------------------------------------------
# Whole runs


@pytest.fixture(scope="module")
def corpus_run(tmp_path_factory):
    """An untrained model fine-tuned on some of the embedded corpus through a settings file: folder, model, output."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = generate_corpus()
    some = {"train": corpus.train[:256], "val": corpus.validation[:15], "test": corpus.held_out[:9]}
    for name, part in some.items():
        write_lines(folder / f"{name}.tsv", [f"{pair.source}\t{pair.target}" for pair in part])
    text = [side for pair in some["train"] for side in (pair.source, pair.target)]
    tokenizer = VanillaTransformerTokenizer.train(text, vocab_size=500, show_progress=False)
    make_model(tokenizer).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    settings = {"model": str(folder / "model"), "data": str(folder), "source_language": "en", "target_language": "de"}
    settings |= {"train": "train.tsv", "validation": "val.tsv", "test": "test.tsv", "learning_rate": "1e-2"}
    settings |= {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 16,
        "output_dir": str(folder / "whole"),
        "logging_steps": 5,
        "disable_tqdm": True,
    }
    settings |= {"load_best_model_at_end": True, "metric_for_best_model": "loss", "lr_scheduler_type": "constant"}
    (folder / "settings.yaml").write_text(
        yaml.safe_dump(settings | {"report_to": ["tensorboard"], "max_grad_norm": 0.5})
    )
    main([str(folder / "settings.yaml"), "--logging_steps", "4", "--save_total_limit", "9"])
    return folder


def test_it_lowers_perplexity_and_yields_bleu(corpus_run, capsys):
    results = json.loads((corpus_run / "whole/all_results.json").read_text())
    history = json.loads((corpus_run / "whole/trainer_state.json").read_text())["log_history"]
    perplexities = [line["eval_perplexity"] for line in history if "eval_perplexity" in line]
    assert (
        len(perplexities) == 3 and perplexities[0] < 400
    )  # the untrained model's is about 500, the vocabulary's size
    assert perplexities[-1] == pytest.approx(results["eval_perplexity"]) and perplexities[-1] < perplexities[0] / 1.5
    assert all("eval_bleu" in line for line in history if "eval_loss" in line)
    assert results["eval_bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")
    assert [line["step"] for line in history if "learning_rate" in line] == list(
        range(4, 49, 4)
    )  # the command line wins
    hypotheses = (corpus_run / "whole/test.hypotheses.txt").read_text().splitlines()
    references = [line.split("\t")[1] for line in (corpus_run / "test.tsv").read_text().splitlines()]
    scores = json.loads((corpus_run / "whole/test.json").read_text())
    assert scores["bleu"] == bleu(hypotheses, references)["bleu"] == results["test_bleu"]
    assert scores["sentences"] == 9 and scores["num_beams"] == 2 and scores["metric"] == "BLEU"
    assert (scores["length_penalty_type"], scores["max_length_offset"], scores["updates"]) == ("wu", 3, 48)
    record = json.loads((corpus_run / "whole/run.json").read_text())
    assert (record["updates"], record["epochs"], record["training_pairs"]["kept"]) == (48, 3.0, 256)
    assert record["seconds"] == pytest.approx(results["train_runtime"], abs=1e-3) and len(record["sittings"]) == 1
    assert scores["date"] <= record["finished"]


def test_the_settings_that_are_kept_can_be_given_again(corpus_run, tmp_path):
    first, data, training = read_settings([str(corpus_run / "settings.yaml"), "--logging_steps", "4"])
    kept = [str(corpus_run / "whole/finetuning.yaml"), "--output_dir", str(tmp_path)]
    again = read_settings(kept)
    assert again[:2] == (first, data)
    for key in ("learning_rate", "num_train_epochs", "lr_scheduler_type", "max_grad_norm", "metric_for_best_model"):
        assert getattr(again[2], key) == getattr(training, key), key


def test_what_is_saved_loads_and_decodes_as_before(corpus_run):
    for folder in ("whole", "whole/checkpoint-32"):
        for file in ("config.json", "generation_config.json"):
            before, after = (json.loads((corpus_run / name / file).read_text()) for name in ("model", folder))
            assert before == after
    model = AutoModelForSeq2SeqLM.from_pretrained(corpus_run / "whole")
    tokenizer = AutoTokenizer.from_pretrained(corpus_run / "whole")
    assert model.config.use_cache is True and model.generation_config.length_penalty_type == "wu"
    assert model.generation_config.max_length is None  # Seq2SeqTrainer writes the library's 20 here
    lines = [line.split("\t")[0] for line in (corpus_run / "test.tsv").read_text().splitlines()]
    translations = model.generate(**tokenizer(lines, return_tensors="pt", padding=True))
    texts = tokenizer.batch_decode(translations, skip_special_tokens=True)
    assert texts == (corpus_run / "whole/test.hypotheses.txt").read_text().splitlines()


def test_a_resumed_run_ends_as_the_uninterrupted_one(corpus_run, tmp_path):
    """From the middle of the second epoch: the same batches in the same order, the same dropout."""

    def run(*arguments):
        settings = [str(corpus_run / "settings.yaml"), "--eval_strategy", "no", "--load_best_model_at_end", "false"]
        settings += ["--save_strategy", "steps", "--save_steps", "5", "--report_to", "none", "--validation", "val.tsv"]
        choice, data, training = read_settings([*settings, "--output_dir", str(tmp_path / "run"), *arguments])
        data.test = data.validation = None
        finetune(choice, data, training, show=False)
        model = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path / "run")
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    whole = run("--save_total_limit", "20", "--max_steps", "24")
    assert (tmp_path / "run/checkpoint-20").is_dir()
    assert torch.equal(
        run("--max_steps", "24", "--resume_from_checkpoint", str(tmp_path / "run/checkpoint-20")), whole
    )


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "file", "message"),
    [
        (Path.unlink, "trainer_state.json", "trainer_state.json is missing"),
        (cut, "trainer_state.json", r"trainer_state.json is damaged \("),
        (Path.unlink, "model.safetensors", "model.safetensors is missing"),
        (cut, "model.safetensors", r"model.safetensors is damaged \("),
        (Path.unlink, "optimizer.pt", "optimizer.pt is missing"),
        (cut, "optimizer.pt", r"optimizer.pt is damaged \("),
        (flip, "optimizer.pt", r"optimizer.pt is damaged \("),
        (Path.unlink, "scheduler.pt", "scheduler.pt is missing"),
        (Path.unlink, "rng_state.pth", "rng_state.pth is missing"),
    ],
)
def test_damaged_checkpoints_are_passed_over(corpus_run, tmp_path, damage, file, message):
    """Trainer would end in a traceback, or go on without the part and say nothing."""
    for step in (16, 32):
        shutil.copytree(corpus_run / f"whole/checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    older, newer = tmp_path / "checkpoint-16", tmp_path / "checkpoint-32"
    assert resume_point("true", tmp_path) == (newer, {})
    damage(newer / file)
    chosen, damaged = resume_point("true", tmp_path)
    assert chosen == older and list(damaged) == [newer] and re.match(message, damaged[newer])
    with pytest.raises(RecipeError, match=f"checkpoint-32 is no checkpoint to go on from: {message}"):
        resume_point(str(newer), tmp_path)
    shutil.rmtree(older)
    with pytest.raises(RecipeError, match=rf"no checkpoint to go on from \(.*32: {message}.*; start anew in another"):
        resume_point("true", tmp_path)


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(corpus_run, tmp_path, capsys):
    shutil.copytree(corpus_run / "whole", tmp_path / "run")
    (tmp_path / "run/checkpoint-48/trainer_state.json").unlink()
    settings = [str(corpus_run / "settings.yaml"), "--output_dir", str(tmp_path / "run")]
    main([*settings, "--logging_steps", "4", "--save_total_limit", "9", "--resume_from_checkpoint", "true"])
    shown = capsys.readouterr().err
    assert "checkpoint-48: trainer_state.json is missing; it is put aside, and the run goes on from" in shown
    assert (tmp_path / "run/damaged-checkpoint-48/optimizer.pt").is_file()
    assert (tmp_path / "run/checkpoint-48/trainer_state.json").is_file()  # made anew
    again, whole = (folder / "model.safetensors" for folder in (tmp_path / "run", corpus_run / "whole"))
    assert again.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning_rate", "1e-6"], "learning_rate was 0.01 and is now 1e-06"),  # Trainer would go on with 0.01
        (["--label_smoothing_factor", "0"], "label_smoothing_factor was 0.1 and is now 0.0"),
        (["--lr_scheduler_kwargs", "{}", "--seed", "7"], "seed was 42 and is now 7"),
    ],
)
def test_other_settings_than_the_runs_are_refused(corpus_run, tmp_path, capsys, arguments, message):
    settings = [str(corpus_run / "settings.yaml"), "--output_dir", str(tmp_path / "run")]
    checkpoint = corpus_run / "whole/checkpoint-32"
    with pytest.raises(SystemExit):
        main([*settings, "--resume_from_checkpoint", str(checkpoint), *arguments])
    shown = capsys.readouterr().err
    assert f"the run of {checkpoint} cannot go on with other settings: {message}" in shown
    assert f"start another run from it with --model {checkpoint}" in shown and not (tmp_path / "run").exists()


def test_the_kept_settings_go_on_with_the_same_run(saved, text_folder, tmp_path):
    """The learning rate's curve has settings of its own, and the card tells people to go on by the kept file."""
    arguments = ["--model", saved, "--data", text_folder, "--source_language", "en", "--target_language", "de"]
    arguments += ["--max_steps", "6", "--save_strategy", "steps", "--save_steps", "3", "--logging_steps", "1"]
    arguments += ["--lr_scheduler_type", "polynomial", "--lr_scheduler_kwargs", '{"power": 3.0}']
    arguments += ["--per_device_train_batch_size", "8", "--disable_tqdm", "true", "--output_dir", tmp_path / "run"]
    main(list(map(str, arguments)))
    whole = (tmp_path / "run/model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "run/checkpoint-6")
    kept = ["--model", f"{saved}/", "--disable_tqdm", "true"]  # a folder's name may be written in several ways
    main([str(tmp_path / "run/finetuning.yaml"), "--resume_from_checkpoint", "true", *kept])
    assert (tmp_path / "run/model.safetensors").read_bytes() == whole


def test_a_checkpoint_of_another_model_is_refused(corpus_run, tokenizer, tmp_path, capsys):
    make_model(tokenizer, d_model=8).save_pretrained(tmp_path / "model")
    VanillaTransformerTokenizer.from_pretrained(corpus_run / "model").save_pretrained(tmp_path / "model")
    model = VanillaTransformerForConditionalGeneration.from_pretrained(tmp_path / "model")
    model.resize_token_embeddings(500)
    model.save_pretrained(tmp_path / "model")
    settings = [str(corpus_run / "settings.yaml"), "--output_dir", str(tmp_path / "run"), "--model"]
    checkpoint = shutil.copytree(corpus_run / "whole/checkpoint-32", tmp_path / "checkpoint-32")  # without settings
    with pytest.raises(SystemExit) as error:
        main([*settings, str(tmp_path / "model"), "--resume_from_checkpoint", str(checkpoint)])
    assert error.value.code == 2
    assert f"resume_from_checkpoint: {checkpoint} does not fit this run: " in capsys.readouterr().err


def test_a_search_without_a_limit_gets_the_papers(tokenizer, pairs, tmp_path):
    """Where transformers would stop every translation at 20 tokens."""
    model = make_model(tokenizer, dropout=0.0)
    model.generation_config.max_length_offset = None
    trainer = make_trainer(tmp_path, tokenizer, pairs, model=model, per_device_eval_batch_size=24)
    lengths = []
    trainer.compute_metrics = lambda prediction: lengths.append(prediction.predictions[1].shape[1]) or {}
    trainer.evaluate()
    longest = max(len(pairs[index]["input_ids"]) for index in range(len(pairs)))
    assert lengths == [longest + 50 + 1]  # the start token
    trainer.evaluate(max_length=7)
    trainer.search.max_new_tokens = trainer.model.generation_config.max_new_tokens = 30  # of another kind, as it is
    trainer.evaluate(max_length=9, num_beams=1)
    trainer.evaluate()
    assert lengths[1:] == [7, 9, 31]
    trainer.save_model()
    saved = json.loads((tmp_path / "generation_config.json").read_text())
    assert saved.get("max_length_offset") is None and saved.get("max_length") is None


def test_two_processes_train_and_score_as_one(saved, text_folder, tmp_path):
    arguments = ["--model", saved, "--data", text_folder, "--source_language", "en", "--target_language", "de"]
    arguments += ["--validation", "val", "--dropout", "0", "--max_steps", "5", "--learning_rate", "1e-3"]
    arguments += ["--eval_strategy", "no", "--save_strategy", "no", "--disable_tqdm", "true", "--logging_steps", "1"]
    # 40 validation pairs in batches of 12 do not share out evenly: what fills up the last batch must not count.
    arguments += ["--per_device_eval_batch_size", "12", "--per_device_train_batch_size"]
    # Nor must what fills up an epoch's last update, the third, of 600 pairs by 220.
    here = ["110", "--output_dir", str(tmp_path / "two")]
    two = in_two_processes(lambda: main([*map(str, arguments), *here]), tmp_path)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("eval: BLEU") == 1
    main([*map(str, arguments), "220", "--output_dir", str(tmp_path / "one")])
    results, states = (
        [json.loads((tmp_path / run / file).read_text()) for run in ("one", "two")]
        for file in ("all_results.json", "trainer_state.json")
    )
    for key in ("eval_loss", "eval_bleu"):
        assert results[1][key] == pytest.approx(results[0][key], rel=1e-5)
    for key in ("loss", "grad_norm"):
        of_one, of_two = ([line[key] for line in state["log_history"] if key in line] for state in states)
        assert len(of_one) == 5 and of_two == pytest.approx(of_one, rel=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# What is wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "arguments are required: --model, --data"),
        (["--modle", "x"], "unknown: --modle; did you mean --model?"),
        (["--model", "/no/where"], "/no/where is neither a saved model's folder nor a model on the Hub"),
        (["--learning_rate", "fast"], "argument --learning_rate/--learning-rate: invalid float value: 'fast'"),
        (["--label_smoothing_factor", "1"], "label_smoothing_factor: is 1.0; give one from 0 to below 1"),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps: is 0; give 1 or more"),
        (["--generation_num_beams", "0"], "generation_num_beams: is 0; give 1 or more"),
        (["--generation_max_length", "0"], "generation_max_length: is 0; give 2 or more"),
        (["--save_steps", "0"], "save_steps: is 0.0; give a number of updates"),
        (["--eval_steps", "-5"], "eval_steps: is -5.0; give a number of updates"),
        (["--num_train_epochs", "0"], "num_train_epochs: is 0.0; give a number above 0"),
        (["--lr_scheduler_kwargs", "nonsense"], "lr_scheduler_kwargs: is 'nonsense'; give a mapping"),
        (["--lr_scheduler_type", "reduce_lr_on_plateau", "--lr_scheduler_kwargs", '{"bad": 1}'], "lr_scheduler_kw"),
        (["--lr_scheduler_type", "cosine_with_min_lr"], "lr_scheduler_kwargs: One of min_lr or min_lr_rate"),
        (["--lr_scheduler_type", "reduce_lr_on_plateau"], "there is no plateau without validation pairs; name them"),
        (["--max_steps", "0"], "max_steps: is 0; give 1 or more, or -1 for num_train_epochs alone"),
        (["--max_steps", "-7"], "max_steps: is -7; give 1 or more"),
        (["--learning_rate", "-1"], "learning_rate: is -1.0; give 0 or more"),
        (["--output_dir", ""], "output_dir: is empty; name a folder"),
        (["--output_dir", "/dev/null/x"], "output_dir: /dev/null is a file; name a folder"),
        (["--metric_for_best_model", "chrf"], "metric_for_best_model: is chrf; give loss or perplexity or bleu"),
        (["--train", "other"], "other.en and "),
        (["--data", "/no/where"], "there is no folder /no/where"),
        (["--max_length", "2"], "no pair is left"),
        (["--dropout", "2"], "dropout: is 2.0; give one from 0 to below 1"),
        (["--eval_strategy", "often"], "often"),
        (["--load_best_model_at_end", "true"], "no best model without validation pairs"),
        (
            ["--resume_from_checkpoint", "nowhere"],
            "resume_from_checkpoint: nowhere is no checkpoint to go on from: there is no such",
        ),
        (["--resume_from_checkpoint", "true"], "run holds no checkpoint to go on from"),
        (["--streaming", "true"], "streaming: fine-tuning takes one source as a whole"),
        (["--bleu_tokenize", "mars"], "bleu_tokenize: mars does not work here"),
        (["nowhere.yaml"], "nowhere.yaml: not readable as YAML"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(saved, text_folder, tmp_path, capsys, arguments, message):
    given = {"model": saved, "data": text_folder, "source_language": "en", "target_language": "de"}
    given |= {"output_dir": tmp_path / "run"}
    words = [word for key, value in given.items() for word in (f"--{key}", str(value))] if arguments else []
    place = 0 if arguments[0:1] == ["nowhere.yaml"] else len(words)
    with pytest.raises(SystemExit) as caught:
        main([*words[:place], *arguments, *words[place:]])
    assert caught.value.code == 2
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1].startswith("error: ") and message in shown[-1]
    assert not list(tmp_path.rglob("*.safetensors")) and not (tmp_path / "run" / "run.json").exists()


def test_pairs_too_long_are_cut_as_the_recipe_says(tokenizer):
    source, target = sentences(24, seed=3)
    table = datasets.Dataset.from_dict({"source": source, "target": target})
    cut = Examples(tokenize_pairs(table, tokenizer, max_length=5, long_pairs="cut"))
    assert max(cut.lengths) == 5 and len(cut) == 24
    for index, (line, translation) in enumerate(zip(source, target, strict=True)):
        for side, text in (("input_ids", line), ("labels", translation)):
            ids = tokenizer(text)["input_ids"]
            assert cut[index][side] == (ids if len(ids) <= 5 else [*ids[:4], tokenizer.eos_token_id])


def settings_of(model, text_folder, output):
    return read_settings(
        f"--model {model} --data {text_folder} --source_language en --target_language de --output_dir {output}".split()
    )


def test_models_that_cannot_be_fine_tuned(saved, text_folder, tokenizer, tmp_path):
    def refused(message, folder):
        with pytest.raises(TrainingError, match=message):
            finetune(*settings_of(folder, text_folder, tmp_path / "out"), show=False)

    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "marian"}')
    refused("other is a model of type 'marian'; give a Vanilla Transformer", other)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model").symlink_to(saved)
    refused(f"the model of this run is {tmp_path}/run/model", tmp_path / "run")
    make_model(tokenizer).save_pretrained(tmp_path / "bare")
    refused("bare: the tokenizer cannot be read", tmp_path / "bare")
    tokenizer.save_pretrained(tmp_path / "bare")
    weights = (tmp_path / "bare/model.safetensors").read_bytes()
    (tmp_path / "bare/model.safetensors").write_bytes(weights[:-10])
    refused("bare: the model cannot be read", tmp_path / "bare")
    short = tmp_path / "short"
    make_model(tokenizer, position_embedding_type="learned", max_position_embeddings=5).save_pretrained(short)
    tokenizer.save_pretrained(short)
    refused("max_position_embeddings: 5, but a pair of train has 8 tokens", short)


def test_another_run_is_not_overwritten(saved, text_folder, tmp_path):
    with pytest.raises(Exception, match="holds another run .*config.json.*--resume_from_checkpoint true"):
        finetune(*settings_of(saved, text_folder, saved), show=False)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(OutputError, match="holds a run of training.train; name another folder"):
        finetune(*settings_of(saved, text_folder, tmp_path), show=False)


def test_settings_of_a_file(tmp_path):
    (tmp_path / "settings.yaml").write_text(
        "model: m\ndata: d\nsource_language: en\ntarget_language: de\nlearning_rate: 1e-5\nvalidation: null\n"
        "bf16: false\nlr_scheduler_type: cosine_with_restarts\n"
        "lr_scheduler_kwargs: {num_cycles: 2}\nreport_to: [tensorboard]\nmax_steps: 7\n"
    )
    choice, data, training = read_settings([str(tmp_path / "settings.yaml"), "--max_steps", "8"])
    assert (choice.model, data.data, data.validation) == ("m", "d", None)
    assert (training.learning_rate, training.max_steps, training.bf16) == (1e-5, 8, False)
    assert training.lr_scheduler_kwargs == {"num_cycles": 2} and training.report_to == ["tensorboard"]
    assert (training.label_smoothing_factor, training.predict_with_generate) == (0.1, True)
    (tmp_path / "settings.yaml").write_text("learning_rate: null")
    with pytest.raises(RecipeError, match="learning_rate cannot be null; its default is 0.0001"):
        read_settings([str(tmp_path / "settings.yaml")])


def test_less_is_better_of_all_but_bleu():
    for metric, greater in (("perplexity", False), ("eval_loss", False), ("bleu", True), (None, True)):
        assert FinetuningArguments(metric_for_best_model=metric).greater_is_better is greater
        plateau = FinetuningArguments(metric_for_best_model=metric, lr_scheduler_type="reduce_lr_on_plateau")
        assert plateau.lr_scheduler_kwargs == {"mode": "max" if greater else "min"}
    assert FinetuningArguments(metric_for_best_model="loss", greater_is_better=True).greater_is_better


def test_folders_may_begin_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments = ["--model=~/m", "--data=d", "--source_language=en", "--target_language=de"]
    assert read_settings(arguments)[0].model == f"{tmp_path}/m"


def test_words_that_yaml_reads_otherwise(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("model: a\ndata: b\nsource_language: no\ntarget_language: de\neval_strategy: no\nreport_to: no\n")
    _, data, arguments = read_settings([str(path), "--resume_from_checkpoint", "false"])
    assert (data.source_language, arguments.eval_strategy, arguments.resume_from_checkpoint) == ("no", "no", None)
    assert arguments.report_to == []
    path.write_text("model: a\nmodel: b\n")
    with pytest.raises(RecipeError, match="line 2 gives the key 'model' a second time"):
        read_settings([str(path)])
