"""Learning curves: drawn from what a run logged, refused in one line."""

import pytest

from training.curves import curves_figure, main, read_metrics
from training.recipe import make_recipe
from training.train import train


def test_curves_are_drawn(recipe_values, tmp_path):
    train(make_recipe(recipe_values | {"evaluate_bleu": True}))
    picture = (tmp_path / "run" / "curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    titles = [axis.get_title(loc="left") for axis in curves_figure(read_metrics(tmp_path / "run")).axes]
    assert titles == ["loss", "learning rate", "validation perplexity", "validation BLEU"]


def test_curves_that_cannot_be_drawn_are_one_line(tmp_path, capsys):
    for content, message in ((None, "metrics.jsonl cannot be read"), ("5\n", "is damaged"), ("{}\n", "is damaged")):
        if content:
            (tmp_path / "metrics.jsonl").write_text(content)
        with pytest.raises(SystemExit) as caught:
            main([str(tmp_path)])
        assert caught.value.code == 2 and message in capsys.readouterr().err
    (tmp_path / "metrics.jsonl").write_text('{"update": 1, "loss": 2.0}\n{"upd')  # as a kill leaves it
    main([str(tmp_path), "-o", str(tmp_path / "loss.svg")])
    assert "<svg" in (tmp_path / "loss.svg").read_text()
    with pytest.raises(SystemExit):
        main([str(tmp_path), "-o", str(tmp_path / "loss.doc")])
    assert "error: " in capsys.readouterr().err
