# Copyright (2026) The vanilla-transformer authors. Licensed under the Apache License, Version 2.0.
"""`pipeline("translation", ...)`, which transformers 4 had and transformers 5 dropped, for any model of `generate`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers.pipelines.base import Pipeline


class VanillaTransformerTranslationPipeline(Pipeline):
    """
    Translates text.

        >>> from transformers import pipeline
        >>> translator = pipeline("translation", "your-name/your-model", trust_remote_code=True)
        >>> translator("The old farmer closed the door.")
        [{'translation_text': 'Der alte Bauer schloss die Tür.'}]

    What it is made or called with beside `batch_size` (1 by default), `truncation` and `return_scores` goes to
    `model.generate`: `num_beams`, `length_penalty`, `num_return_sequences`, `max_new_tokens` and so on.
    """

    _load_tokenizer = True
    _load_processor = _load_image_processor = _load_video_processor = _load_feature_extractor = False

    def __init__(self, model, *args: Any, **kwargs: Any):
        # On the way here, `pipeline` puts classes where the configuration had names: no JSON could be made of them.
        for task in getattr(model.config, "custom_pipelines", {}).values():
            task["pt"] = [getattr(auto_class, "__name__", auto_class) for auto_class in task["pt"]]
        super().__init__(model, *args, **kwargs)

    def __call__(self, inputs: Any, **kwargs: Any) -> Iterable:
        """
        Translates `inputs`:

        - a string: returns a list of its translations, each `{"translation_text": ...}`;
        - a list or another sequence of strings, such as a column of a data set: returns a list of such dicts, or with
          `num_return_sequences` above 1 a list of such lists;
        - a generator or anything else to iterate over, or a `torch.utils.data.Dataset` such as transformers'
          `KeyDataset`: returns something to iterate over, such a list for each text, that holds one batch at a time.

        Args:
            batch_size (`int`, *optional*): how many texts the model translates at once.
            truncation (`bool`, defaults to `False`): whether a text of more tokens than the tokenizer's
                `model_max_length` is cut there. If not, it is translated whole, with a warning; a model with learned
                positions refuses one that is beyond them.
            return_scores (`bool`, defaults to `False`): whether each dict also has a `"score"`, the log-probability
                over the length penalty, by which beam search ranks.

        A text of blanks alone has empty translations.

        Raises:
            ValueError: an input is no string, or one that UTF-8 cannot hold; scores are wanted without beam search; or
                what `generate` raises.
        """
        if isinstance(inputs, str | bytes | Mapping | Dataset) or not isinstance(inputs, Iterable):
            return super().__call__(inputs, **kwargs)
        if not isinstance(inputs, Sequence):
            return super().__call__((text for text in inputs), **kwargs)
        translations = super().__call__(list(inputs), **kwargs) if len(inputs) else []
        if all(len(best) == 1 for best in translations):
            return [best[0] for best in translations]
        return translations

    def _sanitize_parameters(
        self, truncation: bool | None = None, return_scores: bool | None = None, **generate_arguments: Any
    ) -> tuple[dict, dict, dict]:
        if return_scores is not None:
            generate_arguments["return_scores"] = return_scores
        return {} if truncation is None else {"truncation": truncation}, generate_arguments, {}

    def preprocess(self, text: str, truncation: bool = False) -> dict[str, torch.Tensor]:
        """Returns the tokens of `text` and their mask, both (1, length), and whether it `is_blank` (1,)."""
        if not isinstance(text, str):
            raise ValueError(
                f"The pipeline translates strings, and {repr(text)[:80]} is of type {type(text).__name__}. Give a "
                f"string, a list of strings, or of a data set the column that holds the text."
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:  # half a character of UTF-16, as what cannot be decoded may leave it
            raise ValueError(
                f"{repr(text)[:80]} is no text at its character {error.start + 1}, which UTF-8 cannot hold. Decode it "
                f"as what it is encoded in, or replace what is no character."
            ) from None
        encoded = self.tokenizer(text, truncation=truncation, return_tensors="pt")
        return {**encoded, "is_blank": torch.tensor([not text.strip()])}

    def _forward(
        self, model_inputs: dict[str, torch.Tensor], return_scores: bool = False, **generate_arguments: Any
    ) -> dict[str, torch.Tensor]:
        """Returns `sequences` (sentences, translations, length), and if wanted `scores` (sentences, translations)."""
        is_blank = model_inputs.pop("is_blank")
        if return_scores:
            generate_arguments["return_dict_in_generate"] = True
        generated = self.model.generate(**model_inputs, **generate_arguments)
        if return_scores and getattr(generated, "sequences_scores", None) is None:
            # transformers' own search has them beside those of all words only, which ours spares.
            generated = self.model.generate(**model_inputs, **generate_arguments | {"output_scores": True})
        sequences = generated if isinstance(generated, torch.Tensor) else generated.sequences
        outputs = {"sequences": sequences.unflatten(0, (len(is_blank), -1)), "is_blank": is_blank}
        if return_scores:
            if getattr(generated, "sequences_scores", None) is None:
                raise ValueError("return_scores=True: only beam search has scores. Give num_beams above 1 as well.")
            outputs["scores"] = generated.sequences_scores.view(len(is_blank), -1)
        return outputs

    def postprocess(self, model_outputs: dict[str, torch.Tensor]) -> list[dict[str, Any]]:
        """Returns the translations of one text, best first."""
        is_blank = model_outputs["is_blank"].item()
        texts = self.tokenizer.batch_decode(model_outputs["sequences"][0], skip_special_tokens=True)
        translations = [{"translation_text": "" if is_blank else text} for text in texts]
        if "scores" in model_outputs:
            for translation, score in zip(translations, model_outputs["scores"][0].tolist(), strict=True):
                translation["score"] = 0.0 if is_blank else score
        return translations


__all__ = ["VanillaTransformerTranslationPipeline"]
