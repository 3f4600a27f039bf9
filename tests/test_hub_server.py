"""The Hub of the tests against the real client: what it keeps, what it refuses, and each fault it can have."""

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import HubServer

# Evaluates what it is sent, line by line, and says what came of it. Waiting between two attempts is not tested, and a
# download in small pieces has something to keep when it is cut.
CLIENT = """
import json, sys, time
from huggingface_hub import *
from huggingface_hub import constants
time.sleep = lambda seconds: None
constants.DOWNLOAD_CHUNK_SIZE = 1000
api = HfApi()
for line in sys.stdin:
    expression, values = json.loads(line)
    try:
        answer = [None, eval(expression, globals() | {name: eval(value) for name, value in values.items()})]
    except Exception as error:
        answer = [type(error).__name__, str(error)]
    print(json.dumps(answer, default=str), flush=True)
"""


class Client:
    """The real huggingface_hub in a process of its own: evaluates expressions there."""

    def __init__(self, process: subprocess.Popen):
        self.process = process

    def attempt(self, expression: str, **values: object) -> list:
        """Returns [None, what the expression makes of the values], or the name and the message of its error."""
        sent = json.dumps([expression, {name: repr(value) for name, value in values.items()}])
        self.process.stdin.write(sent + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __call__(self, expression: str, **values: object) -> object:
        """Returns the value of an expression that must succeed."""
        error, value = self.attempt(expression, **values)
        assert error is None, f"{error}: {value}"
        return value


@pytest.fixture(scope="module")
def _hub(tmp_path_factory) -> Iterator[HubServer]:
    with HubServer(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(_hub) -> Iterator[HubServer]:
    yield _hub
    _hub.faults.clear()
    _hub.page_size = 1000


@pytest.fixture(scope="module")
def client(_hub) -> Iterator[Client]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        env=_hub.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield Client(process)
        process.stdin.close()


@pytest.fixture
def repo(client, request) -> str:
    """A repository of the test's own, empty but for what the Hub puts there."""
    name = "tester/" + request.node.name.split("[")[0].removeprefix("test_")[:90]
    client("api.create_repo(name, exist_ok=True)", name=name)
    return name


@pytest.fixture
def folder(tmp_path) -> Path:
    """Text, code in a folder, and half a megabyte of bytes that are no text."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("x = 1\n")
    (tmp_path / "ä b.txt").write_text("Grüße\n", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)) * 2000)
    return tmp_path


def upload(client: Client, repo: str, folder: Path) -> None:
    client("api.upload_folder(repo_id=repo, folder_path=folder)", repo=repo, folder=str(folder))


def commit(client: Client, repo: str, files: dict[str, bytes], **keys: str) -> list:
    """Tries to commit files, and returns [None, the commit's id] or the error."""
    operations = "[CommitOperationAdd(path, content) for path, content in files]"
    expression = f"api.create_commit(repo, {operations}, commit_message='Change', **keys).oid"
    return client.attempt(expression, repo=repo, files=list(files.items()), keys=keys)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def pushed(hub: HubServer, repo: str, **keys: str) -> dict[str, bytes]:
    """What clients put into a repository."""
    return {path: content for path, content in hub.files(repo, **keys).items() if path != ".gitattributes"}


# ---- push and pull ----


def test_what_is_pushed_is_kept_and_pulled(hub, client, repo, folder):
    upload(client, repo, folder)
    assert pushed(hub, repo) == contents(folder)
    assert [commit.title for commit in hub.commits(repo)] == ["Upload folder using huggingface_hub", "initial commit"]
    pulled = client("snapshot_download(repo, ignore_patterns='.gitattributes')", repo=repo)
    assert contents(Path(pulled)) == contents(folder)


def test_what_is_unchanged_is_not_committed_again(hub, client, repo, folder):
    upload(client, repo, folder)
    upload(client, repo, folder)
    assert len(hub.commits(repo)) == 2
    (folder / "code" / "a.py").write_text("x = 2\n")
    upload(client, repo, folder)
    newest, before, _ = hub.commits(repo)
    assert {path for path in newest.files if newest.files[path] != before.files[path]} == {"code/a.py"}


def test_old_states_stay_under_their_tag_their_branch_and_their_id(hub, client, repo):
    _, first = commit(client, repo, {"a.txt": b"old"})
    client("api.create_tag(repo, tag='v1', tag_message='The first')", repo=repo)
    client("api.create_branch(repo, branch='side/line', revision=first)", repo=repo, first=first)
    commit(client, repo, {"a.txt": b"new"})
    commit(client, repo, {"b.txt": b"beside"}, revision="side/line")
    for revision, text in {"v1": "old", first: "old", first[:8]: "old", "side/line": "old", "main": "new"}.items():
        pulled = client("hf_hub_download(repo, 'a.txt', revision=revision)", repo=repo, revision=revision)
        assert Path(pulled).read_text() == text
    assert list(pushed(hub, repo, revision="side/line")) == ["a.txt", "b.txt"]
    assert hub.refs(repo).keys() == {"main", "side/line", "v1"} and hub.refs(repo)["v1"] == first
    assert client("[ref.name for ref in api.list_repo_refs(repo).branches]", repo=repo) == ["main", "side/line"]
    assert client("[ref.target_commit for ref in api.list_repo_refs(repo).tags]", repo=repo) == [first]
    titles = client("[each.title for each in api.list_repo_commits(repo, revision='v1')]", repo=repo)
    assert titles == ["Change", "initial commit"]
    assert client("api.model_info(repo, revision='v1').sha", repo=repo) == first
    client("(api.delete_tag(repo, tag='v1'), api.delete_branch(repo, branch='side/line'))", repo=repo)
    assert hub.refs(repo).keys() == {"main"}
    assert client.attempt("api.model_info(repo, revision='v1')", repo=repo)[0] == "RevisionNotFoundError"


def test_files_and_folders_are_deleted(hub, client, repo, folder):
    upload(client, repo, folder)
    client("api.delete_file('ä b.txt', repo)", repo=repo)
    client("api.delete_folder('code', repo)", repo=repo)
    assert list(pushed(hub, repo)) == ["model.safetensors"]


def test_a_commit_is_made_whole_or_not_at_all(hub, client, repo):
    operations = "[CommitOperationAdd('a.txt', b'a'), CommitOperationDelete('nothing.txt')]"
    error, message = client.attempt(f"api.create_commit(repo, {operations}, commit_message='Half')", repo=repo)
    assert error == "RemoteEntryNotFoundError" and "A file with this name doesn't exist" in message
    assert pushed(hub, repo) == {} and len(hub.commits(repo)) == 1


def test_the_tree_is_listed_by_folder_in_pages_and_with_its_commits(hub, client, repo, folder):
    upload(client, repo, folder)
    commit(client, repo, {"code/b.py": b"y = 1"})
    hub.page_size = 2
    paths = [".gitattributes", "code", "code/a.py", "code/b.py", "model.safetensors", "ä b.txt"]
    asked = len(hub.requests("tree"))
    assert client("[entry.path for entry in api.list_repo_tree(repo, recursive=True)]", repo=repo) == paths
    assert len(hub.requests("tree")) - asked == 3
    top = [path for path in paths if not path.startswith("code/")]
    assert client("[entry.path for entry in api.list_repo_tree(repo)]", repo=repo) == top
    described = "[[entry.path, entry.size, entry.last_commit.title] for entry in {}]"
    expected = [["code/a.py", 6, "Upload folder using huggingface_hub"], ["code/b.py", 5, "Change"]]
    tree, info = "api.list_repo_tree(repo, 'code', expand=True)", "api.get_paths_info(repo, paths, expand=True)"
    assert client(described.format(tree), repo=repo) == expected
    assert client(described.format(info), repo=repo, paths=["code/b.py", "nothing"]) == expected[1:]
    assert client.attempt("list(api.list_repo_tree(repo, 'nothing'))", repo=repo)[0] == "RemoteEntryNotFoundError"


def test_spaces_and_models_of_one_name_are_two(hub, client, repo):
    card = b"---\ntitle: Two\nsdk: gradio\n---\n"
    client("api.create_repo(repo, repo_type='space', space_sdk='gradio')", repo=repo)
    made = commit(client, repo, {"README.md": card}, repo_type="space")
    assert pushed(hub, repo) == {} and pushed(hub, repo, repo_type="space") == {"README.md": card}
    assert hub.commits(repo, repo_type="space")[0].oid == made[1]
    assert Path(client("hf_hub_download(repo, 'README.md', repo_type='space')", repo=repo)).read_bytes() == card
    assert client("api.space_info(repo).sdk", repo=repo) == "gradio"
    client("api.delete_repo(repo, repo_type='space')", repo=repo)
    assert client("[api.repo_exists(repo, repo_type=kind) for kind in ('model', 'space')]", repo=repo) == [True, False]


def test_the_card_is_read(client, repo):
    commit(client, repo, {"README.md": b"---\npipeline_tag: translation\ntags: [one]\nlanguage: [en, de]\n---\n"})
    assert client("api.model_info(repo).pipeline_tag", repo=repo) == "translation"
    assert client("api.model_info(repo).tags", repo=repo) == ["one"]
    assert client("api.model_info(repo).card_data.language", repo=repo) == ["en", "de"]


def test_a_second_download_transfers_nothing(hub, client, repo, folder):
    upload(client, repo, folder)
    client("snapshot_download(repo)", repo=repo)
    asked = len(hub.requests())
    client("snapshot_download(repo) and hf_hub_download(repo, 'model.safetensors')", repo=repo)
    again = hub.requests()[asked:]
    assert again and not [request for request in again if request.endpoint == "resolve" and request.sent]


def test_a_download_that_is_cut_goes_on_where_it_was(hub, client, repo, folder):
    upload(client, repo, folder)
    hub.faults.cut_response("resolve", after=1)  # after the HEAD
    asked = len(hub.requests("resolve"))
    pulled = client("hf_hub_download(repo, 'model.safetensors')", repo=repo)
    assert Path(pulled).read_bytes() == (folder / "model.safetensors").read_bytes()
    requests = hub.requests("resolve")[asked:]
    assert [(request.method, request.status) for request in requests] == [("HEAD", 200), ("GET", 200), ("GET", 206)]
    assert 512_000 <= requests[1].sent + requests[2].sent < 520_000


@pytest.mark.parametrize(
    ("headers", "status", "content", "content_range"),
    [
        ({}, 200, b"0123456789", None),
        ({"Range": "bytes=2-4"}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=7-"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=8-99"}, 206, b"89", "bytes 8-9/10"),
        ({"Range": "bytes=-3"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=10-"}, 416, None, "bytes */10"),
        ({"If-None-Match": "the file's own"}, 304, b"", None),
        ({"If-None-Match": '"another"'}, 200, b"0123456789", None),
    ],
)
def test_files_come_whole_in_part_or_not_at_all(hub, headers, status, content, content_range):
    oid = hub.add("someone/digits", {"digits.txt": b"0123456789"}).oid
    url = f"{hub.url}/someone/digits/resolve/main/digits.txt"
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as head:
        assert head.headers["X-Repo-Commit"] == oid and head.headers["Content-Length"] == "10"
        etag = head.headers["ETag"]
    headers = {name: etag if value == "the file's own" else value for name, value in headers.items()}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers))
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        assert (answer.status, answer.headers["Content-Range"]) == (status, content_range)
        assert content is None or answer.read() == content


# ---- refusals ----


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        ("api.model_info('tester/none')", "RepositoryNotFoundError", "404"),
        ("api.model_info('tester/none', token=False)", "RepositoryNotFoundError", "401"),
        ("api.model_info('none')", "RepositoryNotFoundError", "404"),
        ("hf_hub_download('someone/model', 'none.txt')", "RemoteEntryNotFoundError", "404"),
        (
            "hf_hub_download('someone/model', 'a.txt', revision='none')",
            "RevisionNotFoundError",
            "Invalid rev id: none",
        ),
        ("api.model_info('someone/model', revision='none')", "RevisionNotFoundError", "Invalid rev id: none"),
        ("api.create_repo('tester/taken')", "HfHubHTTPError", "You already created this model repo"),
        ("api.create_repo('someone/new')", "HfHubHTTPError", "403 Forbidden: You don't have the rights"),
        ("api.create_repo('tester/new', token=False)", "HfHubHTTPError", "401"),
        ("api.create_repo('tester/new', token='hf_wrong')", "HfHubHTTPError", "Invalid credentials"),
        ("api.model_info('someone/model', token='hf_wrong')", "HfHubHTTPError", "Invalid credentials"),
        ("api.whoami(token='hf_wrong')", "HfHubHTTPError", "Invalid user token"),
        ("api.create_tag('tester/taken', tag='main')", "HfHubHTTPError", "Reference already exists"),
        ("api.create_branch('tester/taken', branch='main')", "HfHubHTTPError", "Reference already exists"),
        ("api.create_branch('tester/taken', branch='b', revision='none')", "RevisionNotFoundError", "Invalid rev id"),
        ("api.delete_tag('tester/taken', tag='none')", "RevisionNotFoundError", "Invalid rev id: none"),
        ("api.delete_repo('someone/model')", "HfHubHTTPError", "403 Forbidden"),
        ("api.delete_repo('tester/none')", "RepositoryNotFoundError", "404"),
        ("api.delete_file('a.txt', 'tester/taken', revision='none')", "RevisionNotFoundError", "Invalid rev id: none"),
    ],
)
def test_errors_become_the_clients_own(hub, client, expression, error, message):
    hub.add("someone/model", {"a.txt": b"a"})
    client("api.create_repo('tester/taken', exist_ok=True)")
    found = client.attempt(expression)
    assert found[0] == error and message in found[1]


def test_a_token_that_may_only_read_reads_only(hub, client, repo):
    assert client("api.whoami(token=token)['auth']['accessToken']['role']", token=hub.read_token) == "read"
    assert client("api.model_info(repo, token=token).id", repo=repo, token=hub.read_token) == repo
    error, message = commit(client, repo, {"a.txt": b"a"}, token=hub.read_token)
    assert error == "HfHubHTTPError" and "403 Forbidden" in message and pushed(hub, repo) == {}


def test_a_private_repository_is_its_owners(client):
    client("api.create_repo('tester/private', private=True)")
    assert client("api.model_info('tester/private').private") is True
    assert client.attempt("api.model_info('tester/private', token=False)")[0] == "RepositoryNotFoundError"


CARD = "---\nlanguage: [en, de]\nlicense: apache-2.0\ntags: [translation]\n---\n# A model\n"


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("apache-2.0", "my own", '"license" must be one of'),
        ("[en, de]", "English", '"language" with value "English" is not valid'),
        ("[en, de]", "no", '"language" must be a string'),
        ("[en, de]", "[en", "YAML metadata is not valid"),
        ("tags:", "base_model: /home/me/model\ntags:", '"base_model" with value "/home/me/model" is not valid'),
        ("tags:", "datasets: [Multi 30k]\ntags:", '"datasets" with value "Multi 30k" is not valid'),
        ("tags:", "pipeline_tag: [translation]\ntags:", '"pipeline_tag" must be a string'),
        ("tags:", "model-index: none\ntags:", '"model-index" must be an array'),
        (
            "tags:",
            "model-index: [{name: m, results: [{task: {type: t}, metrics: [{type: b}]}]}]\ntags:",
            '"model-index[0].results[0].dataset.type" is required',
        ),
    ],
)
def test_a_card_with_wrong_metadata_is_refused(hub, client, repo, good, bad, message):
    commit(client, repo, {"README.md": CARD.encode()})
    error, said = commit(client, repo, {"README.md": CARD.replace(good, bad).encode()})
    assert error == "ValueError" and "Invalid metadata in README.md" in said and message in said
    assert pushed(hub, repo) == {"README.md": CARD.encode()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", '"sdk" must be one of [gradio, docker, static]'),
        ("sdk: gradio\nsdk_version: 6.0", '"sdk_version" must be a string'),
        ("sdk: gradio\ncolorFrom: brown", '"colorFrom" must be one of'),
        ("sdk: gradio\nshort_description: " + "long " * 13, "must be less than or equal to 60 characters"),
    ],
)
def test_a_space_with_wrong_settings_is_refused(hub, client, repo, settings, message):
    client("api.create_repo(repo, repo_type='space', space_sdk='gradio', exist_ok=True)", repo=repo)
    error, said = commit(client, repo, {"README.md": f"---\n{settings}\n---\n".encode()}, repo_type="space")
    assert error == "ValueError" and message in said and pushed(hub, repo, repo_type="space") == {}


def test_a_card_that_was_not_asked_about_is_refused_by_the_commit(hub, repo):
    content = base64.b64encode(b"---\nlicense: mine\n---\n").decode()
    lines = [
        {"key": "header", "value": {"summary": "Change", "description": ""}},
        {"key": "file", "value": {"path": "README.md", "content": content, "encoding": "base64"}},
    ]
    request = urllib.request.Request(
        f"{hub.url}/api/models/{repo}/commit/main",
        data="\n".join(map(json.dumps, lines)).encode(),
        headers={"Authorization": f"Bearer {hub.token}"},
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.status == 400 and '"license" must be one of' in caught.value.headers["X-Error-Message"]
    assert pushed(hub, repo) == {}


# ---- faults ----


def test_an_error_comes_after_so_many_requests_and_as_often_as_wanted(hub, client, repo):
    hub.faults.fail("info", status=501, after=1, times=2)
    found = [client.attempt("api.model_info(repo).id", repo=repo) for _ in range(4)]
    assert [error for error, _ in found] == [None, "HfHubHTTPError", "HfHubHTTPError", None]
    hub.faults.fail(status=501, after=2, times=None)
    assert commit(client, repo, {"a.txt": b"a"})[0] is None  # two requests, preupload and commit
    assert commit(client, repo, {"a.txt": b"b"})[0] == "HfHubHTTPError"
    assert client.attempt("api.whoami()")[0] == "HfHubHTTPError"
    hub.faults.clear()
    assert client("api.whoami()['name']") == "tester" and pushed(hub, repo) == {"a.txt": b"a"}


def test_an_error_of_the_server_leaves_the_old_state(hub, client, repo):
    hub.faults.fail("commit", status=500)
    error, message = commit(client, repo, {"a.txt": b"a"})
    assert error == "HfHubHTTPError" and "500" in message and "Internal Error" in message
    assert pushed(hub, repo) == {}
    assert commit(client, repo, {"a.txt": b"a"})[0] is None and pushed(hub, repo) == {"a.txt": b"a"}


def test_an_error_may_have_a_code_of_its_own(hub, client, repo):
    hub.faults.fail("info", status=403, code="GatedRepo", message="Access is restricted")
    error, message = client.attempt("api.model_info(repo)", repo=repo)
    assert error == "GatedRepoError" and "Access is restricted" in message


def test_the_client_repeats_what_is_limited(hub, client, repo):
    hub.faults.limit_rate("preupload", times=2)
    asked = len(hub.requests("preupload"))
    assert commit(client, repo, {"a.txt": b"a"})[0] is None
    assert [request.status for request in hub.requests("preupload")[asked:]] == [429, 429, 200]
    hub.faults.limit_rate("commit")
    error, message = commit(client, repo, {"a.txt": b"b"})
    assert error == "HfHubHTTPError" and "429 Too Many Requests" in message and "rate limit" in message


def test_a_connection_cut_in_the_request_leaves_the_old_state(hub, client, repo):
    hub.faults.cut_request("commit")
    assert commit(client, repo, {"a.txt": bytes(1_000_000)})[0] in ("RemoteProtocolError", "ReadError", "WriteError")
    assert pushed(hub, repo) == {} and hub.requests("commit")[-1].status == 0


def test_a_connection_cut_in_the_response_leaves_the_new_state(hub, client, repo):
    hub.faults.cut_response("commit")
    assert commit(client, repo, {"a.txt": b"a"})[0] in ("RemoteProtocolError", "ReadError")
    assert pushed(hub, repo) == {"a.txt": b"a"} and len(hub.commits(repo)) == 2


def test_a_slow_answer_comes_late_or_too_late(hub, client, repo):
    commit(client, repo, {"a.txt": b"a"})
    hub.faults.slow("info", seconds=0.3, times=1)
    start = time.monotonic()
    client("api.model_info(repo).id", repo=repo)
    assert time.monotonic() - start >= 0.3
    client("setattr(constants, 'HF_HUB_DOWNLOAD_TIMEOUT', 0.5)")
    hub.faults.slow("resolve", seconds=1, after=1, times=1)  # the client waits for half a second, and tries again
    asked = len(hub.requests("resolve"))
    assert Path(client("hf_hub_download(repo, 'a.txt')", repo=repo)).read_bytes() == b"a"
    assert [request.method for request in hub.requests("resolve")[asked:]][:3] == ["HEAD", "GET", "GET"]
    client("setattr(constants, 'HF_HUB_DOWNLOAD_TIMEOUT', 10)")


def test_another_writers_commit_is_not_overwritten(hub, client, repo):
    hub.faults.commit_between({"b.txt": b"theirs"})
    error, message = commit(client, repo, {"a.txt": b"ours"}, parent_commit=hub.commits(repo)[0].oid)
    assert error == "HfHubHTTPError" and "412" in message and "A commit has happened since" in message
    assert pushed(hub, repo) == {"b.txt": b"theirs"}
    assert commit(client, repo, {"a.txt": b"ours"}, parent_commit=hub.commits(repo)[0].oid)[0] is None
    assert pushed(hub, repo) == {"a.txt": b"ours", "b.txt": b"theirs"}


def test_a_token_that_is_refused(hub, client, repo):
    hub.faults.refuse_token()
    for expression in ("api.whoami()", "api.create_repo('tester/new')", "api.model_info(repo)"):
        error, message = client.attempt(expression, repo=repo)
        assert error == "HfHubHTTPError" and "Invalid" in message
    hub.faults.clear()
    assert client("api.whoami()['name']") == "tester"


def test_a_fault_of_no_endpoint_is_the_tests_own(hub):
    with pytest.raises(ValueError, match="no endpoint is named 'upload'; there are whoami, "):
        hub.faults.fail("upload")
