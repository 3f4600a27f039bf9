"""Translations of the test set to show: some as they come, and the worst, so that a reader sees the limits."""

from dataclasses import dataclass

from sacrebleu.metrics import CHRF

from hub_card.run import TestSet


@dataclass(frozen=True)
class Sample:
    """A sentence of the test set, and its translation."""

    source: str
    reference: str
    hypothesis: str
    chrf: float
    """chrF of the translation by itself, 0 to 100."""


def pick_samples(test: TestSet, count: int = 5) -> tuple[list[Sample], list[Sample]]:
    """Sentences spread evenly over the test set, in its order, and those with the worst chrF, the worst first; a
    sentence that is empty on a side is neither."""
    chrf = CHRF()
    samples = [
        Sample(source, reference, hypothesis, chrf.sentence_score(hypothesis, [reference]).score)
        for source, reference, hypothesis in zip(test.sources, test.references, test.hypotheses, strict=True)
        if source.strip() and reference.strip()
    ]
    worst = sorted(samples, key=lambda sample: sample.chrf)[:count]
    others = [sample for sample in samples if sample not in worst]
    spread = [others[(2 * number + 1) * len(others) // (2 * count)] for number in range(min(count, len(others)))]
    return spread, worst
