"""Two processes that share a model's weights by the plans in its configuration compute what one process does."""

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor
from transformers import AutoModelForSeq2SeqLM
from transformers.distributed import DistributedConfig

from modeling_vanilla_transformer import VanillaTransformerModel, paper_generation_config
from tests.processes import in_two_processes


def share(place: Path, folders: list[str]) -> None:
    """What each of the processes does: by every way of sharing the models of `folders`, it computes and reports."""
    os.chdir(place)
    inputs, found = load_file("inputs"), {}
    labels = inputs.pop("labels")
    ways: dict[str, dict] = dict(tensor=dict(tp_size=2, tp_plan="auto"), fsdp=dict(fsdp_size=2))
    for folder, way in [(folder, way) for folder in folders for way in ways]:
        config = DistributedConfig(**ways[way])
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, distributed_config=config)
        with torch.no_grad():
            here = dict(logits=model(**inputs).logits.tolist())
        if way == "tensor":
            source = dict(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
            here["tokens"] = model.generate(**source).tolist()
        loss = model(**inputs, labels=labels).loss
        loss.backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        here["shared"] = [name for name, gradient in gradients.items() if isinstance(gradient, DTensor)]
        whole = [each.full_tensor() if isinstance(each, DTensor) else each for each in gradients.values()]
        here |= dict(loss=loss.item(), gradients=dict(zip(gradients, [each.tolist() for each in whole], strict=True)))
        found[f"{folder}-{way}"] = here
        model.save_pretrained(f"{folder}-{way}")
        torch.distributed.barrier()
    if torch.distributed.get_rank() == 0:
        Path("report").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def processes(small_model, batch, tmp_path_factory) -> SimpleNamespace:
    """Two models that one process computes, and what two processes that share them find."""
    place = tmp_path_factory.mktemp("shared")
    models = {}
    for name, tied in (("tied", True), ("untied", False)):
        sizes = dict(vocab_size=20, d_model=16, encoder_attention_heads=4, decoder_attention_heads=4, d_k=3, d_v=5)
        model = models[name] = small_model(torch.float32, tie_word_embeddings=tied, **sizes)
        model.generation_config = paper_generation_config(model.config, max_length_offset=4)
        model.save_pretrained(place / name)
    labels = torch.tensor([[8, 4, 10, 1, -100, -100, -100], [11, 3, 17, 5, 5, 9, 1], [1] + [-100] * 6])
    save_file(batch.inputs | dict(labels=labels), place / "inputs")
    done = in_two_processes(lambda: share(place, [*models]), place)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((place / "report").read_text())
    return SimpleNamespace(place=place, models=models, labels=labels, found=found)


@pytest.fixture(params=["tied", "untied"])
def name(request) -> str:
    return request.param


@pytest.mark.parametrize("way", ["tensor", "fsdp"])
def test_logits_loss_and_gradients_are_those_of_one_process(name, way, processes, batch):
    model, found = processes.models[name], processes.found[f"{name}-{way}"]
    model.zero_grad()
    outputs = model(**batch.inputs, labels=processes.labels)
    outputs.loss.backward()
    torch.testing.assert_close(torch.tensor(found["logits"]), outputs.logits, rtol=1e-4, atol=1e-4)
    assert found["loss"] == pytest.approx(outputs.loss.item(), rel=1e-5)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert gradients.keys() == found["gradients"].keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(torch.tensor(found["gradients"][parameter]), gradient, rtol=1e-3, atol=1e-4)


def test_the_search_writes_the_same_words_with_shared_heads(name, processes, batch):
    source = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    assert processes.found[f"{name}-tensor"]["tokens"] == processes.models[name].generate(**source).tolist()


def test_what_is_shared_is_what_the_plans_say(name, processes):
    parameters = {name for name, _ in processes.models[name].named_parameters()}
    assert set(processes.found[f"{name}-fsdp"]["shared"]) == parameters
    alone = {name for name in parameters if "layer_norm" in name}
    added_once = {name for name in parameters if name.endswith("fc2.bias")}
    assert set(processes.found[f"{name}-tensor"]["shared"]) | added_once == parameters - alone


@pytest.mark.parametrize("way", ["tensor", "fsdp"])
def test_a_shared_model_is_saved_whole(name, way, processes):
    again = AutoModelForSeq2SeqLM.from_pretrained(processes.place / f"{name}-{way}").state_dict()
    for parameter, weight in processes.models[name].state_dict().items():
        assert torch.equal(again[parameter], weight), parameter


@pytest.mark.parametrize("plan", ["base_model_tp_plan", "base_model_fsdp_plan"])
def test_every_line_of_a_plan_names_modules_of_the_model(plan, small_config):
    names = [name for name, _ in VanillaTransformerModel(small_config()).named_modules()]
    for pattern in getattr(small_config(), plan):
        pattern = re.escape(pattern).replace(r"\*", r"\d+")
        assert pattern == "embed_tokens" or any(re.fullmatch(pattern, name) for name in names), pattern
