"""A page that translates with a model, lists the best translations, and draws where the model looks.

python -m hub_card.space MODEL [--port 7860] [--examples FILE]        # on this machine
python -m hub_card.space MODEL --repo NAME [--examples FILE]          # as a Space on the Hub

Without --examples the page offers those of the model's card, if it has any: the texts of its `widget`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, ModelCard
from huggingface_hub import logging as hub_logging
from huggingface_hub.utils import validate_repo_id

from hub_card.space.app import Translator, launch, make_page
from hub_card.space.publish import publish, space_files
from hub_card.upload import HubError, hub_errors, set_timeout
from modeling_vanilla_transformer import VanillaTransformerConfig
from training.loading import read_model
from training.options import OptionError, Parser, number_from
from training.recipe import TrainingError
from training.setup import quiet_libraries

MOST_EXAMPLES = 8


def serve(options: argparse.Namespace, api: HfApi) -> None:
    """Serve the page on this machine until it is stopped.

    Raises:
        TrainingError: no model that can be read, no examples in their file, or a port that is taken.
    """
    folder, name = Path(options.model), options.model
    if folder.is_dir():
        parts = folder.resolve().parts
        name = parts[-2] if parts[-1] == "model" and len(parts) > 2 else parts[-1]  # the run's rather than "model"
    else:
        folder = download(api, options.model, options.revision, ["README.md", "*.json", "*.safetensors"])
    examples = examples_of(options.examples, folder)
    with quiet_libraries(False):
        page = make_page(Translator(*read_model(folder)), name, examples)
    try:
        launch(page, server_name=options.host, server_port=options.port)
    except OSError as error:  # Gradio's own message names the environment's way to choose a port
        raise OptionError(f"--host {options.host} --port {options.port}: no page can be served there") from error


def publish_space(options: argparse.Namespace, api: HfApi) -> str:
    """Publish the Space, and return its address; where it still needs a token, that is said.

    Raises:
        TrainingError: no model of ours has this name on the Hub, no examples are in their file, or the Hub refuses or
            cannot be reached.
    """
    if Path(options.model).is_dir():
        raise OptionError(
            f"{options.model}: a Space loads its model from the Hub by name, and this is a folder; publish the model "
            "first (python -m hub_card.publish), then give its name"
        )
    folder = download(api, options.model, options.revision, ["README.md", "config.json"])
    ours = VanillaTransformerConfig.model_type
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if found != ours:
        raise OptionError(f"{options.model}: the model_type is {found}; the page is for {ours}")
    files = space_files(options.model, options.revision, examples_of(options.examples, folder))
    with hub_errors(api, options.model):
        is_private = api.model_info(options.model).private
    address = publish(api, options.repo, files, options.private)
    if is_private:
        print(
            f"{options.model} is private: in {address}/settings, give the Space the secret HF_TOKEN, a token that may "
            "read the model",
            file=sys.stderr,
        )
    return address


def download(api: HfApi, model: str, revision: str | None, files: list[str]) -> Path:
    """A folder with those files of a model on the Hub, which are patterns.

    Raises:
        OptionError: there is neither such a folder nor such a model.
        HubError: the Hub cannot be reached.
    """
    try:
        validate_repo_id(model)
    except ValueError:
        raise OptionError(f"{model}: neither a folder with a model nor a name on the Hub") from None
    try:
        with hub_errors(api, model):
            folder = Path(api.snapshot_download(model, revision=revision, allow_patterns=files))
    except HubError as error:
        raise HubError(f"{model} is no folder here, and on the Hub: {error}") from error
    if not (folder / "config.json").is_file():
        raise OptionError(f"{model}: no model there, config.json is missing")
    return folder


def examples_of(file: Path | None, folder: Path) -> list[str]:
    """The sentences of a file, a line each, or those that the card in a model's folder offers; the first of them.

    Raises:
        OptionError: the file cannot be read, or is empty.
    """
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"--examples {file}: it cannot be read ({error})") from error
        examples = [line for line in lines if line]
        if not examples:
            raise OptionError(f"--examples {file}: no sentence in it; give one a line")
    else:
        examples = _examples_of_card(folder / "README.md")
    return examples[:MOST_EXAMPLES]


def _examples_of_card(card: Path) -> list[str]:
    """The texts of a card's `widget`; none, with a warning, where somebody's card is not as cards are."""
    try:
        widget = ModelCard.load(card).data.get("widget") if card.is_file() else None
        texts = [example.get("text") for example in widget or [] if isinstance(example, dict)]
    except Exception as error:  # of many kinds: the encoding, the YAML, metadata that are no mapping
        said = " ".join(str(error).split())
        print(f"{card}: no examples are read from it, as its metadata cannot be ({said})", file=sys.stderr)
        return []
    return [text for text in texts if text and isinstance(text, str)]


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m hub_card.space",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="the folder of a model, or its name on the Hub")
    add("--revision", help="a branch, tag or commit of the model on the Hub (default: main)")
    add("--examples", type=Path, metavar="FILE", help="sentences that the page offers, one a line")
    add("--port", type=number_from(int, 1, 65535), help="on this machine (default: the first free one from 7860)")
    add("--host", default="127.0.0.1", help="default: 127.0.0.1, for this machine only; 0.0.0.0 is for others too")
    add("--repo", metavar="NAME", help="publish as this Space, NAME or OWNER/NAME, in place of serving it here")
    add("--private", action="store_true", help="make a new Space private")
    wait = "how long the Hub may be silent"
    add("--timeout", type=number_from(float, 0.1), default=120, metavar="SECONDS", help=wait)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; errors end it with one message: code 2 for the command line itself, 1 for all others."""
    hub_logging.set_verbosity_error()  # what goes wrong is said once, at the end
    try:
        options = make_parser().parse_args(sys.argv[1:] if arguments is None else arguments)
        set_timeout(options.timeout)
        if options.repo:
            print(publish_space(options, HfApi()))
        else:
            serve(options, HfApi())
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, OptionError) else 1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
