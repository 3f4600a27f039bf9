"""The command serves a page here or publishes a Space, and says in one line what is in its way."""

import json
import socket
import sys
import urllib.request
from pathlib import Path

import gradio
import pytest
from huggingface_hub import HfApi, SpaceCard

from hub_card.space import __main__ as command
from hub_card.space import app
from hub_card.upload import HubError
from tests.hub_server import HubServer
from tests.training.models import save, small_model
from training.recipe import TrainingError

CARD = "---\nwidget:\n- text: Is it late?\n- example_title: without a text\n- text: It is.\n---\n# A model\n"
CONFIG = b'{"model_type": "vanilla_transformer"}'
SPACE = "tester/translate"


@pytest.fixture
def api(hub) -> HfApi:
    hub.add("tester/model", {"config.json": CONFIG, "README.md": CARD.encode()})
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run with a model."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    return save(small_model(["the old dog", "der alte Hund"]), run / "model")


def publish(api: HfApi, *arguments: str) -> str:
    return command.publish_space(command.make_parser().parse_args(["--repo", "translate", *arguments]), api)


def published(hub: HubServer) -> dict[str, bytes]:
    files = hub.files(SPACE, repo_type="space")
    return {path: content for path, content in files.items() if path != ".gitattributes"}


def commits(hub: HubServer) -> list[str]:
    return [commit.title for commit in hub.commits(SPACE, repo_type="space")]


# ---- publishing ----


def test_a_space_is_published_in_one_commit(hub, api, tmp_path):
    (tmp_path / "examples.txt").write_text("Es regnet.\n\n  Schön!  \n", encoding="utf-8")
    address = publish(api, "tester/model", "--revision", "main", "--examples", str(tmp_path / "examples.txt"))
    assert address == f"{hub.url}/spaces/{SPACE}"
    assert commits(hub) == ["Publish the Space", "initial commit"]
    files = published(hub)
    assert sorted(files) == ["README.md", "app.py", "requirements.txt", "space.json"]
    assert files["app.py"] == Path(app.__file__).read_bytes()
    about = {"model": "tester/model", "revision": "main", "examples": ["Es regnet.", "Schön!"]}
    assert json.loads(files["space.json"]) == about
    card = SpaceCard(files["README.md"].decode()).data
    assert (card.sdk, card.sdk_version, card.app_file) == ("gradio", gradio.__version__, "app.py")
    assert card.python_version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert card.models == ["tester/model"] and len(card.short_description) <= 60


def test_examples_are_those_of_the_models_card(hub, api):
    publish(api, "tester/model")
    assert json.loads(published(hub)["space.json"])["examples"] == ["Is it late?", "It is."]


@pytest.mark.parametrize(
    ("head", "examples"),
    [
        ("widget: [a string, {text: 7}, {text: [It is.]}, {text: It is.}]", ["It is."]),
        ("widget: a string", []),
        ("widget: 7", None),
        ("widget: [a: b: c", None),
        ("- a list", None),
        ("model-index: 7", None),
        ("license: \udcff", None),
    ],
)
def test_a_card_of_another_kind_gives_the_examples_that_it_has(head, examples, tmp_path, capsys):
    (tmp_path / "README.md").write_bytes(f"---\n{head}\n---\n# A model\n".encode(errors="surrogateescape"))
    assert command.examples_of(None, tmp_path) == (examples or [])
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == (examples is None) and all("README.md: no examples are read" in line for line in warnings)


def test_a_private_model_needs_a_token_which_is_said(hub, api, capsys):
    publish(api, "tester/model")
    assert "private" not in capsys.readouterr().err
    api.create_repo("tester/secret", private=True)
    hub.add("tester/secret", {"config.json": CONFIG})
    address = publish(api, "tester/secret")
    assert f"tester/secret is private: in {address}/settings, give" in capsys.readouterr().err


def test_what_is_unchanged_is_not_published_again(hub, api):
    publish(api, "tester/model")
    publish(api, "tester/model")
    assert len(commits(hub)) == 2
    publish(api, "tester/model", "--revision", "main")
    assert len(commits(hub)) == 3


@pytest.mark.parametrize("fault", ["fail", "cut_request"])
def test_an_upload_that_fails_changes_nothing_and_succeeds_when_repeated(hub, api, fault):
    publish(api, "tester/model")
    before = published(hub)
    getattr(hub.faults, fault)("commit")
    with pytest.raises(HubError) as error:
        publish(api, "tester/model", "--revision", "main")
    assert "\n" not in str(error.value)
    assert published(hub) == before and len(commits(hub)) == 2
    publish(api, "tester/model", "--revision", "main")
    assert published(hub) != before and len(commits(hub)) == 3


def test_a_token_that_may_not_write_is_an_error(hub, api):
    with pytest.raises(HubError, match="this token may not write"):
        publish(HfApi(endpoint=hub.url, token=hub.read_token), "tester/model")
    hub.faults.refuse_token()
    with pytest.raises(HubError, match="the Hub refuses the token"):
        publish(api, "tester/model")
    assert commits(hub) == []


def test_another_space_is_not_overwritten(hub, api):
    hub.add(SPACE, {"app.py": b"print('of somebody else')"}, repo_type="space")
    with pytest.raises(HubError, match="taken by another Space"):
        publish(api, "tester/model")
    assert published(hub) == {"app.py": b"print('of somebody else')"}


def test_a_public_space_where_a_private_one_is_wanted(hub, api):
    publish(api, "tester/model")
    with pytest.raises(HubError, match=f"--private: {SPACE} exists and is public"):
        publish(api, "tester/model", "--revision", "main", "--private")
    assert len(commits(hub)) == 2
    api.delete_repo(SPACE, repo_type="space")
    for _ in range(2):
        publish(api, "tester/model", "--private")
    assert api.repo_info(SPACE, repo_type="space").private


def test_files_of_others_in_the_space_stay(hub, api):
    publish(api, "tester/model")
    hub.add(SPACE, {"notes.txt": b"mine"}, repo_type="space")
    publish(api, "tester/model", "--revision", "main")
    assert published(hub)["notes.txt"] == b"mine"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("tester/nothing", "tester/nothing is no folder here, and on the Hub: .* is not there"),
        ("tester/other", "the model_type is marian"),
        ("tester/data", "config.json is missing"),
        ("a/folder/that/is/missing", "neither a folder with a model nor a name on the Hub"),
    ],
)
def test_a_model_that_a_space_could_not_load_is_an_error(hub, api, model, message):
    hub.add("tester/other", {"config.json": b'{"model_type": "marian"}'})
    hub.add("tester/data", {"README.md": b"# Data"})
    with pytest.raises(TrainingError, match=message):
        publish(api, model)
    assert commits(hub) == []


# ---- the command line ----


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["MODEL", "--repo", "name"], 2, "a Space loads its model from the Hub by name, and this is a folder"),
        (["RUN"], 1, "the model of this run is"),
        (["MODEL", "--examples", "nowhere.txt"], 2, "--examples nowhere.txt: it cannot be read"),
        (["MODEL", "--examples", "empty.txt"], 2, "--examples empty.txt: no sentence in it"),
        (["MODEL", "--port", "0"], 2, "0 is out of range"),
        (["MODEL", "--port", "65536"], 2, "65536 is out of range"),
        (["MODEL", "--port", "TAKEN"], 2, "no page can be served there"),
    ],
)
def test_errors_are_one_line(folder, tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stand_ins = {"MODEL": str(folder), "RUN": str(folder.parent), "TAKEN": str(taken.getsockname()[1])}
        with pytest.raises(SystemExit) as ended:
            command.main([stand_ins.get(argument, argument) for argument in arguments])
    assert ended.value.code == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


def test_the_page_is_served_here(folder, tmp_path, monkeypatch):
    pages = []

    def launch(page, **options):
        pages.append(page)
        app.launch(page, prevent_thread_lock=True, quiet=True, **options)

    monkeypatch.setattr(command, "launch", launch)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command.main([str(folder), "--port", str(port)])
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/config") as answer:
            config = json.load(answer)
    finally:
        pages[0].close()
    assert config["title"] == "tiny"  # the run's name, not "model"
    assert config["analytics_enabled"] is False
