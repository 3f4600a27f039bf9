"""A folder on the Hub: what an upload would change there, and the upload itself, in one commit or not at all.

Files that somebody else put into the repository stay, and those of ours that somebody has changed; files of ours that
the folder has no longer are removed. Which are ours is known from the `manifest.json` that every upload carries.
"""

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_session,
    set_client_factory,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from training.checkpoints import MANIFEST
from training.recipe import TrainingError

MAIN = "main"
# What the Hub itself puts into every repository.
_OF_THE_HUB = {".gitattributes"}
# What comes out of huggingface_hub: ValueError and KeyError for an answer that makes no sense, RuntimeError from the
# library that transfers weights.
_FAILURES = (HTTPError, OSError, ValueError, KeyError, RuntimeError)
# Names that git takes for a branch or a tag, without the rarer of its signs.
_REFERENCE = re.compile(r"(?!.*(\.\.|//|\.lock$|/$))[A-Za-z0-9_][A-Za-z0-9_.+/-]*")


class HubError(TrainingError):
    """Something that the Hub refused, or that kept it from being reached; the message says which, and what to do."""


@dataclass(frozen=True)
class Remote:
    """What the Hub holds under a name, at one moment."""

    repo: str
    branch: str
    exists: bool = False
    private: bool | None = None
    branch_exists: bool = False
    commit: str | None = None
    """Where the branch stands; where there is no such branch yet, where main stands, of which it will be made."""
    files: dict[str, RepoFile] = field(default_factory=dict)
    """The files of that commit by their paths."""
    ours: frozenset[str] = frozenset()
    """Those of them that an upload of ours put there, as far as they are still as they were then."""
    tags: dict[str, str] = field(default_factory=dict)
    """For each tag its commit."""


@dataclass(frozen=True)
class Changes:
    """What an upload would do to the files of a repository; paths in order."""

    new: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: list[str]
    foreign: list[str]
    """Files that somebody else put there, which stay."""

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.removed)

    def __str__(self) -> str:
        counts = {"new": self.new, "changed": self.changed, "removed": self.removed}
        return ", ".join(f"{len(paths)} {name}" for name, paths in counts.items() if paths) or "nothing changed"


def set_timeout(seconds: float) -> None:
    """Have every later request of this process fail where the Hub is silent for so long; many would wait forever."""

    def limit(request: Any) -> None:
        given = request.extensions.get("timeout") or {}
        kinds = ("connect", "read", "write", "pool")
        request.extensions["timeout"] = {kind: min(given.get(kind) or seconds, seconds) for kind in kinds}

    client = get_session()
    kind, before = type(client), client.event_hooks["request"]
    set_client_factory(lambda: kind(event_hooks={"request": [*before, limit]}, follow_redirects=True, timeout=None))


@contextlib.contextmanager
def hub_errors(api: HfApi, repo: str) -> Iterator[None]:
    """Inside, whatever goes wrong between here and the Hub becomes one clear line.

    Raises:
        HubError: just that.
    """
    try:
        yield
    except LocalEntryNotFoundError as error:  # what huggingface_hub makes of any failure of a download
        raise HubError(_explain(api, repo, error.__cause__ or error)) from error
    except _FAILURES as error:
        raise HubError(_explain(api, repo, error)) from error


def _explain(api: HfApi, repo: str, error: BaseException) -> str:
    """What went wrong, and what to do, in one line."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    log_in = "make a token with the right to write at https://huggingface.co/settings/tokens and run `hf auth login`"
    if isinstance(error, LocalTokenNotFoundError):
        return f"there is no token to publish with; {log_in}, or set HF_TOKEN"
    if isinstance(error, HFValidationError):
        return f"--repo {repo}: no name that the Hub takes ({_first_line(error)}); give NAME or OWNER/NAME"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so that nothing may be asked of the Hub; unset it"
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated, and this token has no access to it; ask for it at {api.endpoint}/{repo}"
    if isinstance(error, RepositoryNotFoundError):
        return f"{repo} is not there, or this token may not see it; check the name and the token"
    if status == 401:
        return f"the Hub refuses the token ({_first_line(error)}); {log_in}, or set HF_TOKEN"
    if status == 403:
        return (
            f"this token may not write to {repo} ({_first_line(error)}); the name is somebody else's, or the token is "
            "for reading only: give a name of your own, or another token"
        )
    if status == 429:
        return f"the Hub takes no more requests for now ({_first_line(error)}); try again in some minutes"
    if status is not None and status >= 500:
        return f"the Hub failed ({_first_line(error)}); try again later"
    if status is not None:
        return f"the Hub refused ({_first_line(error)})"
    if "Timeout" in type(error).__name__:
        return f"{api.endpoint} did not answer in time; try again, or give it longer with --timeout"
    if isinstance(error, (HTTPError, ConnectionError)):
        return f"{api.endpoint} could not be reached, or broke off ({_first_line(error)}); check the network"
    return f"the exchange with {api.endpoint} ended: {' '.join(str(error).split())}"


def _first_line(error: BaseException) -> str:
    """What the server said; where it said nothing, the first line of an error."""
    said = getattr(error, "server_message", None) or str(error)
    return next((line.strip() for line in said.splitlines() if line.strip()), type(error).__name__)


# ---------------------------------------------------------------------------------------------------------------------
# Before an upload


def full_name(api: HfApi, repo: str, dry_run: bool) -> str:
    """A repository's name with its owner, who is the token's where the name has none.

    Raises:
        HubError: a name that cannot be, or a token that is missing or refused; a dry run needs none, unless the name
            has no owner.
    """
    with hub_errors(api, repo):
        validate_repo_id(repo)
        if dry_run and "/" in repo:
            return repo
        owner = api.whoami()["name"]
    return repo if "/" in repo else f"{owner}/{repo}"


def check_reference(option: str, name: str) -> None:
    """Pass where a branch or tag may have this name.

    Raises:
        HubError: it may not.
    """
    if not _REFERENCE.fullmatch(name):
        raise HubError(f"{option} {name}: no name for it; give letters, digits, points, hyphens and underscores")


def check_card(api: HfApi, folder: Path) -> None:
    """Pass where the Hub takes the metadata of a folder's card, or cannot be asked now; nothing is changed.

    Raises:
        HubError: it refuses them.
    """
    content = (folder / "README.md").read_text(encoding="utf-8")
    try:  # ModelCard.validate would ask another Hub than this one
        answer = get_session().post(
            f"{api.endpoint}/api/validate-yaml", json={"content": content, "repoType": "model"}
        )
        if answer.status_code != 400:
            return
        said = "; ".join(" ".join(error["message"].split()) for error in answer.json()["errors"])
    except (*_FAILURES, TypeError):
        return
    raise HubError(f"the Hub refuses the metadata of the card, README.md: {said}; see --license and --dataset")


def read_remote(api: HfApi, repo: str, branch: str = MAIN) -> Remote:
    """What the Hub holds now.

    Raises:
        HubError: it cannot be asked, or the branch is a tag.
    """
    with hub_errors(api, repo):
        try:
            private = api.repo_info(repo).private
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return Remote(repo, branch)
        references = api.list_repo_refs(repo)
        tags = {tag.name: tag.target_commit for tag in references.tags}
        if branch in tags:
            raise HubError(f"--revision {branch}: this is a tag of {repo}, which stays where it is; name a branch")
        heads = {head.name: head.target_commit for head in references.branches}
        commit = heads.get(branch) or heads.get(MAIN)
        tree = api.list_repo_tree(repo, recursive=True, revision=commit) if commit else ()
        files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        ours = _files_of_manifest(api, repo, commit, files) if MANIFEST in files else frozenset()
    return Remote(repo, branch, True, private, branch in heads, commit, files, ours, tags)


def _files_of_manifest(api: HfApi, repo: str, commit: str | None, files: dict[str, RepoFile]) -> frozenset[str]:
    """Those of a repository's files that are still as its manifest says, and the manifest; none where it isn't of the
    form that ours have."""
    with tempfile.TemporaryDirectory() as cache:
        text = Path(api.hf_hub_download(repo, MANIFEST, revision=commit, cache_dir=cache)).read_bytes()
    try:
        written = json.loads(text)["files"]
        if not all(_is_entry(entry) for entry in written.values()):
            return frozenset()
    except (ValueError, KeyError, TypeError, AttributeError):
        return frozenset()
    return frozenset(path for path in written if path in files and _is_as_written(files[path], written[path])) | {
        MANIFEST
    }


def _is_entry(entry: Any) -> bool:
    """Whether this is what our manifests have of a file."""
    return entry.keys() == {"bytes", "sha256"} and re.fullmatch("[0-9a-f]{64}", entry["sha256"]) is not None


def _is_as_written(there: RepoFile, entry: dict[str, Any]) -> bool:
    """Whether a file on the Hub has the size of its entry and, where the Hub tells it without a download, the hash."""
    return there.size == entry["bytes"] and (there.lfs is None or there.lfs.sha256 == entry["sha256"])


def compare(folder: Path, remote: Remote) -> Changes:
    """What uploading a folder would change."""
    local = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    there = {path for path in local if path in remote.files}
    same = {path for path in there if _is_same(local[path], remote.files[path])}
    gone = remote.files.keys() - local.keys()
    return Changes(
        new=sorted(local.keys() - there),
        changed=sorted(there - same),
        removed=sorted(gone & remote.ours),
        unchanged=sorted(same),
        foreign=sorted(gone - remote.ours - _OF_THE_HUB),
    )


def _is_same(file: Path, there: RepoFile) -> bool:
    """Whether a file's content is the one on the Hub, by the hash that git has of it, or git's large-file storage."""
    header = b"blob %d\0" % file.stat().st_size
    with file.open("rb") as opened:
        if there.lfs:
            return hashlib.file_digest(opened, "sha256").hexdigest() == there.lfs.sha256
        return hashlib.file_digest(opened, lambda: hashlib.sha1(header)).hexdigest() == there.blob_id


# ---------------------------------------------------------------------------------------------------------------------
# The upload


def upload(api: HfApi, folder: Path, remote: Remote, *, tag: str | None = None, private: bool = False) -> str:
    """Make a branch hold a folder's files: in a single commit, on top of what was read there, or not at all.

    Where somebody else commits in between, what is to be changed is found anew, once. A repository, or a branch, that
    isn't there is made first; it stays where the upload then fails, and is named.

    Args:
        api: of the Hub, with its token.
        folder: what is uploaded.
        remote: what the Hub held when it was last read.
        tag: a name for the commit; one that names it already is left as it is.
        private: whether a repository that has to be made is private.

    Returns the commit that holds the files.

    Raises:
        HubError: nothing was changed, unless the message says so.
    """
    check_upload(folder, remote, tag, private)
    made = []
    try:
        with hub_errors(api, remote.repo):
            if not remote.exists:
                api.create_repo(remote.repo, private=private or None, exist_ok=True)
                made.append(f"the new repository {remote.repo} was made and is still empty")
                remote = read_remote(api, remote.repo, remote.branch)
            if not remote.branch_exists and remote.branch != MAIN:
                api.create_branch(remote.repo, branch=remote.branch, revision=remote.commit, exist_ok=True)
                made.append(f"the new branch {remote.branch} was made and is still as {MAIN}")
                remote = replace(remote, branch_exists=True)
        commit = _commit(api, folder, remote)
    except HubError as error:
        raise HubError("; ".join([str(error), *made])) from error
    if tag and remote.tags.get(tag) != commit:
        try:
            with hub_errors(api, remote.repo):
                api.create_tag(remote.repo, tag=tag, revision=commit)
        except HubError as error:
            raise HubError(
                f"the files are on the Hub, in the commit {commit[:7]}, but without the tag {tag}: {error}"
            ) from error
    return commit


def check_upload(folder: Path, remote: Remote, tag: str | None, private: bool) -> None:
    """Pass where nothing that the Hub was seen to hold is in an upload's way.

    Raises:
        HubError: a tag that names another commit, or a public repository where a private one was asked for.
    """
    named = remote.tags.get(tag) if tag else None
    if named and (named != remote.commit or not remote.branch_exists or compare(folder, remote)):
        raise HubError(f"--tag {tag}: {remote.repo} has this tag already, for the commit {named[:7]}; give another")
    check_private(remote.repo, private, remote.private)


def check_private(repo: str, private: bool, is_private: bool | None) -> None:
    """Pass where no private repository is asked for, or the one that is there, if any, is private.

    Raises:
        HubError: it is public.
    """
    if private and is_private is False:
        raise HubError(
            f"--private: {repo} exists and is public; make it private in its settings first, or leave this out"
        )


def _commit(api: HfApi, folder: Path, remote: Remote, attempts: int = 2) -> str:
    """Returns the commit by which the branch holds the folder's files; an old one where it holds them already."""
    changes = compare(folder, remote)
    if not changes and remote.commit:
        return remote.commit
    if not attempts:
        raise HubError(f"{remote.repo} was changed by somebody else again and again in the meantime; try again")
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        *(CommitOperationAdd(path, folder / path) for path in (*changes.new, *changes.changed)),
        *(CommitOperationDelete(path) for path in changes.removed),
    ]
    try:
        with hub_errors(api, remote.repo):
            return api.create_commit(
                remote.repo,
                operations,
                commit_message=f"Publish: {changes}",
                revision=remote.branch,
                parent_commit=remote.commit,
            ).oid
    except HubError as error:
        # What went wrong may have been the way of the answer alone, or that somebody else came first.
        try:
            now = read_remote(api, remote.repo, remote.branch)
        except HubError:
            raise HubError(
                f"{error}. The Hub has either all of it or nothing, but cannot be asked; publish again, which uploads "
                "what is missing"
            ) from error
        if now.commit == remote.commit:
            raise HubError(f"{error}; so far {remote.repo} is as it was") from error
    return _commit(api, folder, now, attempts - 1)
