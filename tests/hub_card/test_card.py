"""The model card says what the run's files say, runs as it is written, and looks right."""

import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from markdown_it import MarkdownIt
from sacrebleu.metrics import BLEU, CHRF

from hub_card.assemble import assemble
from hub_card.card import FIGURES, Statement, main, render, scores_of
from hub_card.card_words import (
    describe_architecture,
    describe_hardware,
    describe_search,
    describe_seconds,
    is_on_the_hub,
    language_name,
    public_name,
    public_settings,
)
from hub_card.evaluation_results import EVAL_RESULTS, eval_result_files
from hub_card.published_scores import PUBLISHED_SCORES, RECIPES, differences, find_published_score
from hub_card.run import RunError, TestSet, read_run
from hub_card.samples import pick_samples
from modeling_vanilla_transformer import VanillaTransformerConfig
from tests.browser import DESKTOP, PHONE, chromium, screenshot
from tests.hub_card.card_page import write_page
from tests.hub_metadata import problems
from tests.training.text import sentences, write_lines
from training.finetune import main as finetune
from training.recipe import make_recipe, read_recipe
from training.score import main as score
from training.train import train

REPO = "somebody/one-two-three"
STATEMENT = Statement(license="cc-by-4.0", data_name="Word for word", data_license="CC0", authors="A test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The output folder of a run that learned a little of the word-by-word language."""
    root = tmp_path_factory.mktemp("card")
    (root / "text").mkdir()
    for seed, (name, count) in enumerate({"train": 400, "val": 20, "test": 30}.items()):
        for side, lines in zip(("en", "de"), sentences(count, seed), strict=True):
            write_lines(root / "text" / f"{name}.{side}", lines)
    values = {"data": str(root / "text"), "source_language": "en", "target_language": "de"}
    values |= {"validation": "val", "test": "test", "max_length": 60, "model": "miniature", "vocab_size": 300}
    values |= {"tokens_per_batch": 600, "max_updates": 30, "warmup_steps": 10, "peak_learning_rate": 0.005}
    values |= {"mixed_precision": "no", "output": str(root / "run"), "save_every": 15, "evaluate_every": 15}
    values |= {"log_every": 10, "average_last": 2, "keep_checkpoints": 2, "num_beams": 2, "max_length_offset": 5}
    values |= {"trackers": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", root / "cache")
        train(make_recipe(values), show_progress=False)
        yield root / "run"


@pytest.fixture(scope="module")
def run(folder):
    return read_run(folder)


@pytest.fixture(scope="module")
def published(run, tmp_path_factory):
    """The folder that is uploaded, with the card in it."""
    return assemble(run, tmp_path_factory.mktemp("published") / "model", REPO, STATEMENT)


@pytest.fixture(scope="module")
def card(published):
    return ModelCard.load(published / "README.md")


@pytest.fixture
def copy(folder, tmp_path):
    """The run's folder with the data beside it, to be spoilt."""
    shutil.copytree(folder.parent / "text", tmp_path / "text")
    return shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "best", "tokenizer"))


def words_of(text: str) -> str:
    return " ".join(text.split())


def section(text: str, title: str) -> str:
    """The text below a heading, up to the next."""
    return re.split(r"\n#+ ", text.split(f"# {title}\n", 1)[1])[0]


# ---------------------------------------------------------------------------------------------------------------------
# What it says


def test_the_metadata_is_what_the_hub_reads(card, folder):
    assert problems(str(card), "model") == ([], [])
    data = card.data
    assert (data.language, data.license, data.library_name) == (["en", "de"], "cc-by-4.0", "transformers")
    assert (data.pipeline_tag, data.metrics, data.model_name) == ("translation", ["bleu", "chrf"], "one-two-three")
    assert "datasets" not in data.to_dict() and "base_model" not in data.to_dict()  # neither is on the Hub
    test = json.loads((folder / "test.json").read_text())
    found, chrf = data.eval_results
    assert found.metric_value == test["bleu"] and found.metric_args["signature"] == test["signature"]
    assert (found.task_type, found.metric_type, chrf.metric_type) == ("translation", "bleu", "chrf")
    index = eval_results_to_model_index("one-two-three", data.eval_results)
    assert model_index_to_eval_results(index) == ("one-two-three", data.eval_results)


def test_the_scores_are_those_of_the_run(card, folder, published):
    test = json.loads((folder / "test.json").read_text())
    hypotheses = (folder / "test.hypotheses.txt").read_text().splitlines()
    references = (folder.parent / "text" / "test.de").read_text().splitlines()
    assert BLEU().corpus_score(hypotheses, [references]).score == pytest.approx(test["bleu"])
    chrf = CHRF().corpus_score(hypotheses, [references]).score
    shown = section(card.text, "Evaluation")
    for part in (
        f"| BLEU | {test['bleu']:.2f} |",
        f"| chrF | {chrf:.2f} |",
        test["date"][:10],
        "the 30 sentences of `test`",
    ):
        assert part in shown
    assert test["signature"].replace("|", r"\|") in shown and "nc:6" in shown
    assert "2 beams, length penalty 0.6 (Wu et al.'s), at most 5 tokens more than the source has" in shown
    final = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert f"{final['final_validation_perplexity']:.3f}" in shown

    files = sorted((published / EVAL_RESULTS).iterdir())
    entries = [entry for file in files for entry in parse_eval_result_entries(yaml.safe_load(file.read_text()))]
    assert [entry.value for entry in entries] == pytest.approx([test["bleu"], chrf])
    assert all(entry.date == test["date"] and "Wu et al." in entry.notes for entry in entries)


def test_better_translations_have_a_better_score(copy):
    words = [line.split() for line in (copy.parent / "text" / "test.de").read_text().splitlines()]
    hypotheses = [" ".join(line[:-1] if len(line) > 5 else line) for line in words]
    write_lines(copy / "test.hypotheses.txt", hypotheses)
    score = BLEU().corpus_score(hypotheses, [[" ".join(line) for line in words]]).score
    change(copy / "test.json", json.loads, json.dumps, bleu=score)
    card = ModelCard(render(read_run(copy), REPO))
    assert 50 < score < 99 and f"| BLEU | {score:.2f} |" in card.text
    assert card.data.eval_results[0].metric_value == score


def test_every_other_scoring_of_the_model_is_told(copy, capsys):
    """As training.score leaves it in the run's folder; the log holds other models' lines as well."""
    text = copy.parent / "text"
    files = ["--source", str(text / "val.en"), "--reference", str(text / "val.de"), "--metrics", "bleu", "ter"]
    score([str(copy / "model"), *files, "--num_beams", "3", "--output", str(copy / "val")])
    score(["--hypotheses", str(text / "val.de"), *files[2:4], "--log", str(copy / "scores.jsonl")])
    capsys.readouterr()
    found = json.loads((copy / "val" / "scores.json").read_text())["systems"][0]["scores"]
    shown = section(render(read_run(copy), REPO), "Evaluation")
    rows = [line for line in shown.splitlines() if line.startswith("| `val.de` | 20 | ")]
    assert [row.split(" | ")[2:4] for row in rows] == [
        [name, f"{found[name.lower()]['score']:.2f}"] for name in ("BLEU", "TER")
    ]
    assert all("3 beams, length penalty 0.6 (Wu et al.'s)" in row for row in rows)
    assert found["ter"]["signature"].replace("|", r"\|") in rows[1]


def test_the_training_is_told_from_what_the_run_recorded(card, folder):
    record = json.loads((folder / "run.json").read_text())
    shown = section(card.text, "Training")
    for part in (
        "30 updates",
        "the average of the last 2 checkpoints",
        "rises to 0.005 over 10 updates",
        "600 source",
    ):
        assert part in shown
    (sitting,) = record["sittings"]
    assert record["hub_names"] == []
    for part in (f"{record['seconds']:.0f} seconds", *sitting["devices"], "float32", sitting["started"][:10]):
        assert part in shown
    assert sitting["versions"]["torch"] in shown
    assert "Trained on Word for word: 400 sentence pairs." in card.text
    assert "**Licence of the data:** CC0." in card.text and "**Made by:** A test" in card.text
    recipe = yaml.safe_load(re.search(r"```yaml\n(.*?)```", shown, re.S).group(1))
    assert recipe["max_updates"] == 30 and recipe["data"] == "text" and "output" not in recipe


def test_nothing_is_told_of_the_machines_folders(published, folder):
    for file in published.rglob("*"):
        if file.suffix in (".md", ".yaml", ".json", ".jsonl"):
            assert str(folder.parent) not in file.read_text()


def test_settings_name_files_without_the_way_to_them(run):
    sources = [{"data": "/home/somebody/corpus", "train": "~/more.tsv", "weight": 2.0}]
    settings = run.settings | {"train": "/home/somebody/train.tsv", "validation": "val", "sources": sources}
    shown = yaml.safe_load(public_settings(replace(run, settings=settings)))
    assert shown["train"] == "train.tsv" and shown["validation"] == "val"
    assert shown["sources"] == [{"data": "corpus", "train": "more.tsv", "weight": 2.0}]
    assert sources[0]["data"] == "/home/somebody/corpus"


def test_samples_are_spread_evenly_and_the_worst_are_the_worst(run, card):
    samples, worst = pick_samples(run.test)
    assert len(samples) == len(worst) == 5 and not set(samples) & set(worst)
    scores = [
        CHRF().sentence_score(hypothesis, [reference]).score
        for hypothesis, reference in zip(run.test.hypotheses, run.test.references, strict=True)
    ]
    assert [sample.chrf for sample in worst] == sorted(scores)[:5]
    places = [run.test.sources.index(sample.source) for sample in samples]
    assert places == sorted(places) and places[0] < 8 and places[-1] > 20
    assert all(f"| {sample.source} | " in section(card.text, "Sample translations") for sample in samples)
    assert card.data.widget == [{"text": sample.source} for sample in samples]
    assert all(f"| {sample.source} | " in section(card.text, "The worst") for sample in worst)


def test_a_small_test_set_gives_the_samples_that_there_are():
    test = TestSet(["a", "b", "", "d"], ["A", "B", "C", ""], ["A", "C", "C", "D"])
    samples, worst = pick_samples(test)
    assert [sample.source for sample in worst] == ["b", "a"] and samples == []


def test_the_worst_of_a_small_test_set_are_shown(run):
    text = TestSet(["One.", "Two."], ["Eins.", "Zwei."], ["Eins.", "Drei."])
    card = render(replace(run, test=text), REPO)
    assert "| Two. | Drei. | Zwei. |" in section(card, "The worst") and "even distances" not in card


def test_the_code_of_the_card_runs(card, published, tmp_path):
    """As a reader runs it: in another folder, without the package, from the files of the repository alone."""
    blocks = re.findall(r"```python\n(.*?)```", card.text, re.S)
    assert len(blocks) == 3 and blocks[0].count(REPO) == blocks[1].count(REPO) == 1
    (tmp_path / "code.py").write_text("\n".join(blocks).replace(REPO, str(published)))
    done = subprocess.run([sys.executable, "-I", "code.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (promised,) = re.findall(r"^# (.*)$", blocks[0], re.M)
    first, by_the_pipeline, *several = done.stdout.splitlines()
    assert first == by_the_pipeline == promised and len(several) == 3


def test_the_page_looks_right(run, published, tmp_path):
    odd = "a | b * c_d_e <b>f</b> `g` [h](i) $j$ ~~k~~ {{ l }} \\ &amp; # m"
    text = TestSet([odd, *run.test.sources[1:]], [odd, *run.test.references[1:]], ["", *run.test.hypotheses[1:]])
    folder = shutil.copytree(published, tmp_path / "model")
    (folder / "README.md").write_text(render(replace(run, test=text), REPO, FIGURES, STATEMENT))
    page_file = write_page(folder / "README.md")
    with chromium() as browser:
        page = browser.new_page(viewport=DESKTOP)
        page.goto(page_file.as_uri())
        screenshot(page, "model_card", full_page=True)
        images = page.locator("img")
        assert images.count() == len(FIGURES)
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 300 && image.alt.length > 20)")
        for address in page.evaluate("[...document.links].map(link => link.getAttribute('href'))"):
            assert address.startswith("https://") or (folder / address).is_file()
        shown = page.locator("body").inner_text()
        assert shown.count(odd) == 2 and "(nothing)" in shown  # its translation is empty
        for unrendered in (r"\bNone\b", r"\bnan\b", r"\{\{(?! l)", r"\{%"):
            assert not re.search(unrendered, shown)
        assert "**" not in "".join(page.locator("p, li, td").all_inner_texts())
        assert page.locator("table tr td:nth-child(4)").count() > 10  # no cell is cut by a line within it

        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        screenshot(page, "model_card_phone", full_page=True)
        page.locator("summary").click()
        assert page.get_by_text("peak_learning_rate: 0.005").is_visible()


# ---------------------------------------------------------------------------------------------------------------------
# Runs of every kind


def change(file: Path, read, write, **keys) -> None:
    values = read(file.read_text()) | keys
    file.write_text(write(values))


def test_what_nobody_stated_is_called_not_stated(run):
    text = render(run, REPO)
    card = ModelCard(text)
    assert card.data.license == "unknown" and "**Licence:** not stated by the publisher" in text
    assert "**Licence of the data:** not stated by the publisher." in text and "Made by" not in text
    assert "![" not in text and "data from a folder named text" in text


def test_a_data_set_of_the_hub_is_linked(run):
    statement = replace(STATEMENT, dataset="somebody/words")
    card = ModelCard(render(run, REPO, statement=statement))
    assert card.data.datasets == ["somebody/words"] and card.data.eval_results[0].dataset_type == "somebody/words"
    assert "[Word for word](https://huggingface.co/datasets/somebody/words)" in card.text
    files = eval_result_files(scores_of(run, statement))
    assert sorted(files) == [f"{EVAL_RESULTS}/somebody_words_test_{metric}.yaml" for metric in ("bleu", "chrf")]


def test_a_run_without_a_test_set_and_with_a_single_checkpoint(copy):
    change(
        copy / "recipe.yaml", yaml.safe_load, yaml.safe_dump, test=None, tokenizer="/elsewhere/words", vocab_size=None
    )
    change(copy / "run.json", json.loads, json.dumps, checkpoints_averaged=1)
    (copy / "test.json").unlink()
    text = render(read_run(copy), REPO)
    assert "This model was not scored on a test set of its run." in text and "one checkpoint" in text
    assert "Sample translations" not in text and "Write a sentence in English here." in text
    assert "tokenizer: words" in text and "elsewhere" not in text
    assert ModelCard(text).data.eval_results is None


def test_a_run_of_before_there_were_records(copy):
    (copy / "run.json").unlink()
    text = render(read_run(copy), REPO)
    assert "| hardware | not recorded |" in text and "seconds |" in text  # of which metrics.jsonl tells


def test_a_run_of_several_sittings_names_all_its_hardware(copy):
    record = json.loads((copy / "run.json").read_text())
    gpus = {"device_type": "cuda", "devices": {"NVIDIA H100": 8}, "machines": 2, "processes": 8}
    record["sittings"].append(record["sittings"][0] | gpus | {"mixed_precision": "bf16"})
    (copy / "run.json").write_text(json.dumps(record))
    assert "; then 8 × NVIDIA H100 in 2 machines, mixed precision (bf16) |" in render(read_run(copy), REPO)


def test_a_fine_tuned_model_names_what_it_came_from(folder, tmp_path):
    output = tmp_path / "tuned"
    keys = f"--model {folder / 'model'} --data {folder.parent / 'text'} --source_language en --target_language de"
    keys += f" --output_dir {output} --max_steps 1 --test test --eval_strategy no --save_strategy no --report_to none"
    finetune([*keys.split(), "--use_cpu", "true", "--disable_tqdm", "true"])
    text = render(read_run(output), REPO)
    card, test = ModelCard(text), json.loads((output / "test.json").read_text())
    assert "fine-tuned from `model` on data from a folder named text" in " ".join(text.split())
    assert card.data.eval_results[0].metric_value == test["bleu"] and f"{test['bleu']:.2f}" in text
    assert "| length | 1 updates," in text and "settings of the fine-tuning" in text and test["date"][:10] in text
    assert str(folder.parent) not in text and "base_model" not in card.data.to_dict()
    assert json.loads((output / "run.json").read_text())["hub_names"] == []
    record = (output / "run.json").read_text()
    (output / "run.json").write_text(json.dumps({"finished": "2026-01-02"}))
    with pytest.raises(RunError, match="run.json: updates is missing"):
        read_run(output)
    (output / "run.json").write_text(record)
    (output / "all_results.json").unlink()
    with pytest.raises(SystemExit):
        main([str(output), "--repo", REPO])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: shutil.rmtree(run), "there is no such folder"),
        (lambda run: (run / "recipe.yaml").unlink(), "no run, as it holds neither recipe.yaml nor finetuning.yaml"),
        (lambda run: (run / "test.json").unlink(), "the run has not finished; go on with it"),
        (lambda run: change(run / "test.json", json.loads, json.dumps, updates=20), "the run has not finished"),
        (lambda run: (run / "run.json").write_text('{"sittings": []}'), "the run has not finished"),
        (lambda run: shutil.rmtree(run / "model"), "the run has not finished"),
        (lambda run: (run / "run.json").write_text("{"), "run.json cannot be read"),
        *(
            (lambda run, keys=keys: change(run / "run.json", json.loads, json.dumps, **keys), f"run.json: {name} is")
            for keys, name in [
                ({"sittings": 7}, "sittings"),
                ({"sittings": [7]}, "started"),
                ({"sittings": [{"started": "2026-01-02"}]}, "device_type"),
                ({"training_pairs": {"read": 7}}, "kept"),
                ({"training_pairs": {"kept": 7, "no_text": 1}}, "read"),
                ({"seconds": "long"}, "seconds"),
            ]
        ),
        (lambda run: (run / "model" / "config.json").write_text("{"), "model is neither a saved model's folder nor"),
        (lambda run: (run / "model" / "generation_config.json").write_text("{"), "config.json cannot be read"),
        (lambda run: (run / "model" / "generation_config.json").unlink(), "generation_config.json is missing"),
        (lambda run: (run / "test.json").write_text("{"), "test.json cannot be read"),
        (lambda run: (run / "scores.jsonl").write_text('{"systems": 7}'), "scores.jsonl cannot be read"),
        (
            lambda run: (run / "test.hypotheses.txt").write_text("eins zwei drei vier\n" * 30),
            "the score does not come out again",
        ),
        (lambda run: (run / "test.hypotheses.txt").write_text("eins\n"), "the score does not come out again"),
        (lambda run: (run / "test.hypotheses.txt").unlink(), "test.hypotheses.txt cannot be read"),
        (lambda run: change(run / "recipe.yaml", yaml.safe_load, yaml.safe_dump, data="/gone"), "no folder /gone"),
    ],
)
def test_what_is_no_finished_run_is_one_clear_error(copy, spoil, message, capsys):
    spoil(copy)
    with pytest.raises(SystemExit) as caught:
        main([str(copy), "--repo", REPO])
    shown = capsys.readouterr().err
    assert caught.value.code == 2 and message in shown and str(copy) in shown.replace("/gone", str(copy))
    assert shown.startswith("error: ") and shown.count("\n") == 1


def test_the_folder_of_the_model_is_not_the_run(copy, capsys):
    with pytest.raises(SystemExit):
        main([str(copy / "model"), "--repo", REPO])
    assert f"name the run itself, {copy}" in capsys.readouterr().err


def test_the_command_previews_the_card_and_finds_moved_data(copy, tmp_path, capsys):
    moved = (tmp_path / "text").rename(tmp_path / "moved")
    change(copy / "recipe.yaml", yaml.safe_load, yaml.safe_dump, data="/gone")
    (tmp_path / "figures").mkdir()
    (tmp_path / FIGURES[0]).touch()
    output = tmp_path / "README.md"
    main([str(copy), "--repo", REPO, "-o", str(output), "--data", str(moved), "--license", "mit"])
    assert capsys.readouterr().out == f"{output}\n"
    card = ModelCard.load(output)
    assert card.data.license == "mit" and f"]({FIGURES[0]})" in card.text and FIGURES[1] not in card.text


# ---------------------------------------------------------------------------------------------------------------------
# Published figures, and words


@pytest.mark.parametrize("score", PUBLISHED_SCORES, ids=lambda score: score.recipe)
def test_a_published_score_is_the_one_in_its_recipes_comment(score, tmp_path):
    file = RECIPES / f"{score.recipe}.yaml"
    comment = file.read_text(encoding="utf-8").partition("# ----")[0]
    overrides = {}
    if score.recipe.startswith("multi30k"):
        overrides["data"] = str(tmp_path)
    else:
        assert f"BLEU {score.bleu}" in comment
    recipe = read_recipe(file, overrides)
    assert find_published_score(recipe) == score and differences(recipe, score) == {}


def test_the_comparison_names_what_differs_and_never_equates_two_measures(run, tmp_path):
    recipe = read_recipe(RECIPES / "wmt14_en_de_base.yaml", {"max_updates": 30, "seed": 7, "output": "runs/other"})
    shown = render(replace(run, recipe=recipe), REPO)
    comparison = section(shown, "Beside the published figure")
    assert "[Vaswani et al. (2017)](https://arxiv.org/abs/1706.03762) report BLEU **27.3**" in comparison
    assert "The two figures are not of one measure." in comparison and "hyphens" in comparison
    assert "- `max_updates`: `30` in place of `100000`" in comparison and "seed" not in comparison
    tokenised = replace(run, recipe=recipe, settings=run.settings | {"bleu_tokenize": "none"})
    assert "BLEU on tokenised text too" in section(render(tokenised, REPO), "Beside the published figure")
    assert find_published_score(read_recipe(RECIPES / "quickstart.yaml")) is None
    assert "Beside the published figure" not in render(run, REPO)


def test_a_language_that_yaml_takes_for_a_truth_value_stays_a_language(run):
    text = render(replace(run, data=replace(run.data, source_language="no", target_language="pt_BR")), REPO)
    assert problems(text, "model") == ([], []) and ModelCard(text).data.language == ["no", "pt"]
    assert "**Norwegian to Portuguese**" in text and "(`pt_BR`)" in text


def test_a_language_without_a_code_of_the_hubs_is_not_in_the_metadata(run):
    text = render(replace(run, data=replace(run.data, source_language="english", target_language="tlh")), REPO)
    assert problems(text, "model") == ([], []) and ModelCard(text).data.language == ["tlh"]
    assert "**english to tlh**" in text


def test_the_sizes_of_either_stack_are_its_own():
    same = {"d_model": 64, "encoder_attention_heads": 8}
    config = VanillaTransformerConfig(**same, decoder_attention_heads=4)
    assert describe_architecture(config)["d_k, d_v"] == "8, 8 in the encoder, 16, 16 in the decoder"
    config = VanillaTransformerConfig(**same, decoder_attention_heads=4, d_k=2000, d_v=3)
    assert describe_architecture(config)["d_k, d_v"] == "2000, 3"


def test_text_of_any_kind_is_shown_and_runs_nothing(run):
    """In a code block, in tables and in the metadata alike."""
    odd = 'a\0b\x85c {{ 7 * 7 }} ``` <script> \\ " |'
    text = TestSet([odd] * 6, ["another"] * 6, [f"{odd}\r{number}" for number in range(6)])
    card = render(replace(run, test=text), REPO)
    assert problems(card, "model") == ([], []) and "\0" not in card
    assert "49" not in section(card, "Sample translations")
    assert ModelCard(card).data.widget == [{"text": odd}]
    (code, *_) = re.findall(r"```python\n(.*?)\n```\n", card, re.S)
    assert f"sentence = {json.dumps(odd, ensure_ascii=False)}" in code and compile(code, "the card", "exec")


def test_a_text_too_long_to_read_is_cut(run):
    text = TestSet(["word " * 4000] * 6, ["Wort " * 4000] * 6, [f"{number} {'Wort ' * 4000}" for number in range(6)])
    card = render(replace(run, test=text), REPO)
    assert section(card, "The worst").count(" … |") == 5 * 3 and max(map(len, card.splitlines())) < 21_000
    assert "widget" not in ModelCard(card).data.to_dict()


def test_training_sentences_that_were_cut_are_told_from_those_left_out(run):
    cut = replace(run, data=replace(run.data, long_pairs="cut"))
    assert "more than 60 tokens were left out of its training data" in render(run, REPO)
    assert "more than 60 tokens were cut short in its training data" in render(cut, REPO)


@pytest.mark.parametrize("record", [{}, {"hub_names": ["a/corpus"]}], ids=["not recorded", "recorded"])
@pytest.mark.parametrize(
    ("name", "public"),
    [
        *(("./corpus", "corpus"), ("~/corpus", "corpus"), ("/a/corpus", "corpus"), ("a/corpus",) * 2),
        *(("a/b/..", "a"), (".", "work"), ("/a/b/.", "b"), ("/", "/")),
    ],
)
def test_a_path_is_no_name_on_the_hub(name, public, record, run, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    run = replace(run, record=record)
    assert public_name(name, run) == public and is_on_the_hub(name, run) == (name == "a/corpus")


@pytest.mark.parametrize("record", [{}, {"hub_names": ["their/words"]}], ids=["not recorded", "recorded"])
def test_a_folder_of_training_is_no_name_on_the_hub_wherever_the_card_is_made(record, run, tmp_path, monkeypatch):
    for name in ("our/words", "our/model", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    one = replace(run, folder=tmp_path / "runs" / "one", record=record, base_model="our/model")
    one.data, one.settings = replace(run.data, data="our/words"), run.settings | {"data": "our/words"}
    card = render(one, REPO)
    assert "our/" not in card and "fine-tuned from `model` on data from a folder named words" in words_of(card)
    assert not {"datasets", "base_model"} & ModelCard(card).data.to_dict().keys()
    theirs = replace(one, data=replace(run.data, data="their/words"))
    assert ModelCard(render(theirs, REPO)).data.datasets == ["their/words"]
    stated = render(one, REPO, statement=Statement(dataset="our/words"))
    assert "(https://huggingface.co/datasets/our/words)" in stated


def test_a_folders_name_is_shown_as_it_is(run):
    name = "a_b *c* <i>#1 `d`"
    odd = replace(run, data=replace(run.data, data=f"/x/{name}"), base_model=f"/y/{name}")
    card = ModelCard(render(odd, REPO))
    shown = MarkdownIt("commonmark").render(card.text.split("```")[0])
    assert shown.count(html.escape(name)) >= 3 and name not in shown  # twice the data, once the model
    assert card.data.eval_results[0].dataset_name == f"data from a folder named {name}"
    assert card.data.eval_results[0].dataset_type == name


def test_words():
    assert [language_name(code) for code in ("en", "pt-BR", "zh_CN", "tlh")] == [
        "English",
        "Portuguese",
        "Chinese",
        "tlh",
    ]
    assert [describe_seconds(seconds) for seconds in (12.4, 100, 4000, 7200, 200_000)] == [
        *("12 seconds", "1.7 minutes", "66.7 minutes", "2.0 hours", "2.3 days")
    ]
    assert describe_search({"num_beams": 1, "length_penalty": 0.6}) == "greedy search"
    assert describe_search({"num_beams": 5, "length_penalty_type": "power", "length_penalty": None}) == (
        "5 beams, length penalty 1 (a power of the length)"
    )
    sitting = {"device_type": "cpu", "devices": {"A processor": 2}, "machines": 1, "processes": 2, "cores": 4}
    assert describe_hardware(sitting | {"mixed_precision": "no"}) == "A processor, 4 cores, 2 processes, float32"
