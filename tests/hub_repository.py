"""What the Hub of the tests keeps: repositories, whose branches and tags point to commits."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any


class Contents:
    """Contents of files in a folder, each under its git id."""

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        (self._folder / oid).write_bytes(content)
        return oid

    def read(self, oid: str) -> bytes:
        return (self._folder / oid).read_bytes()

    def size(self, oid: str) -> int:
        return (self._folder / oid).stat().st_size


class RevisionNotFound(LookupError):
    """No branch, tag or commit has this name."""


@dataclass(frozen=True)
class Commit:
    """A state of a repository: `files` gives the id of the content of each path."""

    oid: str
    parent: str | None
    title: str
    message: str
    date: str
    files: dict[str, str]


@dataclass
class Repository:
    """The commits that were made, none of which is ever changed, and what points to them."""

    name: str  # "namespace/name"
    repo_type: str  # "model", "dataset" or "space"
    contents: Contents
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit:
        """Returns the commit that a branch, a tag, or a commit's id (seven digits or more of it) names.

        Raises:
            RevisionNotFound: nothing is named so.
        """
        oid = self.branches.get(revision) or self.tags.get(revision)
        if oid is None and re.fullmatch("[0-9a-f]{7,40}", revision):
            oid = next((oid for oid in self.commits if oid.startswith(revision)), None)
        if oid is None:
            raise RevisionNotFound(revision)
        return self.commits[oid]

    def history(self, revision: str) -> list[Commit]:
        """Returns the commits that led to a revision, newest first."""
        commits = [self.at(revision)]
        while commits[-1].parent is not None:
            commits.append(self.commits[commits[-1].parent])
        return commits

    def add(self, branch: str, files: dict[str, str], title: str, message: str = "") -> Commit:
        """Puts a commit with these files on a branch, and returns it."""
        date = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        parent = self.branches.get(branch)
        content = json.dumps([self.name, len(self.commits), parent, title, message, date, files])
        commit = Commit(hashlib.sha1(content.encode()).hexdigest(), parent, title, message, date, files)
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid  # the one step by which the commit is seen
        return commit

    def entries(self, revision: str) -> dict[str, dict[str, Any]]:
        """Returns files and folders of a revision by path, described as the Hub does it."""
        history = self.history(revision)
        entries: dict[str, dict[str, Any]] = {}
        for path, oid in history[0].files.items():
            for parent in list(PurePosixPath(path).parents)[:-1]:
                entries[str(parent)] = {"type": "directory", "path": str(parent), "size": 0, "oid": oid}
            *_, last = takewhile(lambda commit: commit.files.get(path) == oid, history)  # noqa: B023
            entries[path] = {"type": "file", "path": path, "size": self.contents.size(oid), "oid": oid}
            entries[path]["lastCommit"] = {"id": last.oid, "title": last.title, "date": last.date}
        return dict(sorted(entries.items()))
