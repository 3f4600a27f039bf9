// The steps from text to the encoder's output: what each one draws. Their words stand in texts.json.

// What the reader has chosen; the page draws nothing but this.
const state = {
  step: 0,
  language: "en",
  encoder: { layer: 0, head: 0, token: Math.min(1, FACTS.source.ids.length - 1) },
  decoder: { layer: SIZES.decoder.layers - 1, head: 0, token: Math.max(0, FACTS.target.ids.length - 3) },
  search: FACTS.search.steps - 1,
  shuffled: false,
  positions: true,
};

const SOURCE = FACTS.source.texts;
const d_model = SIZES.d_model;

const inEncoder = () => `encoder.${state.encoder.layer}`;
const chooseSource = (token) => update({ encoder: { token } });
const sourceToken = () => SOURCE[state.encoder.token].trim();

// A matrix whose rows are the source's tokens.
function sourceMap(of, name, options = {}) {
  return heatMap(of, { name, rows: SOURCE, chosen: state.encoder.token, choose: chooseSource, ...options });
}

// A corner of a weight matrix, which as a whole is `rows` × `columns`.
function cornerMap(of, name, rows, columns) {
  const note = say("corner", { rows: of.rows, columns: of.columns, all: `${rows} × ${columns}` });
  return heatMap(of, { name, note, corner: true });
}

const grid = (...figures) => element("div", { className: "grid" }, ...figures);
const note = (key, values) => element("p", { className: "result", innerHTML: html(key, values) });

// Thumbnails of attention weights, each a button that chooses its head.
function headButtons(stack, layer, nameOf, labels) {
  const list = element("div", { className: "heads" });
  for (let head = 0; head < SIZES[stack].heads; head++) {
    const chosen = state[stack].layer === layer && state[stack].head === head;
    const button = element("button", {
      type: "button",
      className: "thumb",
      onclick: () => update({ [stack]: { layer, head } }),
    });
    button.setAttribute("aria-pressed", chosen);
    button.setAttribute("aria-label", `${say("layer")} ${layer + 1}, ${say("head")} ${head + 1}`);
    const blank = stack === "decoder" ? (r) => (r > state.decoder.token ? "" : null) : undefined;
    const thumbnail = heatMap(matrix(nameOf(layer))[head], {
      name: labels ? String(head + 1) : "",
      range: 1,
      small: true,
      blank,
    });
    thumbnail.style.color = headColor(head);
    button.append(thumbnail);
    list.append(button);
  }
  return list;
}

function stackTable(stack, nameOf) {
  const rows = element("div", { className: "stack" });
  for (let layer = SIZES[stack].layers - 1; layer >= 0; layer--)
    rows.append(
      element("p", { textContent: say("stack_row", { layer: layer + 1 }) }),
      headButtons(stack, layer, nameOf, false),
    );
  return element("figure", {}, element("figcaption", { textContent: say("stack_weights") }), rows);
}

function startPicture() {
  const box = (key, detail, step) => {
    const button = element("button", { type: "button", className: "box", onclick: () => go(step) });
    button.append(element("strong", { textContent: say(key) }), element("span", { textContent: detail }));
    return button;
  };
  const stack = (name) => say("times_layers", SIZES[name]);
  return element(
    "div",
    { className: "flow" },
    box("sentence", FACTS.sentence, "tokens"),
    box("encoder", stack("encoder"), "projections"),
    box("decoder", stack("decoder"), "decoder_input"),
    box(
      "linear_softmax",
      say("over_vocabulary", { vocabulary: SIZES.vocabulary.toLocaleString(state.language) }),
      "probabilities",
    ),
    box("translation", FACTS.translation, "alignment"),
  );
}

function keysTable() {
  const keys = [
    ["← →", "keys_steps"],
    ["L", "keys_layer"],
    ["H", "keys_head"],
    ["T", "keys_token"],
    ["Tab", "keys_matrix"],
    ["D", "keys_theme"],
    ["C", "keys_language"],
  ];
  return table(say("keys_title"), [[say("key"), say("does")], ...keys.map(([key, does]) => [key, say(does)])]);
}

// The switches and what they show; on paper, where nothing switches, another order with positions and without.
function orderFigures() {
  if (printing) return [...orderResult(true, true), ...orderResult(true, false)];
  const toggle = (key, name) => {
    const input = element("input", {
      type: "checkbox",
      id: name,
      checked: state[name],
      onchange: () => update({ [name]: input.checked }),
    });
    return element("label", { className: "switch" }, input, say(key));
  };
  return [
    element("div", { className: "toggles" }, toggle("shuffle", "shuffled"), toggle("use_positions", "positions")),
    ...orderResult(state.shuffled, state.positions),
  ];
}

function orderResult(shuffled, positions) {
  const { places, differences } = FACTS.order;
  const which = positions ? "with" : "without";
  const plain = matrix(positions ? "encoder.output" : "order.without.plain");
  const difference = shuffled ? matrix(`order.${which}.difference`) : map(plain, () => 0);
  const range = rangeOf(plain);
  const read = shuffled ? places.map((place) => SOURCE[place]) : SOURCE;
  let result = note("same_order");
  if (places.every((place, index) => place === index)) result = note("one_word");
  else if (shuffled) result = note(positions ? "unequal" : "equal", { difference: format(differences[which]) });
  return [
    element("p", { className: "read" }, element("strong", { textContent: `${say("read_as")}: ` }), read.join(" ")),
    result,
    grid(
      sourceMap(plain, say("output_plain"), { range }),
      sourceMap(add(plain, difference), say("output_permuted"), { range }),
      sourceMap(difference, say("output_difference"), { range }),
    ),
  ];
}

// Softmax with the division and without, side by side, and one token's shares as bars.
function scalingFigures() {
  const { head, token } = state.encoder;
  const [without, divided] = ["unscaled_weights", "weights"].map((name) => matrix(`${inEncoder()}.${name}`)[head]);
  const greatest = (of) =>
    format(
      Array.from({ length: of.rows }, (_, r) => Math.max(...row(of, r))).reduce((sum, one) => sum + one, 0) / of.rows,
    );
  const options = { columns: SOURCE, range: 1 };
  const shares = (of) =>
    SOURCE.map((label, c) => ({ label, share: row(of, token)[c], text: format(row(of, token)[c]) }));
  return [
    grid(sourceMap(without, say("without_scaling"), options), sourceMap(divided, say("with_scaling"), options)),
    note("greatest_share", {
      without: greatest(without),
      with: greatest(divided),
      root: format(Math.sqrt(SIZES.encoder.d_k)),
    }),
    grid(bars(say("without_scaling"), shares(without)), bars(say("with_scaling"), shares(divided))),
  ];
}

function normFigures(place, sums, choose) {
  const [before, after] = [`${place}.${sums}added`, `${place}.${sums}normed`].map(matrix);
  const values = { token: choose.label };
  const both = [before, after].map((of) => row(of, choose.token));
  const bounds = [Math.min(...both[0], ...both[1]), Math.max(...both[0], ...both[1])];
  return [
    grid(...["before_norm", "after_norm"].map((key, at) => histogram(html(key, values), both[at], ...bounds))),
    grid(choose.map(before, say("sum")), choose.map(after, say("normed"))),
  ];
}

const ofSource = () => ({ token: state.encoder.token, label: sourceToken(), map: sourceMap });

const hiddenName = () => (SIZES.activation === "relu" ? say("hidden") : say("hidden_other", SIZES));

function zeroShare({ values }) {
  return note("zeros", { share: ((100 * values.filter((value) => value === 0).length) / values.length).toFixed(0) });
}

const ENCODER_STEPS = [
  { id: "start", part: "text", draw: () => [startPicture(), keysTable()] },
  { id: "tokens", part: "text", draw: () => [tokenList(SOURCE, FACTS.source.ids)] },
  {
    id: "embeddings",
    part: "text",
    stack: "encoder",
    controls: ["token"],
    equation: "embeddings",
    draw: () => [
      sourceMap(matrix("source.embeddings"), say("embeddings")),
      sourceMap(matrix("source.scaled"), say("scaled")),
    ],
  },
  {
    id: "positions",
    part: "text",
    stack: "encoder",
    controls: ["token"],
    equation: "positions",
    draw: () => [
      sourceMap(matrix("source.positions"), say("positions")),
      sourceMap(matrix("source.scaled"), say("scaled")),
      sourceMap(matrix("encoder.0.input"), say("first_input")),
    ],
  },
  { id: "order", part: "text", stack: "encoder", controls: [], equation: "order", draw: orderFigures },
  {
    id: "projections",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "head", "token"],
    equation: "projections",
    draw() {
      const { head } = state.encoder;
      const columns = ["query", "key", "value"].map((name) => {
        const width = name === "value" ? SIZES.encoder.d_v : SIZES.encoder.d_k;
        const symbol = name[0] === "q" ? "Q" : name[0] === "k" ? "K" : "V";
        return element(
          "div",
          {},
          cornerMap(matrix(`${inEncoder()}.${name}_weight`)[head], `W<sup>${symbol}</sup>`, d_model, width),
          sourceMap(headOf(`${inEncoder()}.${name}`, head, width), symbol),
        );
      });
      return [sourceMap(matrix(`${inEncoder()}.input`), say("input")), grid(...columns)];
    },
  },
  {
    id: "scores",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "head", "token"],
    equation: "scores",
    draw() {
      const { head } = state.encoder;
      const of = (name) => headOf(`${inEncoder()}.${name}`, head, SIZES.encoder.d_k);
      return [
        grid(sourceMap(of("query"), "Q"), sourceMap(of("key"), "K", { chosen: null })),
        sourceMap(matrix(`${inEncoder()}.scores`)[head], say("scores"), { columns: SOURCE }),
      ];
    },
  },
  {
    id: "scaling",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "head", "token"],
    equation: "scaling",
    draw: scalingFigures,
  },
  {
    id: "softmax",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "head", "token"],
    equation: "softmax",
    draw() {
      const weights = matrix(`${inEncoder()}.weights`)[state.encoder.head];
      const scores = matrix(`${inEncoder()}.scaled_scores`)[state.encoder.head];
      const lines = attentionLines(
        say("lines"),
        SOURCE,
        SOURCE,
        [{ weights, color: headColor(state.encoder.head) }],
        null,
      );
      return [
        grid(
          sourceMap(scores, say("scaled_scores"), { columns: SOURCE }),
          sourceMap(weights, say("weights"), { columns: SOURCE, range: 1 }),
        ),
        element("figure", { className: "chart" }, element("figcaption", { textContent: say("lines") }), lines),
      ];
    },
  },
  {
    id: "sums",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "head", "token"],
    equation: "sums",
    draw() {
      const { head, token } = state.encoder;
      const weights = matrix(`${inEncoder()}.weights`)[head];
      const takes = SOURCE.map((label, c) => ({
        label,
        share: row(weights, token)[c],
        text: format(row(weights, token)[c]),
      }));
      const { d_v } = SIZES.encoder;
      return [
        grid(
          sourceMap(weights, say("weights"), { columns: SOURCE, range: 1 }),
          sourceMap(headOf(`${inEncoder()}.value`, head, d_v), "V", { chosen: null }),
        ),
        bars(html("looks_at", { token: sourceToken() }), takes),
        sourceMap(headOf(`${inEncoder()}.sums`, head, d_v), say("sums")),
      ];
    },
  },
  {
    id: "heads",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "head", "token"],
    equation: "heads",
    draw() {
      const { layer, token } = state.encoder;
      const { heads, d_v } = SIZES.encoder;
      const lines = matrix(`${inEncoder()}.weights`).map((weights, head) => ({ weights, color: headColor(head) }));
      const title = say("lines_heads", { token: sourceToken() });
      return [
        element(
          "figure",
          {},
          element("figcaption", { textContent: say("all_weights") }),
          headButtons("encoder", layer, (l) => `encoder.${l}.weights`, true),
        ),
        element(
          "figure",
          { className: "chart" },
          element("figcaption", { textContent: title }),
          attentionLines(title, SOURCE, SOURCE, lines, token),
        ),
        sourceMap(matrix(`${inEncoder()}.sums`), say("concatenated"), {
          breaks: d_v,
          note: say("all_heads", { heads }),
        }),
        cornerMap(matrix(`${inEncoder()}.output_weight`), "W<sup>O</sup>", heads * d_v, d_model),
        sourceMap(matrix(`${inEncoder()}.attended`), say("projected")),
      ];
    },
  },
  {
    id: "norm",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "token"],
    equation: "norm",
    draw: () => [
      grid(
        sourceMap(matrix(`${inEncoder()}.input`), say("residual")),
        sourceMap(matrix(`${inEncoder()}.attended`), say("sublayer")),
      ),
      ...normFigures(inEncoder(), "", ofSource()),
    ],
  },
  {
    id: "feed_forward",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "token"],
    equation: "feed_forward",
    draw: () => [
      grid(
        cornerMap(matrix(`${inEncoder()}.first_weight`), "W<sub>1</sub>", d_model, SIZES.encoder.d_ff),
        cornerMap(matrix(`${inEncoder()}.second_weight`), "W<sub>2</sub>", SIZES.encoder.d_ff, d_model),
      ),
      sourceMap(matrix(`${inEncoder()}.hidden`), hiddenName()),
      ...(SIZES.activation === "relu" ? [zeroShare(matrix(`${inEncoder()}.hidden`))] : []),
      sourceMap(matrix(`${inEncoder()}.feed_forward`), say("ffn")),
      ...normFigures(inEncoder(), "feed_forward_", ofSource()),
    ],
  },
  {
    id: "layers",
    part: "encoder",
    stack: "encoder",
    controls: ["layer", "head"],
    equation: "layers",
    draw: () => [
      stackTable("encoder", (layer) => `encoder.${layer}.weights`),
      outputsByLayer("encoder", SOURCE, () => null),
    ],
  },
];

// The vectors of all tokens behind each layer, flat; then the last one's to be read.
function outputsByLayer(stack, rows, blank) {
  const figure = element("figure", {}, element("figcaption", { textContent: say("stack_output") }));
  for (let layer = 0; layer < SIZES[stack].layers; layer++) {
    const options = {
      name: say("after_layer", { layer: layer + 1 }),
      rows,
      blank,
      rowHeight: layer === state[stack].layer ? 20 : 5,
    };
    figure.append(heatMap(matrix(outputOf(stack, layer)), { ...options, small: layer !== state[stack].layer }));
  }
  return figure;
}
