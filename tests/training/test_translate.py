"""The translating command: a line for a line, in order, whatever happens in between."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import end_of, in_two_processes, start
from tests.training.models import save, small_model
from tests.training.text import sentences, write_lines
from training import translate as command
from training.alignment import align
from training.translate import main
from training.translation import Translator

REPOSITORY = Path(__file__).parents[2]
SOURCE, TARGET = sentences(30, seed=5)
# What must not shift the lines after it: nothing at all, blanks, separators that end no line, a special token's name.
SOURCE[3:7] = ["", " \t ", "one\u2028two\x85\x0b\x0cthree", "red </s> blue"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """in.txt, a model and one with learned positions."""
    folder = tmp_path_factory.mktemp("translate")
    write_lines(folder / "in.txt", SOURCE)
    save(small_model(SOURCE + TARGET), folder / "model")
    keys = {"position_embedding_type": "learned", "max_position_embeddings": 24}
    save(small_model(SOURCE + TARGET, **keys), folder / "learned")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The translations of in.txt."""
    return translations(folder / "model", SOURCE)


def translations(model, lines, best=1, **keys):
    model, tokenizer = command.read_model(model)
    search = command.search_of(model)
    search.num_return_sequences = best
    found = Translator(model, tokenizer, search, batch_tokens=10_000, **keys)(lines)
    return [line[0].text for line in found] if best == 1 and not keys else found


def run(*arguments):
    main([str(argument) for argument in arguments])


def in_a_child(*arguments, **streams) -> int:
    """The command in a process that shares what is imported already; returns its number."""
    return start(lambda: run(*arguments), **streams)


def in_the_shell(*arguments, **keys):
    """Python in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "ACCELERATE_USE_CPU": "true"}
    line = [sys.executable, *map(str, arguments)]
    return subprocess.run(line, cwd=REPOSITORY, env=environment, capture_output=True, timeout=240, **keys)


class Conversation:
    """The command on pipes, a line in, a line out."""

    def __init__(self, *arguments):
        (reader, self.input), (self.output, writer), (self.errors, errors) = (os.pipe() for _ in range(3))
        self.child = in_a_child(*arguments, stdin=reader, stdout=writer, stderr=errors)
        for descriptor in (reader, writer, errors):
            os.close(descriptor)

    def answer(self, line):
        """Waits for ever where none comes."""
        os.write(self.input, line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += os.read(self.output, 1)
        return answer.decode()[:-1]

    def end(self):
        """What it left to say on both streams, and its code."""
        os.close(self.input)
        found = []
        for descriptor in (self.output, self.errors):
            with os.fdopen(descriptor, "rb") as file:
                found.append(file.read())
        return *found, end_of(self.child)


def refusal(capsys, *arguments, code=2):
    """The one line that a command ends with."""
    capsys.readouterr()  # what came before
    with pytest.raises(SystemExit) as exit:
        run(*arguments)
    error = capsys.readouterr().err
    assert exit.value.code == code
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


def lines_of(path):
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    return content.decode().split("\n")[:-1]


def test_a_line_for_a_line_in_their_order(folder, expected, tmp_path, capfdbinary):
    run(folder / "model", "--input", folder / "in.txt", "--output", tmp_path / "out", "--window", "7")
    assert lines_of(tmp_path / "out") == expected
    assert [number for number, line in enumerate(expected) if not line][:2] == [3, 4]
    run(folder / "model", "--input", folder / "in.txt", "--batch_tokens", "20")
    shown = capfdbinary.readouterr()
    assert shown.out == (tmp_path / "out").read_bytes() and shown.err == b""
    (tmp_path / "empty").touch()
    run(folder / "model", "--input", tmp_path / "empty", "--output", tmp_path / "nothing")
    assert (tmp_path / "nothing").read_bytes() == b""
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty", "nothing", "out"]


def test_n_best_scores_and_alignments(folder, tmp_path, capsys):
    model, source = folder / "model", ["--input", folder / "in.txt"]
    best = translations(model, SOURCE, 2, scores=True, alignments=True)

    def pharaoh(translation):
        return " ".join(f"{source}-{target}" for source, target in translation.links)

    run(model, *source, "--n_best", "2", "--alignments")
    assert capsys.readouterr().out.split("\n")[:-1] == [
        f"{number} ||| {one.text} ||| {one.score:.4f} ||| {pharaoh(one)}"
        for number, line in enumerate(best)
        for one in line
    ]
    run(model, *source, "--alignments")
    assert capsys.readouterr().out.split("\n")[:-1] == [f"{line[0].text} ||| {pharaoh(line[0])}" for line in best]
    run(model, *source, "--scores", "--num_beams", "1", "--max_length_offset", "0")
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert lines[3] == " ||| 0.0000" and float(lines[0].split(" ||| ")[1]) < 0
    (links,) = align(*command.read_model(model), SOURCE[:1], [best[0][0].text])
    assert best[0][0].links == tuple(links)


def test_settings_reach_the_search(folder, capsys, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    seen = []
    for more in ([], ["--num_beams", "4"], ["--length_penalty", "5"], ["--max_length_offset", "0"]):
        run(folder / "model", "--input", folder / "in.txt", *more)
        seen.append(capsys.readouterr().out)
    assert len(set(seen)) == 4
    other = ["--length_penalty_type", "power", "--mixed_precision", "bf16", "--cpu"]
    run(folder / "model", "--input", folder / "in.txt", *other)
    assert len(capsys.readouterr().out.split("\n")) == 31


def test_8_bit_weights_translate_nearly_alike_and_on_the_cpu_alone(folder, expected, tmp_path, capsys):
    run(folder / "model", "--input", folder / "in.txt", "--int8", "--cpu")
    found = capsys.readouterr().out.splitlines()
    assert len(found) == len(expected)
    assert sum(ours == theirs for ours, theirs in zip(found, expected, strict=True)) >= len(expected) // 2
    with pytest.raises(SystemExit):
        run(folder / "model", "--input", folder / "in.txt", "--int8", "--mixed_precision", "bf16")
    assert "--int8" in capsys.readouterr().err


def test_long_lines_are_taken_apart_and_counted(folder, tmp_path, capsys):
    long = write_lines(
        tmp_path / "in", ["One cat. Two dogs. Three.", "one", "one two three four five six seven eight"]
    )
    run(folder / "model", "--input", long, "--max_source_length", "12")
    shown = capsys.readouterr()
    sentences = translations(folder / "model", ["One cat.", "Two dogs.", "Three."])
    whole = translations(folder / "model", lines_of(long)[1:])
    assert shown.out.split("\n")[:-1] == [" ".join(sentences), *whole]
    assert "more than 12 tokens: 1 translated in pieces, 1 with a sentence longer than that" in shown.err
    # Learned positions: 24, of which 4 are for what a translation has more than its source.
    run(folder / "learned", "--input", long)
    assert "more than 20 tokens: 1 translated in pieces, 0 with" in capsys.readouterr().err
    error = refusal(capsys, folder / "learned", "--input", long, "--max_length_offset", "50")
    assert "learned positions for 24 tokens, too few" in error


# ---------------------------------------------------------------------------------------------------------------------
# Standard input and output


def test_standard_input_and_output(folder, expected):
    with (folder / "in.txt").open() as source:
        done = in_the_shell("-m", "training.translate", folder / "model", "--progress", stdin=source)
    assert done.returncode == 0 and done.stdout.decode().split("\n")[:-1] == expected
    assert b"30/30" in done.stderr and b"translated 30 lines in" in done.stderr


def test_line_by_line_every_line_is_answered_before_the_next(folder, expected):
    talk = Conversation(folder / "model", "--line_by_line")
    for number in (0, 3, 5, 9):
        assert talk.answer(SOURCE[number]) == expected[number]
    os.write(talk.input, b"bad \xff\n")
    out, errors, code = talk.end()
    assert (out, code) == (b"", 2)
    assert errors.startswith(b"error: standard input: line 5, byte 5 is not UTF-8 (0xff)")


def test_interrupted_it_ends_with_the_signals_code(folder):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and would hand that on
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        talk = Conversation(folder / "model", "--line_by_line")
        talk.answer("one")
        time.sleep(0.3)
        os.kill(talk.child, number)  # while it waits for the next line
        _, errors, code = talk.end()
        assert code == expected
        assert errors == b"error: interrupted; 1 lines were translated and written before\n"


def test_a_reader_who_leaves_ends_it_quietly(folder):
    talk = Conversation(folder / "model", "--line_by_line")
    talk.answer("one")
    os.close(talk.output)
    talk.output = os.open(os.devnull, os.O_RDONLY)
    os.write(talk.input, b"two\n")
    assert talk.end() == (b"", b"", 141)


def test_a_full_disk_is_no_error_of_the_input(folder):
    full, (reader, errors) = os.open("/dev/full", os.O_WRONLY), os.pipe()
    child = in_a_child(folder / "model", "--input", folder / "in.txt", stdout=full, stderr=errors)
    os.close(errors)
    with os.fdopen(reader) as said:
        assert said.read().startswith("error: standard output cannot be written ([Errno 28] No space left on device)")
    assert end_of(child) == 1
    os.close(full)


# ---------------------------------------------------------------------------------------------------------------------
# Going on


def test_killed_at_random_moments_every_line_is_there_once_and_in_order(folder, tmp_path):
    lines = [f"{line[:4]} {number % 71}" for number, line in enumerate(sentences(2000, seed=1)[0])]
    source = write_lines(tmp_path / "in", lines)
    quick = [folder / "model", "--input", source, "--num_beams", "1", "--max_length_offset", "0", "--window", "50"]
    run(*quick, "--output", tmp_path / "whole")
    assert len(lines_of(tmp_path / "whole")) == 2000
    chooser, grown = random.Random(2), tmp_path / "killed.unfinished"
    for _ in range(7):
        before = grown.stat().st_size if grown.exists() else 0
        child = in_a_child(*quick, "--output", tmp_path / "killed", "--resume", "auto")
        wanted = before + chooser.randrange(2000)  # bytes, of some 40,000
        while not (grown.exists() and grown.stat().st_size > wanted):
            time.sleep(0.01)
        time.sleep(chooser.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        assert end_of(child) == -signal.SIGKILL
    run(*quick, "--output", tmp_path / "killed", "--resume", "auto")
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "killed", "whole"]


def test_stopped_it_goes_on_with_the_same_text_model_and_settings_only(
    folder, expected, tmp_path, capsys, monkeypatch
):
    out, source = tmp_path / "out", write_lines(tmp_path / "in", SOURCE)
    go = ["--input", source, "--output", out, "--window", "8", "--resume", "auto"]
    translate, calls = Translator.__call__, []

    def interrupted(self, lines, advance):
        calls.append(lines)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return translate(self, lines, advance)

    with monkeypatch.context() as patch:
        patch.setattr(Translator, "__call__", interrupted)
        error = refusal(capsys, folder / "model", *go, code=143)
    assert "the translations of the first 16 lines are safe; go on with --resume auto" in error
    assert lines_of(tmp_path / "out.unfinished") == expected[:16]

    assert "holds a translation that was begun" in refusal(capsys, folder / "model", *go[:-2])
    assert "num_beams was 2 and is 1" in refusal(capsys, folder / "model", *go, "--num_beams", "1")
    assert "--n_best was None and is 1" in refusal(capsys, folder / "model", *go, "--n_best", "1")
    assert "the model's model.safetensors was" in refusal(capsys, folder / "learned", *go)
    write_lines(source, ["another", *SOURCE[1:]])
    assert f"{source}: the first 16 lines are not those" in refusal(capsys, folder / "model", *go)
    write_lines(source, SOURCE)
    run(folder / "model", *go, "--batch_tokens", "50")  # what changes no translation may change
    assert lines_of(out) == expected
    assert f"{out} exists" in refusal(capsys, folder / "model", *go)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(folder, tmp_path):
    options = ["--n_best", "2", "--alignments", "--window", "9"]
    done = in_two_processes(lambda: run(folder / "model", *options, "--input", folder / "in.txt"), tmp_path)
    assert done.returncode == 0, done.stderr
    run(folder / "model", *options, "--input", folder / "in.txt", "--output", tmp_path / "one")
    one, two = (
        [line.split(" ||| ") for line in text.split("\n")[:-1]]
        for text in ((tmp_path / "one").read_text(), done.stdout)
    )
    for fields in (*one, *two):
        fields[-2] = pytest.approx(float(fields[-2]), abs=2e-4)  # one rounds up, the other down
    assert one == two and len(one) == 60


# ---------------------------------------------------------------------------------------------------------------------
# Errors


def test_wrong_input_ends_in_one_line(folder, tmp_path, capsys):
    model, source = folder / "model", ["--input", folder / "in.txt"]
    bad = tmp_path / "bad"
    bad.write_bytes(b"one\ntwo \xe4\n")
    out = ["--output", tmp_path / "out"]
    for arguments, message in (
        ([], "the following arguments are required: MODEL"),
        ([tmp_path / "no", *source], "no is neither a saved model's folder nor a model on the Hub"),
        ([model, "--input", tmp_path / "no"], f"{tmp_path / 'no'}: no such file"),
        ([model, "--input", bad, *out], f"{bad}: line 2, byte 5 is not UTF-8 (0xe4)"),
        ([model, *source, "--output", folder / "in.txt", "--overwrite"], "is what is to be translated"),
        ([model, *source, "--output", bad], f"{bad} exists; name another file, or replace it with --overwrite"),
        ([model, *source, "--output", tmp_path / "no" / "out"], "cannot be written"),
        ([model, *source, "--output", os.devnull, "--overwrite"], "is no file that can be replaced"),
        ([model, *source, "--resume", "auto"], "name a file with --output"),
        ([model, *source, *out, "--n_best", "3"], "the search has 2 beams only; give --num_beams 3"),
        ([model, *source, *out, "--num_beams", "0"], "0 is out of range"),
        ([model, *source, *out, "--max_source_length", "3"], "3 is out of range; give 8 or more"),
        ([model, *source, *out, "--length_penalty_type", "x"], "invalid choice: 'x'"),
        ([model, *source, *out, "--mixed_precision", "fp16"], "fp16 needs an accelerator"),
        ([model, *source, *out, "--window", "5", "--line_by_line"], "contradict"),
    ):
        assert message in refusal(capsys, *arguments), arguments
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad"]


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--help"])
    assert exit.value.code == 0
    shown = capsys.readouterr().out
    assert all(
        option in shown for option in ("--n_best", "--alignments", "--resume", "--max_source_length", "||| score")
    )
