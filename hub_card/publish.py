"""Publish a finished run on the Hugging Face Hub: model, tokenizer, code, card, figures and scores, in one commit.

python -m hub_card.publish RUN --repo NAME --dry-run       # what would be uploaded
python -m hub_card.publish RUN --repo NAME [--private] [--tag v1.0] [--revision BRANCH] [--license cc-by-4.0]

What is uploaded is loaded first in a process that has nothing but it, and must translate there as here. Publishing
again changes what has changed, and nothing else; files that somebody else put there stay.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub import logging as hub_logging
from huggingface_hub.utils import disable_progress_bars

from hub_card.assemble import assemble, with_model
from hub_card.card import add_statement, statement_of
from hub_card.run import read_run
from hub_card.upload import (
    MAIN,
    Changes,
    HubError,
    Remote,
    check_card,
    check_reference,
    check_upload,
    compare,
    full_name,
    read_remote,
    set_timeout,
    upload,
)
from hub_card.verify import verify
from training.options import OptionError, Parser, number_from
from training.recipe import TrainingError
from training.setup import quiet_libraries

# Of our code on the Hub, the file without which a repository's model is somebody else's.
_OUR_CODE = "modeling_vanilla_transformer.py"


def publish(options: argparse.Namespace, api: HfApi) -> str:
    """Do what the command line says.

    Returns the address of what was published; with --dry-run, of what would be.

    Raises:
        TrainingError: the run isn't finished, its folder cannot be assembled or doesn't work elsewhere, or the Hub
            refuses or cannot be reached. The Hub then holds what it held before, unless the message says otherwise.
    """
    check_reference("--revision", options.revision)
    if options.tag:
        check_reference("--tag", options.tag)
        if options.tag == options.revision:
            raise HubError(f"--tag {options.tag}: this is the branch's name; give another")
    repo = full_name(api, options.repo, options.dry_run)
    run = with_model(read_run(options.run, options.data), options.model)
    remote = read_remote(api, repo, options.revision)
    if "config.json" in remote.files and _OUR_CODE not in remote.files:
        raise HubError(f"--repo {repo}: the name is taken by a model of another kind; give another name")
    with tempfile.TemporaryDirectory() as temporary:
        folder = assemble(run, Path(temporary, repo.rpartition("/")[2]), repo, statement_of(options))
        verify(folder)
        check_card(api, folder)
        changes = compare(folder, remote)
        print(describe(folder, remote, changes, options.private))
        if options.dry_run:
            check_upload(folder, remote, options.tag, options.private)
            print("nothing was uploaded (--dry-run)")
        else:
            upload(api, folder, remote, tag=options.tag, private=options.private)
    branch = "" if options.revision == MAIN else f"/tree/{options.revision}"
    return f"{api.endpoint}/{repo}{branch}"


def describe(folder: Path, remote: Remote, changes: Changes, private: bool) -> str:
    """What an upload changes, a line for each file, with sizes."""
    about = "" if remote.exists else f", a new {'private ' if private else ''}repository"
    lines = [f"{remote.repo}, branch {remote.branch}{about}:"]
    kinds = {"new": changes.new, "changed": changes.changed, "removed": changes.removed}
    kinds |= {"unchanged": changes.unchanged, "not ours, stays": changes.foreign}
    for kind, paths in kinds.items():
        for path in paths:
            size = (folder / path).stat().st_size if (folder / path).exists() else remote.files[path].size
            lines.append(f"  {kind:15}  {_readable(size):>9}  {path}")
    total = sum((folder / path).stat().st_size for path in (*changes.new, *changes.changed))
    lines.append(f"{changes}; {_readable(total)} to upload" if changes else "nothing has changed")
    return "\n".join(lines)


def _readable(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m hub_card.publish",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the output folder of a finished run")
    add("--repo", required=True, metavar="NAME", help="on the Hub: NAME, or OWNER/NAME")
    add("--dry-run", action="store_true", help="assemble and check everything, show what would change, upload nothing")
    add("--private", action="store_true", help="make a new repository private")
    add("--tag", help="a name for what is uploaded, such as v1.0, by which it can always be loaded")
    add("--revision", default=MAIN, metavar="BRANCH", help="upload to this branch, made where it isn't there")
    add("--model", default="model", metavar="FOLDER", help="model (the final one), best, average, or another folder")
    add("--data", metavar="FOLDER", help="where the run's data lie now, if not where they were")
    add(
        "--timeout",
        type=number_from(float, 0.1),
        default=60,
        metavar="SECONDS",
        help="how long the Hub may be silent",
    )
    add_statement(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors end it with one message: code 2 for the command line itself, 1 for all others, 130 for
    an interruption, after which the Hub has either everything or nothing."""
    hub_logging.set_verbosity_error()  # what goes wrong is said once, at the end
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        options = make_parser().parse_args(sys.argv[1:] if arguments is None else arguments)
        set_timeout(options.timeout)
        with quiet_libraries(False):
            print(publish(options, HfApi()))
    except (TrainingError, OSError) as error:  # OSError: a disk without room for a temporary folder
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, OptionError) else 1) from None
    except KeyboardInterrupt:
        print("error: interrupted; the Hub has all of it or nothing: publishing again finds out", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
