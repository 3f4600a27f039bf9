"""The command that publishes: a finished run becomes a repository, or one line says why not."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard

from hub_card import publish as module
from tests.hub_card.runs import manifest, write_run
from training.checkpoints import MANIFEST, CheckpointError

ROOT = Path(__file__).parents[2]
REPO = "tester/a-model"
FILES = {
    "README.md": b"---\nlicense: mit\n---\n# A model\n",
    "config.json": b"{}",
    "modeling_vanilla_transformer.py": b"# code\n",
    "weights": b"1" * 1500,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "a-run")


@pytest.fixture
def files() -> dict[str, bytes]:
    """What is assembled, for a test to change."""
    return dict(FILES)


@pytest.fixture
def command(hub, run, files, monkeypatch, capsys):
    """Runs the command against the Hub, with a folder of few small files: `command("--tag", "v1")` returns the exit
    code and what was written to standard output and standard error."""

    def assemble(run, folder, repo, statement) -> Path:
        folder.mkdir()
        for name, content in (files | {MANIFEST: manifest(files)}).items():
            (folder / name).write_bytes(content)
        return folder

    def give(*options: str, run: Path = run, repo: str = REPO, token: str | None = hub.token, url: str = hub.url):
        capsys.readouterr()
        monkeypatch.setattr(module, "HfApi", lambda: HfApi(endpoint=url, token=token))
        try:
            module.main([str(run), "--repo", repo, *options])
        except SystemExit as ended:
            return ended.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    monkeypatch.setattr(module, "assemble", assemble)
    monkeypatch.setattr(module, "verify", lambda folder: None)
    monkeypatch.setattr(module, "set_timeout", lambda seconds: None)  # it holds for the whole process
    for name in ("hf_api", "utils._headers"):  # whoever runs the tests may be logged in
        monkeypatch.setattr(f"huggingface_hub.{name}.get_token", lambda: None)
    return give


def wrote(hub) -> bool:
    """Whether anything was asked for that writes; the check of a card's metadata doesn't."""
    asked = [request for request in hub.requests() if request not in hub.requests("validate_yaml")]
    return any(request.method not in ("GET", "HEAD") for request in asked)


def published(hub) -> dict[str, bytes]:
    own = (".gitattributes", MANIFEST)
    return {path: content for path, content in hub.files(REPO).items() if path not in own}


@pytest.mark.slow
def test_the_real_command_publishes_a_run_in_one_commit(hub, run):
    done = subprocess.run(
        [sys.executable, "-m", "hub_card.publish", str(run), "--repo", "a-model", "--tag", "v1.0", "--license", "mit"],
        cwd=ROOT,
        env=hub.environment() | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    # On CPUs with bf16 instructions bitsandbytes, if installed, misses an optional package as soon as it is imported.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Failed to load CPU gemm_4bit_forward")]
    assert (done.returncode, said) == (0, [])
    assert done.stdout.splitlines()[-1] == f"{hub.url}/{REPO}"
    files = hub.files(REPO, "v1.0")
    assert len(hub.commits(REPO)) == 2
    assert json.loads(files[MANIFEST])["files"].keys() == files.keys() - {MANIFEST, ".gitattributes"}
    kinds = {".json", ".jsonl", ".md", ".png", ".py", ".safetensors", ".txt", ".yaml"}
    assert {Path(name).suffix for name in files if name != ".gitattributes"} == kinds
    assert ModelCard(files["README.md"].decode()).data.license == "mit"
    assert REPO in files["README.md"].decode()


def test_a_dry_run_shows_everything_and_writes_nothing(command, hub):
    code, out, err = command("--dry-run", "--private")
    assert (code, err, wrote(hub)) == (0, "", False)
    assert out.splitlines() == [
        f"{REPO}, branch main, a new private repository:",
        "  new               31 bytes  README.md",
        "  new                2 bytes  config.json",
        f"  new            {len(manifest(FILES)):5} bytes  manifest.json",
        "  new                7 bytes  modeling_vanilla_transformer.py",
        "  new                 1.5 kB  weights",
        f"5 new; {(1540 + len(manifest(FILES))) / 1000:.1f} kB to upload",
        "nothing was uploaded (--dry-run)",
        f"{hub.url}/{REPO}",
    ]
    assert not hub.commits(REPO)


def test_a_dry_run_needs_no_token(command, hub):
    assert command("--dry-run", token=None)[0] == 0
    hub.add(REPO, {"notes.txt": b"by hand"})
    _, out, _ = command("--dry-run", token=None)
    assert re.search("not ours, stays +7 bytes  notes.txt", out)


def test_publishing_again_changes_what_has_changed(command, hub, files):
    assert command()[0] == 0
    code, out, _ = command()
    assert code == 0 and "nothing has changed" in out and len(hub.commits(REPO)) == 2
    files["weights"] = b"2" * 1500
    del files["config.json"]
    _, out, _ = command("--dry-run")
    assert re.search("changed +1.5 kB  weights", out) and re.search("removed +2 bytes  config.json", out)
    assert published(hub) == FILES
    code, out, _ = command()
    assert code == 0 and "2 changed, 1 removed; 1.9 kB to upload" in out
    assert published(hub) == files


def test_the_owner_of_a_bare_name_is_the_tokens(command, hub):
    code, out, _ = command(repo="a-model")
    assert code == 0 and out.endswith(f"{hub.url}/{REPO}\n") and published(hub) == FILES


def test_a_branch_and_a_tag_by_option(command, hub):
    code, out, _ = command("--revision", "trial", "--tag", "v1")
    assert code == 0 and out.endswith(f"{hub.url}/{REPO}/tree/trial\n")
    assert hub.refs(REPO)["v1"] == hub.refs(REPO)["trial"] != hub.refs(REPO)["main"]


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (
            [],
            {"repo": "no name/at all"},
            "--repo no name/at all: no name that the Hub takes .*; give NAME or OWNER/NAME",
        ),
        ([], {"token": None}, "there is no token to publish with; make a token .* or set HF_TOKEN"),
        ([], {"token": "hf_wrong"}, "the Hub refuses the token .*; make a token .* or set HF_TOKEN"),
        ([], {"repo": "somebody/model"}, "this token may not write to somebody/model .*; the name is somebody else's"),
        (
            [],
            {"url": "http://127.0.0.1:9"},
            "http://127.0.0.1:9 could not be reached, or broke off .*; check",
        ),
        ([], {"run": Path("nowhere")}, "nowhere: there is no such folder; name the output folder of a run"),
        ([], {"run": ROOT / "tests"}, "tests: no run, as it holds neither recipe.yaml nor"),
        (["--tag", "v 1"], {}, "--tag v 1: no name for it"),
        (["--revision", ""], {}, "--revision : no name for it"),
        (["--tag", "main"], {}, "--tag main: this is the branch's name; give another"),
        (["--model", "best"], {}, "--model best: .* holds 0 best models"),
        (["--data", "nowhere"], {}, "nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, changes, message, command, hub):
    code, out, err = command(*options, **changes)
    assert code == 1 and re.fullmatch(f"error: .*{message}.*\n", err), err
    assert not hub.commits(REPO) and not [request for request in hub.requests("commit")]


def test_a_run_that_has_not_finished(command, run, hub, tmp_path):
    unfinished = write_run(tmp_path / "unfinished")
    record = json.loads((unfinished / "run.json").read_text())
    (unfinished / "run.json").write_text(json.dumps({"sittings": record["sittings"]}))
    code, _, err = command(run=unfinished)
    assert code == 1 and re.fullmatch("error: .*: the run has not finished; go on with it: .*--resume auto\n", err)
    assert not wrote(hub)


def test_a_name_that_another_model_has(command, hub):
    hub.add(REPO, {"config.json": b"{}", "modeling_another.py": b""})
    code, _, err = command()
    assert (code, err) == (
        1,
        f"error: --repo {REPO}: the name is taken by a model of another kind; give another name\n",
    )
    assert not wrote(hub)


def test_a_card_that_the_hub_refuses(command, hub, files):
    files["README.md"] = b"---\nlicense: nonsense\n---\n# A model\n"
    for options in ([], ["--dry-run"]):
        code, _, err = command(*options)
        assert code == 1 and re.fullmatch('error: .* metadata of the card, README.md: "license" must be .*\n', err)
        assert not wrote(hub) and not hub.commits(REPO)


@pytest.mark.parametrize("spoil", ["cut_request", "cut_response", "limit_rate"])
def test_a_card_that_the_hub_cannot_check_now_is_in_nobodys_way(spoil, command, hub):
    getattr(hub.faults, spoil)("validate_yaml", times=None)
    assert command("--dry-run")[0] == 0
    hub.faults.clear()
    getattr(hub.faults, spoil)("validate_yaml")
    assert command()[0] == 0 and published(hub) == FILES


def test_a_public_repository_where_a_private_one_is_wanted(command, hub):
    hub.add(REPO, {"notes.txt": b"by hand"})
    for options in ([], ["--dry-run"]):
        code, _, err = command("--private", *options)
        assert code == 1 and f"error: --private: {REPO} exists and is public" in err and not wrote(hub)


def test_a_tag_that_names_something_else(command, hub, files):
    assert command("--tag", "v1")[0] == command("--tag", "v1")[0] == 0
    files["weights"] = b"2"
    for options in ([], ["--dry-run"]):
        code, _, err = command("--tag", "v1", *options)
        assert code == 1 and f"error: --tag v1: {REPO} has this tag already" in err
    assert published(hub) == FILES


def test_a_token_that_is_taken_back_meanwhile(command, hub, monkeypatch):
    monkeypatch.setattr(module, "verify", lambda folder: hub.faults.refuse_token())
    code, _, err = command()
    assert code == 1 and re.fullmatch("error: the Hub refuses the token .*\n", err)
    assert not hub.commits(REPO)
    hub.faults.clear()
    monkeypatch.setattr(module, "verify", lambda folder: None)
    assert command()[0] == 0 and published(hub) == FILES


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda faults: faults.fail("whoami", status=500, times=None), "the Hub failed"),
        (lambda faults: faults.limit_rate("whoami", times=None), "the Hub takes no more requests for now"),
        (lambda faults: faults.cut_response("whoami", times=None), "could not be reached, or broke off"),
    ],
)
def test_a_hub_that_fails_at_the_first_question(spoil, message, command, hub):
    spoil(hub.faults)
    code, _, err = command()
    assert code == 1 and re.fullmatch(f"error: .*{message}.*\n", err) and not wrote(hub)
    hub.faults.clear()
    assert command()[0] == 0 and published(hub) == FILES


@pytest.mark.parametrize("where", ["verify", "upload"])
def test_an_interruption_leaves_nothing_half_done(where, command, hub, monkeypatch, tmp_path):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, where, interrupt)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    code, _, err = command()
    assert code == 130 and err.count("\n") == 1 and err.startswith("error: interrupted")
    assert not hub.commits(REPO) and set(tmp_path.iterdir()) == before


def test_a_disk_that_is_full(command, hub, monkeypatch):
    def full(*arguments):
        raise CheckpointError("a-model could not be saved: [Errno 28] No space left on device")

    monkeypatch.setattr(module, "assemble", full)
    assert command()[::2] == (1, "error: a-model could not be saved: [Errno 28] No space left on device\n")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    code, _, err = command()
    assert code == 1 and err.count("\n") == 1 and "/nowhere" in err
    assert not wrote(hub)


def test_a_command_line_that_cannot_be_meant_has_the_code_2(capsys):
    with pytest.raises(SystemExit) as ended:
        module.main(["a-run"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: the following arguments are required: --repo")
