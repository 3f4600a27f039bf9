"""BLEU, chrF and TER by sacreBLEU, each with its signature, and whether the difference of two systems is chance."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest

from training.recipe import TrainingError

METRICS = ("bleu", "chrf", "ter")
# BLEU on text that is tokenised already is another measure than BLEU on text as a reader sees it, some points apart.
# It has a name of its own everywhere, so that the two never stand in one column.
TOKENISED_BLEU = "tokenised_bleu"
NAMES = {"bleu": "BLEU", TOKENISED_BLEU: "tokenised BLEU", "chrf": "chrF", "ter": "TER"}


class MetricError(TrainingError):
    """A metric that cannot be computed; the message names the option and the fix."""


def make_metrics(
    names: Iterable[str], references: Sequence[Sequence[str]], *, tokenize: str = "13a", lowercase: bool = False
) -> dict[str, Metric]:
    """sacreBLEU's metrics, ready to score translations against these references.

    Args:
        names: of `METRICS`; BLEU with `tokenize="none"` is called `tokenised_bleu` in what is returned.
        references: one list of sentences, or several of the same length for several references a sentence.
        tokenize: sacreBLEU's tokenisation for BLEU; "none" for text that is tokenised already.
        lowercase: BLEU and chrF without regard to case. TER never regards it, which is sacreBLEU's default.

    Raises:
        MetricError: a tokenisation that sacreBLEU doesn't know, or that needs what isn't installed.
    """
    metrics: dict[str, Metric] = {}
    for name in names:
        if name == "bleu":
            tokenised = tokenize == "none"
            try:
                # force: text that is said to be tokenised needs no warning that it looks so
                metric = BLEU(tokenize=tokenize, lowercase=lowercase, references=references, force=tokenised)
            except Exception as error:  # ImportError, RuntimeError, or whatever a download raises
                raise MetricError(
                    f"--tokenize {tokenize} does not work here: {' '.join(str(error).split())} Or choose another."
                ) from error
            metrics[TOKENISED_BLEU if tokenised else name] = metric
        elif name == "chrf":
            metrics[name] = CHRF(lowercase=lowercase, references=references)
        elif name == "ter":
            metrics[name] = TER(references=references)
        else:
            raise MetricError(f"there is no metric '{name}'; choose from {', '.join(METRICS)}")
    return metrics


def corpus_scores(hypotheses: Sequence[str], metrics: Mapping[str, Metric]) -> dict[str, dict[str, Any]]:
    """For each metric `score` (0 to 100; TER may be more, and less is better) and `signature`; BLEU's parts as well.

    Args:
        hypotheses: a translation for each sentence of the references.
        metrics: as `make_metrics` gives them.
    """
    scores: dict[str, dict[str, Any]] = {}
    for name, metric in metrics.items():
        score = metric.corpus_score(hypotheses, None)
        scores[name] = {"score": score.score, "signature": str(metric.get_signature())}
        if isinstance(metric, BLEU):
            scores[name] |= {
                "precisions": score.precisions,
                "brevity_penalty": score.bp,
                "system_length": score.sys_len,
                "reference_length": score.ref_len,
            }
    return scores


@dataclass(frozen=True)
class Resampled:
    """One system's score by one metric over many resamplings of the test set."""

    mean: float
    interval: float
    """Half the width of the 95% confidence interval around `mean`."""
    p_value: float | None
    """How probable a difference to the first system as large as this one is by chance; None for the first itself."""
    signature: str


def paired_bootstrap(
    systems: Sequence[Sequence[str]], metrics: Mapping[str, Metric], resamples: int = 1000
) -> dict[str, list[Resampled]]:
    """Paired bootstrap resampling (Koehn, 2004) of each system against the first, by sacreBLEU.

    The seed is sacreBLEU's, 12345 unless the environment variable SACREBLEU_SEED says otherwise, and stands in the
    signature.

    Args:
        systems: the translations of each, in the order of the references.
        metrics: as `make_metrics` gives them.
        resamples: how many test sets are drawn, with replacement, from the sentences of this one.

    Returns:
        For each metric a `Resampled` for each system.
    """
    named = [(str(number), list(hypotheses)) for number, hypotheses in enumerate(systems)]
    results = {}
    logger = logging.getLogger("sacrebleu")
    level = logger.level
    logger.setLevel(logging.WARNING)  # it tells its every step
    try:
        for name, metric in metrics.items():
            signatures, columns = PairedTest(named, {name: metric}, None, test_type="bs", n_samples=resamples)()
            ((label, signature),) = signatures.items()
            first, *_ = columns[label]
            results[name] = [
                # sacreBLEU gives two systems without any difference the smallest p-value there is.
                Resampled(
                    float(result.mean),
                    float(result.ci),
                    None if result is first else 1.0 if result.score == first.score else result.p_value,
                    str(signature),
                )
                for result in columns[label]
            ]
    finally:
        logger.setLevel(level)
    return results
