"""An upload is one commit or none, changes what has changed, and leaves alone what somebody else put there."""

import base64
import contextlib
import json
from pathlib import Path

import pytest
from huggingface_hub import HfApi, close_session
from huggingface_hub.hf_api import BlobLfsInfo
from huggingface_hub.utils import _http

from hub_card.upload import HubError, _is_as_written, check_reference, compare, read_remote, set_timeout, upload
from tests.hub_card.runs import manifest, sha256
from tests.hub_server import HubServer
from training.checkpoints import MANIFEST

REPO = "tester/model"
FILES = {"config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n# A model\n", "figures/a.png": b"\x89PNG a"}


@contextlib.contextmanager
def impatience(monkeypatch):
    """Inside, a Hub that is silent for half a second has not answered."""
    with monkeypatch.context() as patch:
        patch.setattr(_http, "_GLOBAL_CLIENT_FACTORY", _http._GLOBAL_CLIENT_FACTORY)  # as it is afterwards
        set_timeout(0.5)
        yield
    close_session()


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "assembled", FILES)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files and their manifest, and nothing else."""
    for file in folder.rglob("*") if folder.exists() else ():
        if file.is_file():
            file.unlink()
    for name, content in (files | {MANIFEST: manifest(files)}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def published(hub: HubServer, revision: str = "main", repo: str = REPO) -> dict[str, bytes]:
    """What a repository holds, but for the Hub's own file and the manifest."""
    own = (".gitattributes", MANIFEST)
    return {path: content for path, content in hub.files(repo, revision).items() if path not in own}


def committed(hub: HubServer) -> set[tuple[str, str]]:
    """What the last commit did: the paths, each with "file" or "deletedFile"."""
    lines = [json.loads(line) for line in hub.requests("commit")[-1].body.splitlines()]
    return {(line["key"], line["value"]["path"]) for line in lines if line["key"] != "header"}


def state(hub: HubServer) -> dict[str, bytes]:
    return published(hub) if hub.commits(REPO) else {}


def send(api: HfApi, folder: Path, branch: str = "main", **options) -> str:
    return upload(api, folder, read_remote(api, REPO, branch), **options)


def test_a_new_repository_gets_everything_in_one_commit(hub, api, folder):
    commit = send(api, folder)
    assert published(hub) == FILES
    assert [each.oid for each in hub.commits(REPO)][0] == commit and len(hub.commits(REPO)) == 2
    assert hub.commits(REPO)[0].title == "Publish: 4 new"
    assert ".gitattributes" in hub.files(REPO)


def test_uploading_the_same_again_asks_for_nothing_that_writes(hub, api, folder):
    first = send(api, folder)
    before = len(hub.requests())
    assert send(api, folder) == first
    assert {request.method for request in hub.requests()[before:]} <= {"GET", "HEAD"}
    assert not compare(folder, read_remote(api, REPO))


def test_only_what_changed_is_sent_and_what_vanished_is_removed(hub, api, folder):
    send(api, folder)
    changed = {
        "config.json": b"{}",
        "README.md": b"---\nlicense: mit\n---\n# Another\n",
        "figures/b.png": b"\x89PNG b",
    }
    write(folder, changed)
    changes = compare(folder, read_remote(api, REPO))
    assert (changes.new, changes.changed) == (["figures/b.png"], ["README.md", MANIFEST])
    assert (changes.removed, changes.unchanged, changes.foreign) == (["figures/a.png"], ["config.json"], [])
    assert str(changes) == "1 new, 2 changed, 1 removed"
    send(api, folder)
    assert published(hub) == changed
    assert committed(hub) == {
        *(("file", path) for path in ("README.md", MANIFEST, "figures/b.png")),
        ("deletedFile", "figures/a.png"),
    }


def test_what_somebody_else_put_there_stays_and_is_named(hub, api, folder):
    hub.add(REPO, {"figures/photo.jpg": b"by hand"})
    send(api, folder)
    hub.add(REPO, {"notes.txt": b"by hand"})
    write(folder, {"config.json": b"{}"})
    assert compare(folder, read_remote(api, REPO)).foreign == ["figures/photo.jpg", "notes.txt"]
    send(api, folder)
    assert published(hub) == {"config.json": b"{}", "figures/photo.jpg": b"by hand", "notes.txt": b"by hand"}


NOTES = {"notes.txt": b"by hand"}


@pytest.mark.parametrize(
    "theirs",
    [
        b'["a list"]',
        b'{"files": ["notes.txt"]}',
        b'{"files": "notes.txt"}',
        b'{"files": {"notes.txt": "a text"}}',
        manifest(NOTES, sha256="of another kind"),
        manifest(NOTES, sha256=7),
        manifest(NOTES, type="text/plain"),
    ],
)
def test_a_manifest_that_is_not_ours_claims_nothing(theirs, hub, api, folder):
    hub.add(REPO, NOTES | {MANIFEST: theirs})
    assert read_remote(api, REPO).ours == frozenset()
    send(api, folder)
    assert published(hub) == FILES | NOTES


def test_a_file_of_ours_that_somebody_changed_stays(hub, api, folder):
    send(api, folder)
    hub.add(REPO, {"figures/a.png": b"a longer picture"})
    write(folder, {"config.json": b"{}"})
    changes = compare(folder, read_remote(api, REPO))
    assert (changes.removed, changes.foreign) == (["README.md"], ["figures/a.png"])
    there = read_remote(api, REPO).files["README.md"]
    entry = {"bytes": there.size, "sha256": sha256(FILES["README.md"])}
    assert _is_as_written(there, entry)
    for content in (FILES["README.md"], b"another"):
        there.lfs = BlobLfsInfo(size=there.size, sha256=sha256(content), pointer_size=130)
        assert _is_as_written(there, entry) == (content == FILES["README.md"])


def test_content_in_large_file_storage_is_compared_by_its_sha256(api, hub, folder):
    send(api, folder)
    remote = read_remote(api, REPO)
    for name, content in FILES.items():
        pointer = {"size": len(content), "oid": sha256(content), "pointerSize": 130}
        remote.files[name] = type(remote.files[name])(path=name, size=len(content), oid="0" * 40, lfs=pointer)
    assert not compare(folder, remote)
    (folder / "config.json").write_bytes(b"[]")
    assert compare(folder, remote).changed == ["config.json"]


def test_a_large_listing_comes_in_pages(hub, api, folder):
    hub.page_size = 2
    send(api, folder)
    assert not compare(folder, read_remote(api, REPO))


def test_private_is_for_a_new_repository(hub, api, folder):
    send(api, folder, private=True)
    assert read_remote(api, REPO).private
    assert not read_remote(HfApi(endpoint=hub.url, token=False), REPO).exists
    send(api, folder, private=True)
    hub.add("tester/open", {})
    with pytest.raises(HubError, match="--private: tester/open exists and is public"):
        upload(api, folder, read_remote(api, "tester/open"), private=True)
    assert published(hub, repo="tester/open") == {}


def test_a_branch_is_made_and_main_stays_as_it_is(hub, api, folder):
    send(api, folder)
    write(folder, {"config.json": b"[1]"})
    assert compare(folder, read_remote(api, REPO, "trial")).changed == ["config.json", MANIFEST]
    commit = send(api, folder, "trial")
    assert published(hub) == FILES and published(hub, "trial") == {"config.json": b"[1]"}
    assert hub.refs(REPO)["trial"] == commit
    assert send(api, folder, "trial") == commit


def test_a_branch_in_a_new_repository(hub, api, folder):
    send(api, folder, "trial")
    assert published(hub) == {} and published(hub, "trial") == FILES


def test_a_tag_names_the_commit_and_stays(hub, api, folder):
    first = send(api, folder, tag="v1.0")
    assert hub.refs(REPO)["v1.0"] == first
    assert send(api, folder, tag="v1.0") == first  # nothing has changed: it is there already
    assert send(api, folder, tag="v1.1") == first  # a second name
    write(folder, {"config.json": b"[2]"})
    with pytest.raises(HubError, match=f"--tag v1.0: {REPO} has this tag already, for the commit {first[:7]}"):
        send(api, folder, tag="v1.0")
    assert published(hub) == FILES
    with pytest.raises(HubError, match="--revision v1.0: this is a tag"):
        read_remote(api, REPO, "v1.0")
    second = send(api, folder, tag="v2.0")
    assert hub.refs(REPO) == {"main": second, "v1.0": first, "v1.1": first, "v2.0": second}


def test_a_tag_that_cannot_be_set_is_set_when_the_command_is_repeated(hub, api, folder):
    hub.faults.fail("tag", status=503)
    with pytest.raises(
        HubError, match="the files are on the Hub, in the commit .*, but without the tag v1: the Hub failed"
    ):
        send(api, folder, tag="v1")
    assert published(hub) == FILES
    assert hub.refs(REPO)["main"] == send(api, folder, tag="v1") == hub.refs(REPO)["v1"]
    assert len(hub.commits(REPO)) == 2


@pytest.mark.parametrize("name", ["v1.0", "2026-11-23", "trial/one", "a+b", "_x"])
def test_a_name_for_a_branch_or_tag(name):
    check_reference("--tag", name)


@pytest.mark.parametrize("name", ["", "v 1", "-v", "a..b", "a//b", "a/", ".a", "a.lock", "a:b", "a~1", "a^", "*"])
def test_no_name_for_a_branch_or_tag(name):
    with pytest.raises(HubError, match="--tag .*: no name for it"):
        check_reference("--tag", name)


# ---------------------------------------------------------------------------------------------------------------------
# Others at the same time


def test_a_commit_that_comes_between_is_kept(hub, api, folder):
    send(api, folder)
    write(folder, FILES | {"config.json": b"[1]"})
    hub.faults.commit_between({"notes.txt": b"theirs", "README.md": b"# Theirs\n"})
    send(api, folder)
    assert published(hub) == FILES | {"config.json": b"[1]", "notes.txt": b"theirs"}
    assert [commit.title for commit in hub.commits(REPO)][:2] == ["Publish: 3 changed", "Another writer's commit"]


def test_a_branch_that_never_rests_is_left_alone(hub, api, folder):
    send(api, folder)
    write(folder, {"config.json": b"[1]"})
    hub.faults.commit_between({"notes.txt": b"theirs"}, times=None)
    with pytest.raises(HubError, match="changed by somebody else again and again"):
        send(api, folder)
    assert published(hub) == FILES | {"notes.txt": b"theirs"}
    hub.faults.clear()
    send(api, folder)
    assert published(hub) == {"config.json": b"[1]", "notes.txt": b"theirs"}


def test_an_answer_that_is_lost_is_no_failure(hub, api, folder):
    hub.faults.cut_response("commit")
    commit = send(api, folder)
    assert published(hub) == FILES and hub.commits(REPO)[0].oid == commit
    assert len(hub.requests("commit")) == 1


def test_where_the_hub_is_gone_after_the_commit_the_message_says_what_is_not_known(hub, api, folder):
    hub.faults.cut_response("commit")
    remote = read_remote(api, REPO)
    hub.faults.fail("info", status=503, times=None, after=1)  # the one after making the repository passes
    with pytest.raises(HubError, match="either all of it or nothing, but cannot be asked; publish again"):
        upload(api, folder, remote)
    hub.faults.clear()
    assert published(hub) == FILES
    assert send(api, folder) == hub.commits(REPO)[0].oid


# ---------------------------------------------------------------------------------------------------------------------
# Faults


WRITES = ("create", "validate_yaml", "preupload", "commit")
READS = ("info", "refs", "tree", "resolve")
KINDS = {
    "server error": lambda faults, endpoint: faults.fail(endpoint, status=500, times=None),
    "not allowed": lambda faults, endpoint: faults.fail(endpoint, status=403, message="Forbidden", times=None),
    "too many requests": lambda faults, endpoint: faults.limit_rate(endpoint, times=None),
    "cut request": lambda faults, endpoint: faults.cut_request(endpoint, times=None),
    "cut answer": lambda faults, endpoint: faults.cut_response(endpoint, times=None),
}
MESSAGES = {
    "server error": "the Hub failed",
    "not allowed": "this token may not write to tester/model",
    "too many requests": "the Hub takes no more requests for now",
    "cut request": "could not be reached, or broke off",
    "cut answer": "could not be reached, or broke off",
}


@pytest.fixture
def states(hub, api, folder, request):
    """What the repository holds before and after the upload of a folder that differs from what was uploaded before; of
    a new repository where the endpoint is the one that makes it."""
    if "create" in request.node.name:
        return {}, FILES
    send(api, folder)
    after = FILES | {"README.md": b"---\nlicense: mit\n---\n# Another\n", "weights": b"1" * 2000}
    write(folder, after)
    return FILES, after


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("endpoint", WRITES)
def test_a_fault_while_writing_leaves_all_as_it_was_and_the_next_upload_succeeds(
    kind, endpoint, states, hub, api, folder
):
    before, after = states
    KINDS[kind](hub.faults, endpoint)
    if (endpoint, kind) == ("commit", "cut answer"):  # the commit has arrived
        send(api, folder)
    else:
        with pytest.raises(HubError, match=MESSAGES[kind]) as error:
            send(api, folder)
        assert "\n" not in str(error.value) and hub.token not in str(error.value)
        assert state(hub) == before
    hub.faults.clear()
    send(api, folder)
    assert state(hub) == after


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("endpoint", ["branch", "tag"])
def test_a_fault_while_naming_leaves_main_as_it_was_and_the_next_upload_succeeds(kind, endpoint, hub, api, folder):
    send(api, folder)
    write(folder, {"config.json": b"[1]"})
    KINDS[kind](hub.faults, endpoint)
    with pytest.raises(HubError, match=MESSAGES[kind]) as error:
        send(api, folder, "trial", tag="v1")
    assert "\n" not in str(error.value) and published(hub) == FILES
    if "trial" in hub.refs(REPO):
        assert published(hub, "trial") in (FILES, {"config.json": b"[1]"})
    hub.faults.clear()
    commit = send(api, folder, "trial", tag="v1")
    assert published(hub, "trial") == {"config.json": b"[1]"} and published(hub) == FILES
    assert hub.refs(REPO)["trial"] == hub.refs(REPO)["v1"] == commit


@pytest.mark.parametrize("endpoint", WRITES)
def test_silence_while_writing_leaves_old_or_new_and_the_next_upload_succeeds(
    endpoint, states, hub, api, folder, monkeypatch
):
    hub.faults.slow(endpoint, seconds=0.8)
    with (
        impatience(monkeypatch),
        pytest.raises(HubError, match="did not answer in time; try again"),
    ):
        send(api, folder)
    assert state(hub) in states
    hub.faults.clear()
    send(api, folder)
    assert state(hub) == states[1]


@pytest.mark.parametrize("kind", ["server error", "cut answer"])
@pytest.mark.parametrize("endpoint", READS)
def test_a_fault_while_reading_changes_nothing(kind, endpoint, hub, api, folder):
    send(api, folder)
    KINDS[kind](hub.faults, endpoint)
    with pytest.raises(HubError, match=MESSAGES[kind]) as error:
        send(api, folder)
    assert "\n" not in str(error.value)
    assert len(hub.requests("commit")) == 1 and published(hub) == FILES


@pytest.mark.parametrize("endpoint", READS)
def test_silence_while_reading_ends(endpoint, hub, api, folder, monkeypatch):
    send(api, folder)
    hub.faults.slow(endpoint, seconds=0.8)
    with impatience(monkeypatch), pytest.raises(HubError, match="did not answer in time"):
        send(api, folder)


@pytest.mark.parametrize("after", range(9))
def test_a_hub_that_fails_after_any_number_of_requests(after, hub, api, folder):
    hub.faults.fail(status=500, after=after, times=None)
    try:
        send(api, folder)
    except HubError as error:
        assert "the Hub failed" in str(error)
        assert state(hub) in ({}, FILES)
    else:
        assert state(hub) == FILES
    hub.faults.clear()
    send(api, folder)
    assert state(hub) == FILES


def test_a_repository_that_was_made_in_vain_is_named(hub, api, folder):
    hub.faults.fail("commit", status=500)
    with pytest.raises(HubError, match="so far tester/model is as it was; the new repository tester/model was made"):
        send(api, folder, "trial")
    assert published(hub) == published(hub, "trial") == {}


@pytest.mark.parametrize(
    ("repo", "token", "message"),
    [
        ("tester/model", "hf_wrong", "the Hub refuses the token"),
        ("tester/model", "read", "this token may not write to tester/model"),
        ("somebody/model", "write", "this token may not write to somebody/model"),
        ("somebody/theirs", "write", "this token may not write to somebody/theirs"),
    ],
)
def test_who_may_not_write_is_told_so(repo, token, message, hub, folder):
    hub.add("somebody/theirs", {"notes.txt": b"theirs"})
    token = {"read": hub.read_token, "write": hub.token}.get(token, token)
    api = HfApi(endpoint=hub.url, token=token)
    with pytest.raises(HubError, match=message):
        upload(api, folder, read_remote(api, repo))
    assert published(hub, repo="somebody/theirs") == {"notes.txt": b"theirs"}
    assert not hub.commits(REPO)


def test_a_gated_repository_is_named_as_such(hub, api, folder):
    send(api, folder)
    message = "Access to this model is restricted"
    hub.faults.fail("resolve", status=403, code="GatedRepo", message=message, times=None)
    with pytest.raises(HubError, match="tester/model is gated, and this token has no access"):
        send(api, folder)


def test_no_network_is_one_line():
    api = HfApi(endpoint="http://127.0.0.1:9", token="hf_any")
    with pytest.raises(HubError, match="http://127.0.0.1:9 could not be reached, or broke off .*; check the network"):
        read_remote(api, REPO)


def test_what_is_sent_is_what_lies_there(hub, api, folder):
    send(api, folder)
    lines = [json.loads(line) for line in hub.requests("commit")[-1].body.splitlines()]
    header, *files = [line["value"] for line in lines]
    assert header["parentCommit"] == hub.commits(REPO)[1].oid
    assert {file["path"]: base64.b64decode(file["content"]) for file in files} == {
        path: (folder / path).read_bytes() for path in (*FILES, MANIFEST)
    }
