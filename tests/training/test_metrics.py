"""BLEU, chrF and TER as sacreBLEU computes them by itself, and bootstrap resampling that tells systems apart."""

import random

import pytest
import sacrebleu

from training.evaluation import bleu
from training.metrics import METRICS, MetricError, corpus_scores, make_metrics, paired_bootstrap

WORDS = "the a small old dog cat house door opens closes quickly and , then it sleeps".split()


def lines(count: int, seed: int) -> list[str]:
    chooser = random.Random(seed)
    return [" ".join(chooser.choices(WORDS, k=chooser.randint(5, 12))) + "." for _ in range(count)]


def damaged(sentences: list[str], share: float, seed: int) -> list[str]:
    """Sentences in which this share of the words are others."""
    chooser = random.Random(seed)
    return [
        " ".join(chooser.choice(WORDS) if chooser.random() < share else word for word in sentence.split())
        for sentence in sentences
    ]


REFERENCES = lines(60, seed=1)
GOOD, BAD = damaged(REFERENCES, 0.1, seed=2), damaged(REFERENCES, 0.5, seed=3)


def test_scores_and_signatures_are_sacrebleus_own():
    scores = corpus_scores(GOOD, make_metrics(METRICS, [REFERENCES]))
    assert scores["bleu"]["score"] == pytest.approx(sacrebleu.corpus_bleu(GOOD, [REFERENCES]).score, abs=1e-9)
    assert scores["chrf"]["score"] == pytest.approx(sacrebleu.corpus_chrf(GOOD, [REFERENCES]).score, abs=1e-9)
    assert scores["ter"]["score"] == pytest.approx(sacrebleu.corpus_ter(GOOD, [REFERENCES]).score, abs=1e-9)
    assert scores["bleu"]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert scores["chrf"]["signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert scores["ter"]["signature"].startswith("nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:")


def test_bleu_is_that_of_the_evaluate_module():
    ours = corpus_scores(GOOD, make_metrics(["bleu"], [REFERENCES], lowercase=True))["bleu"]
    module = bleu(GOOD, REFERENCES, lowercase=True)
    assert ours.pop("score") == module.pop("bleu")
    assert ours == module


def test_bleu_of_tokenised_text_has_a_name_of_its_own(caplog):
    # By hand: of "a b c d ." against "a b c d !" four of five words are right, three of four pairs and so on.
    hypotheses, references = ["a b c d ."] * 120, ["A b c d !"] * 120
    scores = corpus_scores(hypotheses, make_metrics(["bleu"], [references], tokenize="none", lowercase=True))
    assert list(scores) == ["tokenised_bleu"]
    assert scores["tokenised_bleu"]["score"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert "case:lc|eff:no|tok:none" in scores["tokenised_bleu"]["signature"]
    assert not caplog.records  # sacreBLEU's warning that the text looks tokenised


def test_several_references():
    scores = corpus_scores(["a b c d"], make_metrics(METRICS, [["a b c x"], ["a b c d"]]))
    assert scores["bleu"]["score"] == pytest.approx(100)
    assert scores["ter"]["score"] == 0
    assert all(score["signature"].startswith("nrefs:2") for score in scores.values())


def test_what_is_no_metric():
    with pytest.raises(MetricError, match="no metric 'meteor'; choose from bleu, chrf, ter"):
        make_metrics(["meteor"], [REFERENCES])
    with pytest.raises(MetricError, match="--tokenize nonsense does not work here"):
        make_metrics(["bleu"], [REFERENCES], tokenize="nonsense")


def test_bootstrap_tells_a_better_system_from_chance():
    metrics = make_metrics(METRICS, [REFERENCES])
    as_good = damaged(REFERENCES, 0.1, seed=4)
    results = paired_bootstrap([GOOD, BAD, as_good], metrics, resamples=500)
    for first, worse, similar in results.values():
        assert first.p_value is None
        assert worse.p_value < 0.01
        assert similar.p_value > 0.05
        assert abs(first.mean - similar.mean) < first.interval
        assert "bs:500|seed:12345" in first.signature
    assert results["bleu"][0].mean > results["bleu"][1].mean and results["ter"][0].mean < results["ter"][1].mean
    # The score on the test set itself lies within the interval.
    actual = corpus_scores(GOOD, metrics)["bleu"]["score"]
    assert abs(results["bleu"][0].mean - actual) < results["bleu"][0].interval


def test_identical_translations_do_not_differ():
    for result in paired_bootstrap([GOOD, list(GOOD)], make_metrics(METRICS, [REFERENCES]), resamples=200).values():
        assert result[1].p_value == 1.0
        assert result[0].mean == pytest.approx(result[1].mean)


def test_bootstrap_repeats_itself_for_a_seed(monkeypatch):
    metrics = make_metrics(["bleu"], [REFERENCES])
    first = paired_bootstrap([GOOD, BAD], metrics, resamples=100)
    assert paired_bootstrap([GOOD, BAD], metrics, resamples=100) == first
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    other = paired_bootstrap([GOOD, BAD], metrics, resamples=100)
    assert other["bleu"][0].mean != first["bleu"][0].mean
    assert "seed:7" in other["bleu"][0].signature
