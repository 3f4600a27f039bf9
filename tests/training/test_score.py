"""The scoring command: scores, translations and a log line for every system, or one clear message."""

import json
import sys
from pathlib import Path

import pytest
import sacrebleu
import torch
import yaml
from transformers import GenerationConfig

from modeling_vanilla_transformer import (
    VanillaTransformerForConditionalGeneration,
    VanillaTransformerTokenizer,
    named_configuration,
    paper_generation_config,
)
from tests.processes import in_two_processes
from tests.training.text import sentences, write_lines
from training.evaluation import translate
from training.forced_decoding import perplexity_of, score_pairs
from training.score import main

REPOSITORY = Path(__file__).parents[2]
SOURCE, TARGET = sentences(20, seed=5)
SOURCE[3] = ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """test.en, test.de, a model and one with learned positions."""
    folder = tmp_path_factory.mktemp("score")
    write_lines(folder / "test.en", SOURCE)
    write_lines(folder / "test.de", TARGET)
    tokenizer = VanillaTransformerTokenizer.train(SOURCE + TARGET, vocab_size=320, show_progress=False)
    for name, keys in (("model", {}), ("learned", {"position_embedding_type": "learned"})):
        config = named_configuration("miniature")
        config.update(keys | {"vocab_size": len(tokenizer)})
        if keys:
            config.max_position_embeddings = 30
        torch.manual_seed(0)
        model = VanillaTransformerForConditionalGeneration(config)
        with torch.no_grad():  # so that beams and penalties differ
            model.get_input_embeddings().weight.mul_(3)
        model.generation_config = paper_generation_config(config, num_beams=2, max_length_offset=6)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture
def files(folder):
    return ["--source", str(folder / "test.en"), "--reference", str(folder / "test.de")]


@pytest.fixture
def parts(folder):
    """The model and tokenizer, loaded."""
    model = VanillaTransformerForConditionalGeneration.from_pretrained(folder / "model").eval()
    return model, VanillaTransformerTokenizer.from_pretrained(folder / "model")


def run(*arguments):
    main([str(argument) for argument in arguments])


def refusal(capsys, *arguments):
    """The one line that a command ends with, and code 2."""
    capsys.readouterr()  # what came before
    with pytest.raises(SystemExit) as exit:
        run(*arguments)
    error = capsys.readouterr().err
    assert exit.value.code == 2
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


def scores(output):
    return json.loads((output / "scores.json").read_text())


def test_a_model_is_scored_with_all_that_belongs_to_a_score(folder, files, parts, tmp_path, capsys):
    run(folder / "model", *files, "--output", tmp_path / "out")
    result = scores(tmp_path / "out")
    (system,) = result["systems"]
    hypotheses = (tmp_path / "out" / "hypotheses.txt").read_text().splitlines()
    assert hypotheses == translate(*parts, SOURCE) and hypotheses[3] == ""
    ours = system["scores"]
    assert ours["bleu"]["score"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [TARGET]).score, abs=1e-9)
    assert ours["chrf"]["score"] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, [TARGET]).score, abs=1e-9)
    assert ours["ter"]["score"] == pytest.approx(sacrebleu.corpus_ter(hypotheses, [TARGET]).score, abs=1e-9)
    assert "tok:13a" in ours["bleu"]["signature"]
    pairs = score_pairs(*parts, SOURCE, TARGET)
    assert ours["perplexity"] == pytest.approx(perplexity_of(pairs), rel=1e-6)
    assert (system["num_beams"], system["length_penalty"], system["max_length_offset"]) == (2, 0.6, 6)
    assert (system["mixed_precision"], system["model"]) == ("no", str(folder / "model"))
    assert result["test_set"]["sentences"] == 20 and result["versions"]["sacrebleu"] == sacrebleu.__version__
    header, *lines = (tmp_path / "out" / "pairs.tsv").read_text().splitlines()
    assert header == "log_probability\ttokens\tscore" and len(lines) == 20
    for line, pair in zip(lines, pairs, strict=True):
        values = line.split("\t")
        assert float(values[0]) == pytest.approx(pair.log_probability, rel=1e-5)
        assert int(values[1]) == pair.tokens
        assert float(values[2]) == pytest.approx(pair.log_probability / ((5 + pair.tokens) / 6) ** 0.6, rel=1e-5)
    shown = capsys.readouterr().out
    assert all(ours[name]["signature"] in shown for name in ("bleu", "chrf", "ter"))
    assert f"{ours['bleu']['score']:.2f}" in shown and "2 beams, length penalty 0.6 (wu)" in shown


def test_every_scoring_is_logged_and_none_overwritten(folder, files, tmp_path, capsys):
    quick = [folder / "model", *files, "--num_beams", "1", "--metrics", "bleu", "--output", tmp_path / "out"]
    run(*quick)
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert "holds other scores (hypotheses.txt, scores.json)" in refusal(capsys, *quick)
    run(*quick, "--overwrite", "--limit", "5")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert len((tmp_path / "out" / "hypotheses.txt").read_text().splitlines()) == 5
    first, second = map(json.loads, (tmp_path / "scores.jsonl").read_text().splitlines())
    assert second == {"output": str(tmp_path / "out")} | scores(tmp_path / "out")
    assert (first["test_set"]["sentences"], second["test_set"]["sentences"]) == (20, 5)
    assert first["systems"][0]["num_beams"] == 1
    # What is to be read is never replaced.
    again = ["--hypotheses", tmp_path / "out" / "hypotheses.txt", "--reference", tmp_path / "out" / "hypotheses.txt"]
    assert "would be replaced" in refusal(capsys, *again, "--output", tmp_path / "out", "--overwrite")
    run(*again, "--log", tmp_path / "logs" / "mine.jsonl")
    assert json.loads((tmp_path / "logs" / "mine.jsonl").read_text())["systems"][0]["scores"]["ter"]["score"] == 0


def test_length_penalties_side_by_side(folder, files, parts, tmp_path, capsys):
    model, tokenizer = parts
    run(folder / "model", *files, "--length_penalty", "0", "2.5", "--num_beams", "4", "--output", tmp_path)
    systems = scores(tmp_path)["systems"]
    texts = []
    for number, (alpha, system) in enumerate(zip((0, 2.5), systems, strict=True), start=1):
        texts.append((tmp_path / f"hypotheses.{number}.txt").read_text().splitlines())
        search = paper_generation_config(model.config, num_beams=4, length_penalty=alpha, max_length_offset=6)
        assert texts[-1] == translate(model, tokenizer, SOURCE, generation_config=search)
        assert system["length_penalty"] == alpha and system["hypotheses"] == f"hypotheses.{number}.txt"
        penalised = float((tmp_path / f"pairs.{number}.tsv").read_text().splitlines()[1].split("\t")[2])
        (pair,) = score_pairs(model, tokenizer, SOURCE[:1], TARGET[:1])
        assert penalised == pytest.approx(pair.penalised(alpha), rel=1e-5)
    assert texts[0] != texts[1]
    assert "model, length penalty 2.5" in capsys.readouterr().out
    arguments = [
        folder / "model",
        *files,
        "--length_penalty",
        "0",
        "1",
        "--num_beams",
        "1",
        "--output",
        tmp_path / "o",
    ]
    assert "with one beam no penalty changes anything" in refusal(capsys, *arguments)


def test_a_model_without_settings_of_its_own_is_not_cut_short(folder, files, parts, tmp_path):
    model, tokenizer = parts
    model.generation_config = GenerationConfig(pad_token_id=0, eos_token_id=1, decoder_start_token_id=2)
    assert [getattr(model.config, key) for key in ("pad_token_id", "eos_token_id", "decoder_start_token_id")] == [
        0,
        1,
        2,
    ]
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    run(tmp_path / "model", *files, "--metrics", "bleu", "--limit", "4", "--output", tmp_path)
    assert scores(tmp_path)["systems"][0]["max_length_offset"] == 50
    greedy = paper_generation_config(model.config, num_beams=1, max_length_offset=50)
    expected = translate(model, tokenizer, SOURCE[:4], generation_config=greedy)
    assert (tmp_path / "hypotheses.txt").read_text().splitlines() == expected


def test_translations_of_several_systems_are_compared(tmp_path, capsys):
    references = write_lines(tmp_path / "reference", [f"{line} ." for line in TARGET])
    good = write_lines(tmp_path / "good", [f"{line.upper()} ." for line in TARGET])
    bad = write_lines(tmp_path / "bad", [f"{line[:-6]}eins ." for line in TARGET])
    command = ["--hypotheses", good, bad, "--hypotheses", good]  # given twice, it adds
    command += ["--reference", references, "--tokenize", "none", "--lowercase"]
    run(*command, "--bootstrap", "200", "--output", tmp_path / "out")
    result = scores(tmp_path / "out")
    first, second, _ = result["systems"]
    # Tokenised BLEU goes by no other name, here or on the screen.
    assert first["scores"]["tokenised_bleu"]["score"] == pytest.approx(100)
    assert second["scores"]["tokenised_bleu"]["score"] < 90
    assert "case:lc|eff:no|tok:none" in first["scores"]["tokenised_bleu"]["signature"]
    assert "bleu" not in first["scores"] and "perplexity" not in first["scores"]
    compared = result["paired_bootstrap"]["tokenised_bleu"]["systems"]
    assert [system["p_value"] is None for system in compared] == [True, False, False]
    assert compared[1]["p_value"] < 0.02 and compared[2]["p_value"] == 1
    assert (tmp_path / "out" / "hypotheses.2.txt").read_text() == bad.read_text()
    shown = capsys.readouterr().out
    assert "tokenised BLEU" in shown and "p = 1.0000" in shown and "bs:200|seed:12345" in shown


def test_the_test_set_of_a_recipe_or_of_any_data(folder, text_folder, recipe_values, tmp_path, capsys):
    values = recipe_values | {"bleu_tokenize": "intl", "bleu_lowercase": True}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    quick = ["--num_beams", "1", "--metrics", "bleu", "--output"]
    run(folder / "model", "--recipe", tmp_path / "recipe.yaml", *quick, tmp_path / "a", "--split", "validation")
    run(folder / "model", "--recipe", tmp_path / "recipe.yaml", *quick, tmp_path / "b", "--tokenize", "13a")
    languages = ["--source_language", "en", "--target_language", "de"]
    run(folder / "model", "--data", text_folder, "--split", "test", *languages, *quick, tmp_path / "c")
    sizes = [scores(tmp_path / name)["test_set"]["sentences"] for name in "abc"]
    assert sizes == [40, 30, 30]
    signatures = [scores(tmp_path / name)["systems"][0]["scores"]["bleu"]["signature"] for name in "abc"]
    assert ["case:lc" in text for text in signatures] == [True, True, False]
    assert ["tok:intl" in text for text in signatures] == [True, False, False]
    assert scores(tmp_path / "b")["test_set"]["sha256"] == scores(tmp_path / "c")["test_set"]["sha256"]
    model = [folder / "model", "--output", tmp_path / "d"]
    assert "it is test or validation" in refusal(capsys, *model, "--recipe", tmp_path / "recipe.yaml", "--split", "x")
    assert "--data needs --source_language" in refusal(capsys, *model, "--data", text_folder, "--split", "test")
    assert "no such file" in refusal(capsys, *model, "--data", text_folder, "--split", "no", *languages)


def test_perplexity_alone_translates_nothing(folder, files, tmp_path, capsys):
    run(folder / "model", *files, "--metrics", "perplexity", "--output", tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pairs.tsv", "scores.json"]
    assert set(scores(tmp_path)["systems"][0]["scores"]) == {"perplexity", "bits_per_character"}
    assert "perplexity" in capsys.readouterr().out


def test_bf16_is_close_and_says_so(folder, files, tmp_path):
    command = [folder / "model", *files, "--metrics", "perplexity", "--output"]
    run(*command, tmp_path / "exact")
    run(*command, tmp_path / "bf16", "--mixed_precision", "bf16")
    exact, half = (scores(tmp_path / name)["systems"][0] for name in ("exact", "bf16"))
    assert half["mixed_precision"] == "bf16"
    assert half["scores"]["perplexity"] != exact["scores"]["perplexity"]
    assert half["scores"]["perplexity"] == pytest.approx(exact["scores"]["perplexity"], rel=0.05)


def test_two_processes_give_what_one_gives(folder, files, tmp_path):
    done = in_two_processes(lambda: run(folder / "model", *files, "--output", tmp_path / "two"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("perplexity") == 1  # one process speaks
    run(folder / "model", *files, "--output", tmp_path / "one")
    one, two = (scores(tmp_path / name)["systems"][0] for name in ("one", "two"))
    assert two["processes"] == 2
    assert (tmp_path / "two" / "hypotheses.txt").read_text() == (tmp_path / "one" / "hypotheses.txt").read_text()
    assert two["scores"].pop("perplexity") == pytest.approx(one["scores"].pop("perplexity"), rel=1e-6)
    assert two["scores"].pop("bits_per_character") == pytest.approx(one["scores"].pop("bits_per_character"), rel=1e-6)
    assert two["scores"] == one["scores"]
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 2


def test_wrong_input_ends_in_one_line(folder, files, tmp_path, capsys):
    model, source, reference = folder / "model", folder / "test.en", folder / "test.de"
    out = ["--output", tmp_path / "out"]
    short, empty = write_lines(tmp_path / "short", TARGET[:-1]), write_lines(tmp_path / "empty", [])
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "broken").mkdir()
    for file in ("config.json", "tokenizer.json"):
        (tmp_path / "broken" / file).write_bytes((model / file).read_bytes())
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"cut")
    for arguments, message in (
        (files, "nothing to score"),
        ([model, *files], "--output FOLDER"),
        ([model, *out], "name the test set in one way"),
        ([model, *files, *out, "--data", "x"], "these are 2: --reference and --data"),
        ([model, "--reference", reference, *out], "give --source FILE"),
        (["--hypotheses", tmp_path / "no", "--reference", reference], f"{tmp_path / 'no'}: no such file"),
        (["--hypotheses", empty, "--reference", reference], f"{empty}: the file is empty"),
        (["--hypotheses", short, "--reference", reference], f"{short} has 19 lines but {reference} has 20"),
        ([model, "--source", source, "--reference", short, *out], f"{source} has 20 lines but {short} has 19"),
        (
            [tmp_path / "nothing", *files, *out],
            f"{tmp_path / 'nothing'} is neither a saved model's folder nor a model on the Hub",
        ),
        ([tmp_path / "run", *files, *out], f"the model of this run is {tmp_path / 'run' / 'model'}"),
        ([tmp_path / "broken", *files, *out], f"{tmp_path / 'broken'}: the model cannot be read"),
        ([model, *files, *out, "--metrics", "meteor"], "invalid choice: 'meteor'"),
        ([model, *files, *out, "--num_beams", "0"], "0 is out of range; give 1 or more"),
        ([model, *files, *out, "--length_penalty", "nan"], "out of range"),
        ([model, *files, *out, "--length_penalty", "-3000"], "-3000 is out of range; give -50.0 to 50.0"),
        ([model, *files, *out, "--mixed_precision", "fp16"], "fp16 needs an accelerator"),
        ([model, *files, "--output", short], f"{short} is a file"),
        (["--hypotheses", reference, "--reference", reference, "--num_beams", "2"], "no model is named"),
        (["--hypotheses", reference, "--reference", reference, "--metrics", "perplexity"], "needs a model"),
        (["--hypotheses", reference, "--reference", reference, "--split", "test"], "--split goes with --data"),
        (["--hypotheses", reference, "--reference", reference, "--log", short / "log"], f"{short}"),
        (["--hypotheses", reference, "--reference", reference, "--log", model], f"--log: {model} is a folder"),
        ([folder / "learned", *files, *out, "--max_length_offset", "50"], "learned positions for 30 tokens"),
    ):
        assert message in refusal(capsys, *arguments), arguments
    assert not (tmp_path / "out").exists() and not (tmp_path / "scores.jsonl").exists()


def test_scores_that_nobody_would_see_are_refused(folder, files, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it where the shell closed it
    assert "standard output is closed" in refusal(capsys, "--hypotheses", files[-1], "--reference", files[-1])


def test_references_given_twice_add_up(folder, files, tmp_path):
    other = write_lines(tmp_path / "other", [f"{line} ." for line in TARGET])
    run("--hypotheses", other, "--reference", files[-1], "--reference", other, "--output", tmp_path / "out")
    result = scores(tmp_path / "out")
    assert result["test_set"]["references"] == 2 and result["systems"][0]["scores"]["bleu"]["score"] > 99


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--help"])
    assert exit.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--hypotheses", "--recipe", "--tokenize", "--length_penalty", "--log"))
