"""The files of a Space, and their way to the Hub."""

import json
import platform
from pathlib import Path

import gradio
from huggingface_hub import CommitOperationAdd, HfApi, SpaceCardData
from huggingface_hub.errors import RepositoryNotFoundError

from hub_card.upload import HubError, check_private, full_name, hub_errors

HERE = Path(__file__).parent
ABOUT = "space.json"

README = """\
---
{metadata}
---

# Translate with {name}

[{model}](https://huggingface.co/{model}) is a Transformer of
[*Attention Is All You Need*](https://arxiv.org/abs/1706.03762). This Space translates with it, by a search whose beams
and length penalty can be chosen, shows the best translations with their scores, and draws how much each word of a
translation looks at each word of its source.

`app.py` is the whole of it; `space.json` says which model it loads, with `trust_remote_code=True`, and which sentences
it offers.
"""


def space_files(model: str, revision: str | None, examples: list[str]) -> dict[str, bytes]:
    """What a Space consists of, by path.

    Args:
        model: its name on the Hub.
        revision: a branch, tag or commit of it; None: main, as it is when the Space starts.
        examples: sentences that the page offers.
    """
    name = model.split("/")[-1]
    card = SpaceCardData(
        title=f"Translate with {name}",
        emoji="🔎",
        colorFrom="green",
        colorTo="blue",
        sdk="gradio",
        sdk_version=gradio.__version__,  # the one that it was tried with here ...
        python_version=".".join(platform.python_version_tuple()[:2]),  # ... and in; a Space's own may be too old
        app_file="app.py",
        license="apache-2.0",
        models=[model],
        short_description="A Transformer translates and shows its attention",
    )
    about = {"model": model, "revision": revision, "examples": examples}
    return {
        "README.md": README.format(metadata=card.to_yaml(), name=name, model=model).encode(),
        "app.py": (HERE / "app.py").read_bytes(),
        "requirements.txt": (HERE / "requirements.txt").read_bytes(),
        ABOUT: json.dumps(about, ensure_ascii=False, indent=2).encode() + b"\n",
    }


def publish(api: HfApi, repo: str, files: dict[str, bytes], private: bool) -> str:
    """Make a Space hold the files, in a single commit or not at all, and return its address.

    A Space that isn't there is made first; it stays, and is empty, where the upload then fails. Files that somebody
    else put into it stay, and where nothing has changed there is no commit.

    Raises:
        HubError: the Hub refuses or cannot be reached, the name is taken by another Space, or by a public one where a
            private one was asked for.
    """
    repo = full_name(api, repo, dry_run=False)
    with hub_errors(api, repo):
        try:
            there = api.list_repo_files(repo, repo_type="space")
            check_private(repo, private, api.repo_info(repo, repo_type="space").private)
        except RepositoryNotFoundError:
            there = []
        if "app.py" in there and ABOUT not in there:
            raise HubError(f"--repo {repo}: the name is taken by another Space; give another name")
        api.create_repo(repo, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True)
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit(repo, operations, repo_type="space", commit_message="Publish the Space")
    return f"{api.endpoint}/spaces/{repo}"
