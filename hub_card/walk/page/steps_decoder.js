// The steps from the decoder's input to the translation, and why it is done this way.

const TARGET = FACTS.target.texts;
const INPUT = FACTS.input.texts;

const inDecoder = () => `decoder.${state.decoder.layer}`;
const chooseTarget = (token) => update({ decoder: { token } });
const notWritten = (r) => (r > state.decoder.token ? say("not_yet") : null);
const writing = TARGET.map((token) => `→ ${token.trim()}`);

// A matrix whose rows are the decoder's positions, named by what is written there; later ones are still empty.
function targetMap(of, name, options = {}) {
  return heatMap(of, {
    name,
    rows: writing,
    chosen: state.decoder.token,
    choose: chooseTarget,
    blank: notWritten,
    ...options,
  });
}

function maskedFigures() {
  const { head } = state.decoder;
  const scores = matrix(`${inDecoder()}.scaled_scores`)[head];
  const weights = matrix(`${inDecoder()}.weights`)[head];
  const masked = (r, c) => notWritten(r) ?? (c > r ? MASKED : null);
  const { d_k, d_v } = SIZES.decoder;
  const of = (name, width) => headOf(`${inDecoder()}.${name}`, head, width);
  return [
    grid(
      targetMap(scores, say("masked_scores"), { columns: INPUT, blank: masked }),
      targetMap(weights, say("weights"), { columns: INPUT, range: 1 }),
    ),
    grid(
      targetMap(of("query", d_k), "Q"),
      targetMap(of("key", d_k), "K", { rows: INPUT, chosen: null }),
      targetMap(of("value", d_v), "V", { rows: INPUT, chosen: null }),
      targetMap(of("sums", d_v), say("sums")),
    ),
  ];
}

function crossFigures() {
  const { head, token } = state.decoder;
  const place = `${inDecoder()}.cross`;
  const weights = matrix(`${place}.weights`)[head];
  const { d_k, d_v } = SIZES.decoder;
  const ofSource = (name, width, label) =>
    heatMap(headOf(`${place}.${name}`, head, width), { name: label, rows: SOURCE });
  const lines = attentionLines(say("lines"), writing, SOURCE, [{ weights, color: headColor(head) }], token);
  return [
    grid(
      targetMap(weights, say("weights"), { columns: SOURCE, range: 1 }),
      element("figure", { className: "chart" }, element("figcaption", { textContent: say("lines") }), lines),
    ),
    grid(
      targetMap(headOf(`${place}.query`, head, d_k), say("query_decoder")),
      ofSource("key", d_k, say("key_encoder")),
      ofSource("value", d_v, say("value_encoder")),
      targetMap(headOf(`${place}.sums`, head, d_v), say("sums")),
    ),
  ];
}

function probabilityFigures() {
  const { token } = state.decoder;
  const labels = FACTS.top[token];
  const logits = row(matrix("top.logits"), token);
  const shares = row(matrix("top.probabilities"), token);
  const prefix = INPUT.slice(1, token + 1).join("") || INPUT[0];
  const rows = labels.map((label, place) => ({
    label,
    share: shares[place],
    text: `${(100 * shares[place]).toFixed(2)} %  (${say("logit")} ${format(logits[place])})`,
    strong: label === TARGET[token],
  }));
  const output = matrix("decoder.output");
  const vector = { rows: 1, columns: output.columns, values: row(output, token) };
  const values = { count: labels.length, vocabulary: SIZES.vocabulary.toLocaleString(state.language), prefix };
  return [
    heatMap(vector, { name: say("final_vector", { position: token + 1 }), rows: [writing[token]], note: "" }),
    bars(html("top", values), rows),
  ];
}

function beamFigures() {
  const { nodes, steps, winner, alpha, penalty } = FACTS.search;
  const lengthPenalty = (length) => (penalty === "wu" ? ((5 + length) / 6) ** alpha : length ** alpha);
  const places = nodes.map((_, place) => place);
  const now = places.filter((place) => nodes[place].step === state.search && nodes[place].score === null);
  const ended = places.filter((place) => nodes[place].step <= state.search && nodes[place].score !== null);
  ended.sort((one, other) => nodes[other].score - nodes[one].score);
  const line = (place) => {
    const { step, log_probability: sum, score } = nodes[place];
    const cells = [
      hypothesis(place),
      format(sum),
      step + 1,
      format(lengthPenalty(step + 1)),
      score === null ? "" : format(score),
    ];
    cells.chosen = state.search === steps - 1 && place === winner;
    return cells;
  };
  const head = ["hypothesis", "log_probability", "length", "penalty", "score"].map((key) => say(key));
  const figures = [element("figure", {}, element("figcaption", { textContent: say("tree") }), beamTree(state.search))];
  if (now.length)
    figures.push(
      table(say("beams_now", { step: state.search + 1 }), [
        head.slice(0, 2),
        ...now.map((place) => line(place).slice(0, 2)),
      ]),
    );
  if (ended.length) figures.push(table(say("ended_so_far"), [head, ...ended.map(line)]));
  if (state.search === steps - 1) figures.push(note("won", { text: FACTS.translation }));
  return figures;
}

function alignmentFigures() {
  const weights = alignment();
  const { token } = state.decoder;
  const title = say("mean_alignment");
  const figures = [
    grid(
      targetMap(weights, title, { columns: SOURCE, range: 1, blank: () => null }),
      element(
        "figure",
        { className: "chart" },
        element("figcaption", { textContent: say("lines_most", { count: MOST_LINES }) }),
        attentionLines(title, TARGET, SOURCE, [{ weights, color: headColor(0) }], null),
      ),
    ),
  ];
  const { example } = FACTS;
  if (example)
    figures.unshift(
      note("verb", {
        ...example,
        share: (100 * example.share).toFixed(1),
      }),
    );
  const takes = SOURCE.map((label, c) => ({
    label,
    share: row(weights, token)[c],
    text: format(row(weights, token)[c]),
    strong: example?.sources.includes(c) && token === example.position,
  }));
  figures.push(bars(html("looks_at", { token: TARGET[token].trim() }), takes));
  return figures;
}

function parallelFigures() {
  const { times } = FACTS;
  const { layers } = SIZES.encoder;
  const tokens = SOURCE.slice(0, 12);
  const drawn = Math.min(layers, 6);
  const cut = tokens.length < SOURCE.length ? ` (${say("first_positions", { count: tokens.length })})` : "";
  const row = (key, name, steps) => [
    say(key),
    times[`${name}_parameters`].toLocaleString(state.language),
    steps,
    times[name].toFixed(1),
  ];
  return [
    dependencies(say("recurrent_drawing") + cut, tokens, drawn, true),
    dependencies(say("parallel_drawing") + cut, tokens, drawn, false),
    table(say("measured", { threads: times.threads, tokens: SOURCE.length }), [
      ["network", "parameters", "dependent_steps", "milliseconds"].map((key) => say(key)),
      row("encoder_row", "encoder", layers),
      row("recurrent_row", "recurrent", SOURCE.length + layers - 1),
    ]),
  ];
}

const DECODER_STEPS = [
  {
    id: "decoder_input",
    part: "decoder",
    stack: "decoder",
    controls: ["token"],
    equation: "decoder_input",
    draw: () => [
      element(
        "figure",
        {},
        element("figcaption", { textContent: say("shifted") }),
        tokenList(
          INPUT.slice(0, state.decoder.token + 1),
          TARGET.map((token) => `→ ${token.trim()}`),
          state.decoder.token,
        ),
      ),
      targetMap(matrix("decoder.0.input"), say("first_input"), { rows: INPUT }),
    ],
  },
  {
    id: "masked",
    part: "decoder",
    stack: "decoder",
    controls: ["layer", "head", "token"],
    equation: "masked",
    draw: maskedFigures,
  },
  {
    id: "cross",
    part: "decoder",
    stack: "decoder",
    controls: ["layer", "head", "token"],
    equation: "cross",
    draw: crossFigures,
  },
  {
    id: "decoder_layers",
    part: "decoder",
    stack: "decoder",
    controls: ["layer", "head", "token"],
    equation: "decoder_layers",
    draw: () => [
      stackTable("decoder", (layer) => `decoder.${layer}.cross.weights`),
      grid(
        targetMap(matrix(`${inDecoder()}.normed`), say("after_self")),
        targetMap(matrix(`${inDecoder()}.cross.normed`), say("after_cross")),
      ),
      targetMap(matrix(`${inDecoder()}.hidden`), hiddenName()),
      outputsByLayer("decoder", writing, notWritten),
    ],
  },
  {
    id: "probabilities",
    part: "decoder",
    stack: "decoder",
    controls: ["token"],
    equation: "probabilities",
    draw: probabilityFigures,
  },
  { id: "beams", part: "decoder", controls: ["search"], equation: "beams", draw: beamFigures },
  { id: "alignment", part: "decoder", stack: "decoder", controls: ["token"], draw: alignmentFigures },
  { id: "parallel", part: "why", equation: "parallel", draw: parallelFigures },
];
