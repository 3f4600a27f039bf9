// What is no heat map: tokens, bars, distributions, lines of attention, the beams' tree, the order of computation.

const HEAD_COLORS = ["#0b62ad", "#c24f00", "#1a7f37", "#9a3ba8", "#b08800", "#0f8b8d", "#c0264b", "#6b5b95"];
const HEAD_COLORS_DARK = ["#79c0ff", "#ffa657", "#7ee787", "#d2a8ff", "#e3c64a", "#5fd4d6", "#ff8fa3", "#b8a9e0"];
const headColor = (head) =>
  (document.documentElement.dataset.theme === "dark" ? HEAD_COLORS_DARK : HEAD_COLORS)[head % 8];

function vector(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function picture(width, height, label, className = "") {
  return vector("svg", {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": label,
    class: className,
  });
}

// Tokens with their ids; `notes` stands below each.
function tokenList(tokens, notes, chosen = null) {
  const list = element("ol", { className: "tokens" });
  tokens.forEach((token, place) => {
    const item = element("li", { className: place === chosen ? "chosen" : "" });
    item.append(element("span", { className: "token", textContent: token.replaceAll(" ", "·") }));
    item.append(element("span", { className: "under", textContent: notes[place] }));
    list.append(item);
  });
  return list;
}

// Rows {label, share, text, chosen}; share is the bar's length.
function bars(title, rows) {
  const table = element("table", { className: "bars" }, element("caption", { innerHTML: title }));
  for (const { label, share, text, strong } of rows) {
    const bar = element("span", { className: "bar" });
    bar.style.width = `${Math.max(0, share) * 100}%`;
    const line = element("tr", { className: strong ? "strong" : "" });
    line.append(
      element("th", { scope: "row", textContent: label.trim() || label }),
      element("td", {}, bar),
      element("td", { textContent: text }),
    );
    table.append(line);
  }
  return table;
}

// A table of plain values; the first row is the head.
function table(title, [head, ...rows]) {
  const made = element("table", { className: "values" }, element("caption", { innerHTML: title }));
  made.append(
    element("thead", {}, element("tr", {}, ...head.map((cell) => element("th", { scope: "col", innerHTML: cell })))),
  );
  const body = element("tbody");
  for (const cells of rows)
    body.append(
      element(
        "tr",
        { className: cells.chosen ? "strong" : "" },
        ...cells.map((cell) => element("td", { textContent: cell })),
      ),
    );
  made.append(body);
  return element("div", { className: "scroller" }, made);
}

// How the values of one token are spread between `low` and `high`.
function histogram(title, values, low, high) {
  const width = 320;
  const height = 130;
  const { mean: center, deviation } = moments(values);
  const bins = new Array(41).fill(0);
  values.forEach((value) => bins[Math.min(40, Math.floor(((value - low) / (high - low || 1)) * 41))]++);
  const most = Math.max(...bins);
  const label = say("spread", { mean: format(center), deviation: format(deviation) });
  const svg = picture(width, height, `${bare(title)}: ${label}`, "histogram");
  bins.forEach((count, bin) => {
    const tall = (count / most) * (height - 24);
    svg.append(vector("rect", { x: (bin * width) / 41, y: height - 20 - tall, width: width / 41 - 1, height: tall }));
  });
  svg.append(vector("text", { x: 0, y: height - 4 }, format(low)));
  svg.append(vector("text", { x: width, y: height - 4, "text-anchor": "end" }, format(high)));
  return element(
    "figure",
    { className: "chart" },
    element("figcaption", { innerHTML: title }),
    svg,
    element("p", { className: "readout", textContent: label }),
  );
}

// Where all rows are shown, so many lines of each: a browser would take long to paint thousands.
const MOST_LINES = 10;

// Lines from the tokens on the left to those that they attend to on the right; `heads` are {weights, color}, and a
// head's lines lie a little beside the others'.
function attentionLines(label, left, right, heads, chosen) {
  const step = 24;
  const width = 440;
  const [from, to] = [width * 0.36, width * 0.64];
  const svg = picture(width, Math.max(left.length, right.length) * step + 8, label, "lines");
  const y = (place) => place * step + step / 2 + 4;
  heads.forEach(({ weights, color }, head) => {
    const beside = heads.length > 1 ? ((head + 0.5) / heads.length - 0.5) * (step - 6) : 0;
    for (let r = 0; r < weights.rows; r++) {
      if (chosen !== null && r !== chosen) continue;
      const falling = [...row(weights, r)].sort((one, other) => other - one);
      // Less is hardly to be seen, yet no row goes without a line.
      const least = Math.max(Math.min(0.02, falling[0]), (chosen === null && falling[MOST_LINES - 1]) || 0);
      row(weights, r).forEach((weight, c) => {
        if (weight < least) return;
        const line = vector("line", {
          x1: from,
          y1: y(r) + beside,
          x2: to,
          y2: y(c) + beside,
          stroke: color,
          "stroke-width": 3,
          "stroke-opacity": Math.min(1, weight).toFixed(3), // not opacity, which gives each a layer
        });
        line.append(vector("title", {}, `${left[r]} → ${right[c]}: ${format(weight)}`));
        svg.append(line);
      });
    }
  });
  left.forEach((token, place) =>
    svg.append(
      vector(
        "text",
        { x: from - 8, y: y(place), "text-anchor": "end", class: place === chosen ? "chosen" : "" },
        token.trim() || token,
      ),
    ),
  );
  right.forEach((token, place) => svg.append(vector("text", { x: to + 8, y: y(place) }, token.trim() || token)));
  return svg;
}

// -------------------------------------------------------------------------------------------------------------------
// The beams

const descends = (nodes, place, from) => {
  while (place > from) place = nodes[place].parent;
  return place === from;
};

function hypothesis(place) {
  const words = [];
  for (let at = place; at >= 0; at = FACTS.search.nodes[at].parent) words.unshift(FACTS.search.nodes[at].text);
  return words.join("");
}

// The tree up to a step; a column a step, the beams in order of their scores, what ended below them.
function beamTree(step) {
  const { nodes, winner, beams, steps } = FACTS.search;
  const [wide, tall] = [104, 44];
  const shown = nodes.map((node, place) => ({ ...node, place })).filter((node) => node.step <= step);
  const lane = (node) => (node.score === null ? node.beam : beams + endedBefore(nodes, node));
  const lanes = Math.max(beams, ...shown.map((node) => lane(node) + 1));
  const svg = picture((step + 2) * wide, lanes * tall + 8, say("tree_label", { step: step + 1 }), "tree");
  const x = (node) => (node ? (node.step + 1) * wide : 0) + 4;
  const y = (node) => (node ? lane(node) : 0) * tall + tall / 2 + 4;
  const last = step === steps - 1;
  const alive = new Set(); // what a hypothesis of this step, or one that ended, goes through
  for (const node of shown)
    if (node.step === step || node.score !== null)
      for (let at = node.place; at >= 0; at = nodes[at].parent) alive.add(at);
  const best = new Set();
  if (last) for (let at = winner; at >= 0; at = nodes[at].parent) best.add(at);
  const box = wide - 22;
  const style = (place) => (best.has(place) ? "best" : alive.has(place) ? "alive" : "dropped");
  for (const node of shown) {
    const parent = node.parent >= 0 ? nodes[node.parent] : null;
    const [x1, y1, x2, y2] = [x(parent) + box, y(parent), x(node), y(node)];
    svg.append(
      vector("path", {
        d: `M${x1} ${y1} C${x1 + 12} ${y1} ${x2 - 12} ${y2} ${x2} ${y2}`,
        class: `edge ${style(node.place)}`,
      }),
    );
  }
  const draw = (node, text, below, kind) => {
    const spot = vector("g", { class: `node ${kind}`, transform: `translate(${x(node)} ${y(node) - 17})` });
    spot.append(vector("rect", { width: box, height: 34, rx: 5 }));
    spot.append(
      vector(
        "text",
        { x: box / 2, y: 15, "text-anchor": "middle" },
        text.length > 11 ? `${text.slice(0, 10)}…` : text,
      ),
    );
    spot.append(vector("text", { x: box / 2, y: 28, "text-anchor": "middle", class: "number" }, below));
    if (node) spot.append(vector("title", {}, `${hypothesis(node.place)}: ${below}`));
    svg.append(spot);
  };
  draw(null, FACTS.input.texts[0], "0", "alive");
  for (const node of shown) {
    const ended = node.score !== null;
    draw(
      node,
      node.text.trim() || node.text,
      format(ended ? node.score : node.log_probability),
      `${style(node.place)}${ended ? " ended" : ""}`,
    );
  }
  const scroller = element("div", { className: "scroller tree-scroller", tabIndex: 0, role: "group" }, svg);
  scroller.setAttribute("aria-label", say("tree"));
  scroller.measure = scroller.size = () => {};
  scroller.draw = () => (scroller.scrollLeft = svg.width.baseVal.value);
  return scroller;
}

function endedBefore(nodes, node) {
  return nodes.filter((other) => other.score !== null && other.step === node.step && other.beam < node.beam).length;
}

// -------------------------------------------------------------------------------------------------------------------
// The order of computation

// A grid of positions and layers, each with the number of the step in which it can be computed at the earliest.
function dependencies(label, tokens, layers, recurrent) {
  const [wide, tall, radius] = [46, 56, 14];
  const svg = picture(tokens.length * wide + 12, (layers + 1) * tall, label, "dependencies");
  const x = (place) => place * wide + wide / 2 + 6;
  const y = (layer) => (layers - layer) * tall - tall / 2;
  const arrow = (x1, y1, x2, y2) => svg.append(vector("line", { x1, y1, x2, y2 }));
  tokens.forEach((token, place) => {
    for (let layer = 0; layer < layers; layer++) {
      if (recurrent) {
        if (place > 0) arrow(x(place - 1) + radius, y(layer), x(place) - radius, y(layer));
        arrow(x(place), y(layer - 1) - (layer ? radius : 12), x(place), y(layer) + radius);
      } else
        tokens.forEach((_, from) => arrow(x(from), y(layer - 1) - (layer ? radius : 12), x(place), y(layer) + radius));
    }
  });
  const steps = recurrent ? tokens.length + layers - 1 : layers;
  tokens.forEach((token, place) => {
    for (let layer = 0; layer < layers; layer++) {
      const step = recurrent ? place + layer : layer;
      const color = `hsl(${210 - (170 * step) / Math.max(1, steps - 1)} 60% 42%)`;
      svg.append(vector("circle", { cx: x(place), cy: y(layer), r: radius, fill: color }));
      svg.append(
        vector("text", { x: x(place), y: y(layer), "text-anchor": "middle", class: "inside" }, String(step + 1)),
      );
    }
    const short = token.trim() || token;
    svg.append(
      vector(
        "text",
        { x: x(place), y: y(-1), "text-anchor": "middle" },
        short.length > 6 ? `${short.slice(0, 5)}…` : short,
      ),
    );
  });
  return element(
    "figure",
    { className: "chart" },
    element("figcaption", { innerHTML: label }),
    element("div", { className: "scroller" }, svg),
  );
}
