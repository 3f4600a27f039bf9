"""Trainer and Seq2SeqTrainer train, evaluate and save the model as they do any other."""

import pytest
from datasets import Dataset
from transformers import (
    AutoModelForSeq2SeqLM,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
    pipeline,
)

SOURCES, TARGETS = ["The cat sleeps.", "The mat"], ["Die Katze schläft.", "Die Matte"]


@pytest.mark.parametrize("kind", [Trainer, Seq2SeqTrainer])
def test_training_lowers_the_loss_and_every_checkpoint_is_a_whole_model(kind, published, tmp_path):
    model = AutoModelForSeq2SeqLM.from_pretrained(published.folder)
    tokenizer = published.tokenizer
    pairs = Dataset.from_dict(tokenizer(SOURCES, text_target=TARGETS))
    settings = dict(per_device_train_batch_size=1, gradient_accumulation_steps=2, gradient_checkpointing=True)
    settings |= dict(max_steps=6, learning_rate=0.01, label_smoothing_factor=0.1, save_steps=6)
    settings |= dict(use_cpu=True, report_to="none", disable_tqdm=True)
    if kind is Seq2SeqTrainer:
        arguments = Seq2SeqTrainingArguments(str(tmp_path), predict_with_generate=True, **settings)
    else:
        arguments = TrainingArguments(str(tmp_path), **settings)
    collator = DataCollatorForSeq2Seq(tokenizer, model)
    trainer = kind(model, arguments, collator, pairs, eval_dataset=pairs, processing_class=tokenizer)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    after = trainer.evaluate()["eval_loss"]
    assert after < 0.8 * before

    checkpoint = tmp_path / "checkpoint-6"
    assert {path.name for path in published.folder.iterdir()} <= {path.name for path in checkpoint.iterdir()}
    translator = pipeline("translation", str(checkpoint))
    translations = [each["translation_text"] for each in translator(SOURCES, batch_size=2)]
    if kind is Seq2SeqTrainer:
        predictions = trainer.predict(pairs).predictions
        assert tokenizer.batch_decode(predictions.clip(min=0), skip_special_tokens=True) == translations
