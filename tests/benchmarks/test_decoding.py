"""What the benchmark of decoding compares is what each engine does, in its turn and in a process of its own."""

import pytest
import torch

from tests.benchmarks.decoding import in_order, take_turns
from tests.benchmarks.decoding_peers import EngineProcess, Setting, make_ours
from tests.training.models import save, small_model
from tests.training.text import sentences


def test_engines_take_turns_and_give_all_translations_in_the_order_of_the_work():
    calls = []

    class Copier:
        def __init__(self, name: str, seconds: float):
            self.name, self.seconds = name, seconds

        def translate(self, batch, beams, limit):
            calls.append((self.name, len(batch), limit))
            return self.seconds, batch

    engines = [Copier("small", 0.5), Copier("large", 2.0)]
    texts = [[number] * (1 + number % 5) for number in range(10)]
    work = in_order(texts, None, 7)
    done = take_turns(engines, work, {"small": 2, "large": 5}, beams=4)
    assert [len(sentence) for sentence in work.sentences] == sorted(len(text) for text in texts)
    assert [texts[place] for place in work.places] == work.sentences
    for each, batches, seconds in zip(done, (5, 2), (0.5, 2.0), strict=True):
        assert each.translations == work.sentences
        assert each.seconds == [seconds] * batches
        assert each.speed() == pytest.approx(30 / (batches * seconds))
    # The one that is behind goes next, and the longest sentences first.
    assert [name for name, *_ in calls] == ["small", "large", "small", "small", "large", "small", "small"]
    assert calls[0] == ("small", 2, 5 + 7) and calls[-1] == ("small", 2, 1 + 7)


def test_an_engine_translates_in_a_process_of_its_own_whose_end_is_said(tmp_path):
    save(small_model(sentences(30, seed=5)[0]), tmp_path / "model")
    setting = Setting(tmp_path / "model", tmp_path / "converted", "cpu", threads=1)
    batch = [[5, 6, 7, 1], [8, 9, 1]]
    here = make_ours("ours float32", setting, torch.float32)
    expected = here.tokens(here.run(here.prepare(batch), 2, 10))
    with EngineProcess("ours float32", setting, processor_seconds=False) as engine:
        seconds, translations = engine.translate(batch, 2, 10)
        assert translations == expected and seconds > 0
        engine._process.kill()
        engine._process.join()
        with pytest.raises(SystemExit, match="ours float32 has ended"):
            engine.translate(batch, 2, 10)
