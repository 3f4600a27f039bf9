"""A Hub to test against: the endpoints that push and pull call, in a temporary folder, with faults on demand.

    with HubServer(tmp_path / "hub") as hub:
        subprocess.run([sys.executable, "-m", "hub_card.publish", ...], env=hub.environment())
        hub.files("tester/model")           # {path: bytes} on main; revision=... for another branch, tag or commit
        hub.commits("tester/model")         # newest first: .oid, .title, .files; the last is the Hub's own first one
        hub.requests("commit")              # what was asked: .method, .path, .status, .sent (bytes of content)

HF_ENDPOINT is read when huggingface_hub is imported: what talks to this server runs in a subprocess with
`hub.environment()`, a complete environment (`token=None` has no token, `token="hf_wrong"` a refused one,
`token=hub.read_token` one that may not write; `home=` another cache). The user is "tester" and writes to that
namespace only; others' repositories come by `hub.add("someone/model", {path: bytes})`, which commits as another writer
would. Functions that name a repository take `repo_type="space"` or "dataset".

Faults are set here while the subprocess runs elsewhere. Endpoints are named as in `ROUTES`, "" is any of them. The
first `after` requests pass, the next `times` are hit, with `times=None` all that follow:

    hub.faults.fail("commit", status=500)               # an error is answered
    hub.faults.fail(after=3, status=501, times=None)    # every request from the fourth on
    hub.faults.fail("resolve", status=403, code="GatedRepo", message="Access is restricted")
    hub.faults.limit_rate("preupload")                  # 429
    hub.faults.slow("resolve", seconds=0.5)             # the answer comes late
    hub.faults.cut_request("commit")                    # the connection ends while the request arrives
    hub.faults.cut_response("commit")                   # all is done, and it ends in the middle of the answer
    hub.faults.commit_between({"README.md": b"..."})    # another writer's commit lands just before the client's
    hub.faults.refuse_token()                           # the valid token becomes a wrong one
    hub.faults.clear()

The client repeats some requests up to five times when they are cut or answered 408, 429, 500, 502, 503 or 504:
preupload, tree, and in `upload_folder` the commit too (where a commit of many files that is refused becomes several;
`create_commit` does neither). An error of another status, 501 say, is final at once.

Files of any size go through the commit itself (uploadMode "regular"), so neither LFS nor Xet is involved.
"""

import base64
import json
import os
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from tests.hub_faults import Fault, Faults
from tests.hub_metadata import metadata_of, problems
from tests.hub_repository import Commit, Contents, Repository, RevisionNotFound
from tests.hub_wire import Answer, HubError, Request, Server

USER = "tester"
GITATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"  # what the Hub puts into a new repository

_TYPE = "/api/(?P<repo_type>model|dataset|space)s"
_API = _TYPE + "/(?P<repo>[^/]+/[^/]+)"
# Endpoint, methods, path. The first that fits is called; groups become the arguments of its method.
ROUTES = (
    ("whoami", "GET", "/api/whoami-v2"),
    ("validate_yaml", "POST", "/api/validate-yaml"),
    ("create", "POST", "/api/repos/create"),
    ("delete", "DELETE", "/api/repos/delete"),
    ("preupload", "POST", _API + "/preupload/(?P<revision>[^/]+)"),
    ("commit", "POST", _API + "/commit/(?P<revision>[^/]+)"),
    ("history", "GET", _API + "/commits/(?P<revision>[^/]+)"),
    ("refs", "GET", _API + "/refs"),
    ("branch", "POST DELETE", _API + "/branch/(?P<name>[^/]+)"),
    ("tag", "POST DELETE", _API + "/tag/(?P<name>[^/]+)"),
    ("tree", "GET", _API + "/tree/(?P<revision>[^/]+)(?:/(?P<folder>.*))?"),
    ("paths_info", "POST", _API + "/paths-info/(?P<revision>[^/]+)"),
    ("info", "GET", _TYPE + "/(?P<repo>[^/]+(?:/[^/]+)?)(?:/revision/(?P<revision>[^/]+))?"),
    (
        "resolve",
        "GET HEAD",
        "(?:/(?P<repo_type>dataset|space)s)?/(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
    ),
)


class HubServer:
    """The server, a context manager; see the module's docstring.

    Args:
        folder: where contents of files and the client's cache are kept; made when missing.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.token, self.read_token = "hf_" + "w" * 34, "hf_" + "r" * 34
        self.page_size = 1000  # entries of a tree in one answer
        self.faults = Faults([name for name, _, _ in ROUTES])
        self._contents = Contents(self.folder / "contents")
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "HubServer":
        self._server = Server(self, ROUTES)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # For tests.

    def environment(self, token: str | None = "", home: Path | None = None) -> dict[str, str]:
        """The environment of a process that talks to this Hub: with the valid token, another one, or none."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        token = self.token if token == "" else token
        return kept | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home or self.folder / "home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "no_proxy": "127.0.0.1",
            **({} if token is None else {"HF_TOKEN": token}),
        }

    def files(self, repo: str, revision: str = "main", repo_type: str = "model") -> dict[str, bytes]:
        """What a repository holds at a revision, by path."""
        files = self._repositories[repo_type, repo].at(revision).files
        return {path: self._contents.read(oid) for path, oid in sorted(files.items())}

    def commits(self, repo: str, revision: str = "main", repo_type: str = "model") -> list[Commit]:
        """The commits of a branch, newest first; [] for a repository that does not exist."""
        repository = self._repositories.get((repo_type, repo))
        return [] if repository is None else repository.history(revision)

    def refs(self, repo: str, repo_type: str = "model") -> dict[str, str]:
        """The commit of each branch and tag."""
        repository = self._repositories[repo_type, repo]
        return repository.branches | repository.tags

    def requests(self, endpoint: str = "") -> list[Request]:
        """The requests so far, to one endpoint or to all."""
        return [request for request in list(self._requests) if endpoint in ("", request.endpoint)]

    def add(self, repo: str, files: dict[str, bytes], *, branch: str = "main", repo_type: str = "model") -> Commit:
        """Commits files as somebody else would, into a repository that is made when missing."""
        with self._lock:
            repository = self._repositories.get((repo_type, repo)) or self._new(repo, repo_type)
            held = repository.at(branch).files
            return repository.add(branch, held | self._stored(files), "Another writer's commit")

    def record(self, request: Request) -> None:
        """Keeps a request for `requests`."""
        self._requests.append(request)

    # Repositories.

    def _stored(self, files: dict[str, bytes]) -> dict[str, str]:
        """Keeps contents, and returns the id of each path's."""
        return {path: self._contents.put(content) for path, content in files.items()}

    def _new(self, repo: str, repo_type: str, private: bool = False) -> Repository:
        repository = self._repositories[repo_type, repo] = Repository(repo, repo_type, self._contents, private)
        repository.add("main", self._stored({".gitattributes": GITATTRIBUTES}), "initial commit")
        return repository

    def _address(self, repository: Repository) -> str:
        prefix = "" if repository.repo_type == "model" else f"{repository.repo_type}s/"
        return f"{self.url}/{prefix}{repository.name}"

    # Who may do what.

    def _role(self, request: Request) -> str | None:
        """What a token allows, "write" or "read"; None without one."""
        if request.token is None:
            return None
        if request.token not in (self.token, self.read_token) or self.faults.token_refused:
            raise HubError(401, "Invalid credentials in Authorization header")
        return "write" if request.token == self.token else "read"

    def _readable(self, request: Request, repo_type: str | None, repo: str) -> Repository:
        repository, role = self._repositories.get((repo_type or "model", repo)), self._role(request)
        if repository is None or (repository.private and role is None):
            if role is None:  # nobody in particular is not told what exists
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        return repository

    def _must_write(self, request: Request, namespace: str) -> None:
        role = self._role(request)
        if role is None:
            raise HubError(401, "Invalid username or password.")
        if role != "write" or namespace != USER:
            raise HubError(403, f'You don\'t have the rights to write to the namespace "{namespace}" with this token')

    def _writable(self, request: Request, repo_type: str, repo: str) -> Repository:
        repository = self._readable(request, repo_type, repo)
        self._must_write(request, repo.split("/")[0])
        return repository

    # Endpoints, in the order of ROUTES.

    def _whoami(self, request: Request) -> Answer:
        role = self._role(request)
        if role is None:
            raise HubError(401, "Invalid username or password.")
        access = {"type": "access_token", "accessToken": {"displayName": "tests", "role": role}}
        return Answer({"type": "user", "name": USER, "fullname": "A Tester", "orgs": [], "auth": access})

    def _validate_yaml(self, request: Request) -> Answer:
        asked = request.json()
        errors, warnings = problems(asked["content"], asked.get("repoType", "model"))
        said = {"errors": [{"message": each} for each in errors], "warnings": [{"message": each} for each in warnings]}
        return Answer(said, status=400 if errors else 200)

    def _create(self, request: Request) -> Answer:
        asked = request.json()
        namespace, repo_type = asked.get("organization") or USER, asked.get("type") or "model"
        self._must_write(request, namespace)
        repo = f"{namespace}/{asked['name']}"
        if (repository := self._repositories.get((repo_type, repo))) is not None:
            message = f"You already created this {repo_type} repo"
            raise HubError(409, message, url=self._address(repository), name=repo)
        private = asked.get("private") is True or asked.get("visibility") == "private"
        repository = self._new(repo, repo_type, private)
        return Answer({"url": self._address(repository), "name": repo, "id": repo})

    def _delete(self, request: Request) -> Answer:
        asked = request.json()
        repo_type, repo = asked.get("type") or "model", f"{asked.get('organization') or USER}/{asked['name']}"
        self._writable(request, repo_type, repo)
        del self._repositories[repo_type, repo]
        return Answer({})

    def _preupload(self, request: Request, repo_type: str, repo: str, revision: str) -> Answer:
        held = self._writable(request, repo_type, repo).at(revision).files
        files = [
            {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": held.get(file["path"])}
            for file in request.json()["files"]
        ]
        return Answer({"files": files})

    def _commit(self, request: Request, repo_type: str, repo: str, revision: str) -> Answer:
        """One commit of all operations, or, where any of them is refused, of none."""
        repository = self._writable(request, repo_type, repo)
        if revision not in repository.branches:
            raise RevisionNotFound(revision)
        try:
            lines = [json.loads(line) for line in request.body.splitlines() if line]
        except ValueError as error:
            raise HubError(400, "The commit is not NDJSON") from error
        if not lines or lines[0]["key"] != "header":
            raise HubError(400, "The first line of a commit must be its header")
        head, header = repository.at(revision), lines[0]["value"]
        if "parentCommit" in header and not head.oid.startswith(header["parentCommit"]):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        added, files = dict[str, bytes](), dict(head.files)
        for line in lines[1:]:
            path = line["value"]["path"]
            match line["key"]:
                case "file":
                    added[path] = base64.b64decode(line["value"]["content"])
                case "deletedFile" if path in files:
                    del files[path]
                case "deletedFolder" if any(file.startswith(path.rstrip("/") + "/") for file in files):
                    files = {file: oid for file, oid in files.items() if not file.startswith(path.rstrip("/") + "/")}
                case "deletedFile" | "deletedFolder":
                    raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
                case key:
                    raise HubError(400, f"This Hub takes no {key!r} in a commit")
        if "README.md" in added and (errors := problems(added["README.md"].decode(errors="replace"), repo_type)[0]):
            raise HubError(400, "Invalid metadata in README.md: " + "; ".join(errors))
        commit = repository.add(revision, files | self._stored(added), header["summary"], header["description"])
        url = f"{self._address(repository)}/commit/{commit.oid}"
        return Answer({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    def _history(self, request: Request, repo_type: str, repo: str, revision: str) -> Answer:
        commits = self._readable(request, repo_type, repo).history(revision)
        named = [{"id": each.oid, "title": each.title, "message": each.message, "date": each.date} for each in commits]
        return Answer([each | {"authors": [{"user": USER}]} for each in named])

    def _refs(self, request: Request, repo_type: str, repo: str) -> Answer:
        repository = self._readable(request, repo_type, repo)
        kinds = {"branches": ("heads", repository.branches), "tags": ("tags", repository.tags)}
        found = {
            kind: [{"name": name, "ref": f"refs/{ref}/{name}", "targetCommit": oid} for name, oid in refs.items()]
            for kind, (ref, refs) in kinds.items()
        }
        return Answer(found | {"converts": [], "pullRequests": []})

    def _branch(self, request: Request, repo_type: str, repo: str, name: str) -> Answer:
        repository = self._writable(request, repo_type, repo)
        if request.method == "DELETE":
            return self._forget(repository.branches, name)
        return self._point(repository, repository.branches, name, request.json().get("startingPoint", "main"))

    def _tag(self, request: Request, repo_type: str, repo: str, name: str) -> Answer:
        repository = self._writable(request, repo_type, repo)
        if request.method == "DELETE":
            return self._forget(repository.tags, name)
        return self._point(repository, repository.tags, request.json()["tag"], name)  # the path names the revision

    def _point(self, repository: Repository, refs: dict[str, str], name: str, revision: str) -> Answer:
        commit = repository.at(revision)
        if name in repository.branches or name in repository.tags:
            raise HubError(409, f"Reference already exists: {name}")
        refs[name] = commit.oid
        return Answer({})

    def _forget(self, refs: dict[str, str], name: str) -> Answer:
        if name == "main":
            raise HubError(403, "Cannot delete the main branch")
        if refs.pop(name, None) is None:
            raise RevisionNotFound(name)
        return Answer({})

    def _tree(self, request: Request, repo_type: str, repo: str, revision: str, folder: str | None) -> Answer:
        """Entries below a folder, all of them or only its own, a page at a time."""
        entries, query = self._readable(request, repo_type, repo).entries(revision), request.query
        prefix = folder.strip("/") + "/" if folder else ""
        if prefix and prefix[:-1] not in entries:
            raise HubError(404, f"{prefix[:-1]} does not exist on {revision}", "EntryNotFound")
        found = [entry for path, entry in entries.items() if path.startswith(prefix)]
        if query.get("recursive") != ["true"]:
            found = [entry for entry in found if "/" not in entry["path"][len(prefix) :]]
        start = int(query.get("cursor", ["0"])[0])
        stop = start + self.page_size
        headers = {}
        if stop < len(found):
            asked = "&".join(f"{name}={quote(value)}" for name, (value,) in query.items() if name != "cursor")
            headers["Link"] = f'<{self.url}{request.path}?{asked}&cursor={stop}>; rel="next"'
        return Answer(found[start:stop], headers=headers)

    def _paths_info(self, request: Request, repo_type: str, repo: str, revision: str) -> Answer:
        entries = self._readable(request, repo_type, repo).entries(revision)
        return Answer([entries[path] for path in parse_qs(request.body.decode())["paths"] if path in entries])

    def _info(self, request: Request, repo_type: str, repo: str, revision: str | None) -> Answer:
        repository = self._readable(request, repo_type, repo)
        commit = repository.at(revision or "main")
        readme = commit.files.get("README.md")
        card = {} if readme is None else metadata_of(self._contents.read(readme).decode(errors="replace"))
        siblings: list[dict[str, Any]] = [{"rfilename": path} for path in sorted(commit.files)]
        if "blobs" in request.query:
            for file in siblings:
                oid = commit.files[file["rfilename"]]
                file |= {"blobId": oid, "size": self._contents.size(oid)}
        about = {"id": repo, "author": repo.split("/")[0], "sha": commit.oid, "private": repository.private}
        about |= {"lastModified": commit.date, "createdAt": repository.history("main")[-1].date, "siblings": siblings}
        about |= {"tags": card.get("tags") or [], "cardData": card, "sdk": card.get("sdk")}
        return Answer(about | {name: card.get(name) for name in ("pipeline_tag", "library_name")})

    def _resolve(self, request: Request, repo_type: str | None, repo: str, revision: str, path: str) -> Answer:
        """The content of a file at a revision: all of it, a range, or, when the client has it already, nothing."""
        repository = self._readable(request, repo_type, repo)
        commit = repository.at(revision)
        headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if path not in commit.files:
            raise HubError(404, "Entry not found", "EntryNotFound", headers)
        oid = commit.files[path]
        headers |= {"ETag": f'"{oid}"', "Content-Disposition": f'inline; filename="{quote(Path(path).name)}"'}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return Answer(status=304, headers=headers, content=b"")
        content, status = self._contents.read(oid), 200
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range") or ""):
            first, last = asked.groups()
            start = int(first) if first else max(len(content) - int(last), 0)
            stop = min(int(last) + 1, len(content)) if first and last else len(content)
            if start >= stop:
                raise HubError(416, "Range Not Satisfiable", headers={"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            content, status = content[start:stop], 206
        return Answer(status=status, headers=headers, content=content)

    # Between the endpoints and the wire.

    def answer(self, request: Request, faults: list[Fault], arguments: dict[str, str | None]) -> Answer:
        """Answers a request, one at a time; an error becomes an answer as the Hub words it."""
        try:
            for fault in faults:
                if fault.files is not None:
                    repo, branch, repo_type = (arguments[name] or "" for name in ("repo", "revision", "repo_type"))
                    self.add(repo, fault.files, branch=branch, repo_type=repo_type)
                if fault.status is not None:
                    at_once = {"Retry-After": "0", "RateLimit": '"api";r=0;t=0'}
                    raise HubError(fault.status, fault.message, fault.code, at_once)
            with self._lock:
                return getattr(self, f"_{request.endpoint}")(request, **arguments)
        except RevisionNotFound as error:
            return self._refusal(HubError(404, f"Invalid rev id: {error}", "RevisionNotFound"))
        except HubError as error:
            return self._refusal(error)

    def _refusal(self, error: HubError) -> Answer:
        return Answer(error.values, error.status, error.headers)
