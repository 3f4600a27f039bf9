"""A saved folder is loaded onto devices, in precisions, from shards and by revision as any other model's is."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer


@pytest.fixture(scope="module")
def folder(small_model, tmp_path_factory):
    """A folder with a tiny model in single precision."""
    place = tmp_path_factory.mktemp("loading")
    small_model(torch.float32).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def logits(small_model, batch) -> torch.Tensor:
    with torch.no_grad():
        return small_model(torch.float32)(**batch.inputs).logits


def assert_same(model, logits, batch):
    with torch.no_grad():
        torch.testing.assert_close(model(**batch.inputs).logits, logits)


@pytest.mark.parametrize("device_map", ["auto", "balanced", "cpu", {"": "cpu"}])
def test_a_device_map_places_the_model(device_map, folder, logits, batch):
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, device_map=device_map)
    assert model.device.type == "cpu"
    assert_same(model, logits, batch)


def test_layers_that_do_not_fit_into_memory_wait_on_the_disk(folder, logits, batch, small_model, tmp_path):
    places = {name: "cpu" for name in ("model.encoder", "model.decoder.embed_tokens", "lm_head")}
    places |= {"model.decoder.embed_positions": "cpu", "model.decoder.layers.0": "cpu"}
    places["model.decoder.layers.1"] = "disk"
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, device_map=places, offload_folder=tmp_path)
    assert {name for name, weight in model.named_parameters() if weight.is_meta} == {
        name for name, _ in model.named_parameters() if name.startswith("model.decoder.layers.1.")
    }
    assert_same(model, logits, batch)
    source = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    search = dict(num_beams=3, max_new_tokens=5)
    assert torch.equal(model.generate(**source, **search), small_model(torch.float32).generate(**source, **search))


def test_device_map_auto_never_splits_a_layer(folder, logits, batch, tmp_path):
    model = AutoModelForSeq2SeqLM.from_pretrained(
        folder, device_map="auto", max_memory={"cpu": "15KB"}, offload_folder=tmp_path
    )
    assert set(model.hf_device_map.values()) == {"cpu", "disk"}
    depths = [name.split(".layers.")[1].count(".") for name in model.hf_device_map if ".layers." in name]
    assert depths and not any(depths)
    assert_same(model, logits, batch)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32", "float64"])
def test_the_precision_is_chosen_by_name(name, folder, batch):
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=name)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, name)}
    assert model(**batch.inputs).logits.dtype == getattr(torch, name)


def test_a_folder_in_half_precision_is_loaded_as_it_is(small_model, batch, tmp_path):
    model = small_model(torch.bfloat16)
    model.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert again.dtype == torch.bfloat16
    with torch.no_grad():
        assert torch.equal(again(**batch.inputs).logits, model(**batch.inputs).logits)


def test_a_folder_in_shards_is_loaded_whole(small_model, logits, batch, tmp_path):
    small_model(torch.float32).save_pretrained(tmp_path, max_shard_size="5KB")
    shards = list(tmp_path.glob("model-*-of-*.safetensors"))
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(shards) > 3 and set(index["weight_map"].values()) == {shard.name for shard in shards}
    assert_same(AutoModelForSeq2SeqLM.from_pretrained(tmp_path), logits, batch)


@pytest.mark.parametrize("implementation, other", [("eager", "sdpa"), ("sdpa", "eager")])
def test_the_attention_is_chosen_by_name_on_loading_and_later(implementation, other, folder, logits, batch):
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation=implementation)
    attention = model.model.decoder.layers[0].self_attn
    assert attention.config._attn_implementation == implementation
    assert_same(model, logits, batch)
    model.set_attn_implementation(other)
    assert attention.config._attn_implementation == other
    assert_same(model, logits, batch)


def test_a_revision_is_the_one_asked_for(published, small_model, tmp_path, monkeypatch):
    """In the Hub's cache as a download leaves it: two commits, one of which bears a tag, the other is the newest."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--somebody--tiny"
    commits = {"main": "a" * 40, "v1": "b" * 40}
    (repository / "refs").mkdir(parents=True)
    for seed, (name, commit) in enumerate(commits.items()):
        shutil.copytree(published.folder, repository / "snapshots" / commit)
        small_model(seed=seed, vocab_size=len(published.tokenizer)).save_pretrained(repository / "snapshots" / commit)
        (repository / "refs" / name).write_text(commit)
    where = dict(cache_dir=tmp_path, local_files_only=True)
    for seed, revision in enumerate(["main", "v1", "b" * 40]):
        model = AutoModelForSeq2SeqLM.from_pretrained("somebody/tiny", revision=revision, **where)
        expected = small_model(seed=min(seed, 1), vocab_size=len(published.tokenizer))
        assert torch.equal(model.lm_head.weight, expected.lm_head.weight)
        assert AutoConfig.from_pretrained("somebody/tiny", revision=revision, **where).d_model == 12
        tokenizer = AutoTokenizer.from_pretrained("somebody/tiny", revision=revision, **where)
        assert tokenizer("Die Matte")["input_ids"] == published.tokenizer("Die Matte")["input_ids"]
    with pytest.raises(OSError):
        AutoModelForSeq2SeqLM.from_pretrained("somebody/tiny", revision="v2", **where)
