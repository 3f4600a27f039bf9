"""Corpus BLEU by sacreBLEU, as an `evaluate` module that loads without network: `evaluate.load("training/bleu")`."""

import datasets
import evaluate
import sacrebleu

_DESCRIPTION = "Corpus BLEU (Papineni et al., 2002) as sacreBLEU (Post, 2018) computes it, with its signature."

_CITATION = """\
@inproceedings{post-2018-call,
    title = "A Call for Clarity in Reporting {BLEU} Scores",
    author = "Post, Matt",
    booktitle = "Proceedings of the Third Conference on Machine Translation: Research Papers",
    year = "2018",
    pages = "186--191",
}
"""

_INPUTS = """\
Args:
    predictions: translations, a text each, as a reader would see them (not tokenised).
    references: for each translation one reference, or a list of references of the same number everywhere.
    lowercase: compare without regard to case.
    tokenize: sacreBLEU's tokenisation: "13a" (the default), "intl", "zh", "char", "none" for text tokenised already.
    smooth_method: sacreBLEU's smoothing: "exp" (the default), "floor", "add-k" or "none".
Returns:
    bleu (0 to 100), signature, precisions of the four orders, brevity_penalty, system_length, reference_length.
"""


class Bleu(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=[
                datasets.Features({"predictions": text, "references": text}),
                datasets.Features({"predictions": text, "references": datasets.Sequence(text)}),
            ],
            codebase_urls=["https://github.com/mjpost/sacrebleu"],
        )

    def _compute(self, predictions, references, lowercase=False, tokenize="13a", smooth_method="exp"):
        if isinstance(references[0], str):
            streams = [list(references)]
        else:
            if len({len(several) for several in references}) != 1:
                raise ValueError("every translation needs the same number of references")
            streams = [list(stream) for stream in zip(*references, strict=True)]
        metric = sacrebleu.metrics.BLEU(lowercase=lowercase, tokenize=tokenize, smooth_method=smooth_method)
        score = metric.corpus_score(list(predictions), streams)
        return {
            "bleu": score.score,
            "signature": str(metric.get_signature()),
            "precisions": score.precisions,
            "brevity_penalty": score.bp,
            "system_length": score.sys_len,
            "reference_length": score.ref_len,
        }
