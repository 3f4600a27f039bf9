"""From what was recorded to one HTML file: 16-bit numbers, compressed, beside the scripts that draw them."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from hub_card.walk.trace import Matrix, Walk

PAGE = Path(__file__).parent / "page"

# In the order in which they stand in the page, where they share one scope.
SCRIPTS = ("data.js", "equations.js", "matrix.js", "charts.js", "steps_encoder.js", "steps_decoder.js", "main.js")

# What a matrix's greatest value becomes: 13 of the 16 bits, since what the others hold is not seen and compresses
# badly. Scores need all 16: the softmax turns their absolute errors into relative ones.
GREATEST, GREATEST_OF_HEADS = 2**12 - 1, 2**15 - 1


def write_page(walk: Walk, output: Path) -> None:
    """Writes the page to `output`, and the folders above it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page(walk), encoding="utf-8")


def page(walk: Walk) -> str:
    """Returns the page as HTML that needs nothing else."""
    index, packed = pack(walk.matrices)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((PAGE / "template.html").read_text(encoding="utf-8"))
    texts = json.loads((PAGE / "texts.json").read_text(encoding="utf-8"))
    return template.render(
        title=walk.facts["sentence"],
        style=(PAGE / "style.css").read_text(encoding="utf-8"),
        script="\n".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS),
        facts=_json(walk.facts | {"matrices": index}),
        texts=_json(texts),
        matrices=packed,
    )


def pack(matrices: dict[str, Matrix]) -> tuple[dict[str, Any], str]:
    """
    Returns where each matrix stands and, as base64, all of them compressed: 16-bit integers, first all low bytes, then
    all high ones. An integer times `unit` is a value again, right to 1 / 8190 of the matrix's greatest.
    """
    index, parts, start = {}, [], 0
    for name, matrix in matrices.items():
        greatest = float(np.abs(matrix).max())
        unit = greatest / (GREATEST_OF_HEADS if matrix.ndim == 3 else GREATEST) or 1.0
        index[name] = {"start": start, "shape": list(matrix.shape), "unit": unit}
        parts.append(np.rint(matrix.astype(np.float64) / unit).astype("<i2"))
        start += matrix.size
    numbers = np.concatenate([part.ravel() for part in parts])
    planes = numbers.view(np.uint8).reshape(-1, 2).T
    return index, base64.b64encode(zlib.compress(planes.tobytes(), level=9)).decode("ascii")


def _json(value: Any) -> str:
    """Returns JSON that can stand in a script element whatever it holds."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
