"""LoRA by PEFT: adapters on our projections are trained, saved, loaded, merged, and travel as any model's."""

import json

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSeq2SeqLM,
    BitsAndBytesConfig,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    pipeline,
)

ATTENTION = ["q_proj", "k_proj", "v_proj", "out_proj"]
SOURCES, TARGETS = ["The cat sleeps.", "The mat"], ["Die Katze schläft.", "Die Matte"]


def trained(model, modules, published, folder) -> PeftModel:
    """Returns the model with adapters on `modules`, after a few updates of Seq2SeqTrainer, which saves to `folder`."""
    config = LoraConfig(task_type="SEQ_2_SEQ_LM", r=2, lora_alpha=8, target_modules=modules)
    adapted = get_peft_model(model, config)
    pairs = Dataset.from_dict(published.tokenizer(SOURCES * 2, text_target=TARGETS * 2))
    arguments = Seq2SeqTrainingArguments(
        str(folder), max_steps=3, learning_rate=0.05, use_cpu=True, report_to="none", save_strategy="no"
    )
    collator = DataCollatorForSeq2Seq(published.tokenizer, adapted)
    trainer = Seq2SeqTrainer(adapted, arguments, collator, pairs, processing_class=published.tokenizer)
    trainer.train()
    trainer.save_model(str(folder))
    return adapted.eval()


@pytest.fixture(scope="module")
def adapted(published, tmp_path_factory) -> PeftModel:
    folder = tmp_path_factory.mktemp("adapter")
    model = AutoModelForSeq2SeqLM.from_pretrained(published.folder)
    return trained(model, ATTENTION, published, folder), folder


def outputs(model, published) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the model's logits of a batch, and what it writes for it."""
    source = published.tokenizer(SOURCES, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**source, decoder_input_ids=torch.tensor([[2, 5, 9, 11], [2, 7, 8, 30]])).logits
    return logits, model.generate(**source)


def assert_same(model, other, published):
    for ours, theirs in zip(outputs(model, published), outputs(other, published), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_adapters_stand_on_every_projection_and_training_changes_the_model(adapted, published):
    model, folder = adapted
    config = model.config
    named = [name for name, module in model.named_modules() if hasattr(module, "lora_A")]
    assert len(named) == 4 * (config.encoder_layers + 2 * config.decoder_layers)
    assert {name.rsplit(".")[-1] for name in named} == set(ATTENTION)
    assert json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    with model.disable_adapter():
        torch.testing.assert_close(outputs(model, published)[0], outputs(published.model, published)[0])
    assert (outputs(model, published)[0] - outputs(published.model, published)[0]).abs().max() > 0.1


def test_saved_adapters_are_loaded_onto_the_model_that_they_were_made_of(adapted, published):
    model, folder = adapted
    assert not list(folder.glob("model*.safetensors"))
    again = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(published.folder), folder)
    assert_same(again.eval(), model, published)


def test_merged_adapters_are_saved_as_a_model_with_its_code(adapted, published, tmp_path):
    model, folder = adapted
    again = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(published.folder), folder)
    again.merge_and_unload().save_pretrained(tmp_path)
    published.tokenizer.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in published.folder.iterdir()}
    assert_same(AutoModelForSeq2SeqLM.from_pretrained(tmp_path), model, published)
    texts = published.tokenizer.batch_decode(outputs(model, published)[1], skip_special_tokens=True)
    found = pipeline("translation", str(tmp_path))(SOURCES, batch_size=2)
    assert [translation["translation_text"] for translation in found] == texts


def test_every_linear_layer_can_be_asked_for_at_once(published, tmp_path):
    model = trained(AutoModelForSeq2SeqLM.from_pretrained(published.folder), "all-linear", published, tmp_path)
    named = {name.rsplit(".")[-1] for name, module in model.named_modules() if hasattr(module, "lora_A")}
    assert named == {*ATTENTION, "fc1", "fc2"}


def test_adapters_are_trained_on_8_bit_weights(published, tmp_path):
    model = AutoModelForSeq2SeqLM.from_pretrained(
        published.folder, quantization_config=BitsAndBytesConfig(load_in_8bit=True), dtype=torch.float32
    )
    model = trained(model, ATTENTION, published, tmp_path)
    projection = model.base_model.model.model.encoder.layers[0].self_attn.q_proj
    assert projection.base_layer.weight.dtype == torch.int8
    assert projection.lora_B["default"].weight.abs().max() > 0
