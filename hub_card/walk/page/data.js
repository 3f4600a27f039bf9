// What Python recorded, and what follows from it in an instant: softmax, weighted sums, norms.
//
// A matrix is {rows, columns, values}, row by row; of one with heads in front there is one such matrix a head.

const FACTS = JSON.parse(document.getElementById("facts").textContent);
const TEXTS = JSON.parse(document.getElementById("texts").textContent);
const SIZES = FACTS.sizes;

let numbers; // all matrices, one behind the other, as 16-bit integers
const known = new Map(); // what has been read or computed, by name

async function unpack() {
  const packed = Uint8Array.from(atob(document.getElementById("matrices").textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer()); // all low ones, then all high ones
  const count = bytes.length / 2;
  numbers = new Int16Array(count);
  for (let place = 0; place < count; place++) numbers[place] = bytes[place] | (bytes[count + place] << 8);
}

// The matrix of a name, or the list of matrices, one a head, of one that has heads.
function matrix(name) {
  if (!known.has(name)) known.set(name, name in FACTS.matrices ? stored(FACTS.matrices[name]) : derived(name));
  return known.get(name);
}

function stored({ start, shape, unit }) {
  const [rows, columns] = shape.slice(-2);
  const slices = Array.from({ length: shape.length === 3 ? shape[0] : 1 }, (_, head) => {
    const from = start + head * rows * columns;
    const whole = Float32Array.from(numbers.subarray(from, from + rows * columns));
    return { rows, columns, values: whole.map((n) => n * unit) };
  });
  return shape.length === 3 ? slices : slices[0];
}

// What is computed here; `place` is a layer, as "encoder.0", or the attention to the source, as "decoder.0.cross".
const RULES = {
  // of "source" and "target"
  scaled: (place) => map(matrix(`${place}.embeddings`), (value) => value * Math.sqrt(SIZES.d_model)),
  // of an attention
  scaled_scores: (place) =>
    matrix(`${place}.scores`).map((scores) => map(scores, (score) => score / Math.sqrt(stackOf(place).d_k))),
  weights: (place) => matrix(`${place}.scaled_scores`).map((scores) => softmax(scores, isMasked(place))),
  unscaled_weights: (place) => matrix(`${place}.scores`).map((scores) => softmax(scores, isMasked(place))),
  mean_weights: (place) => mean(matrix(`${place}.weights`)),
  sums: (place) => weightedSums(matrix(`${place}.weights`), matrix(`${place}.value`)),
  added: (place) => add(matrix(residualOf(place)), matrix(`${place}.attended`)),
  normed: (place) => norm(matrix(`${place}.added`), `${place}.norm`),
  // of a feed-forward network of the encoder
  feed_forward_added: (place) => add(matrix(`${place}.normed`), matrix(`${place}.feed_forward`)),
  feed_forward_normed: (place) => norm(matrix(`${place}.feed_forward_added`), `${place}.feed_forward_norm`),
};

function derived(name) {
  const end = name.lastIndexOf(".");
  return RULES[name.slice(end + 1)](name.slice(0, end));
}

const stackOf = (place) => SIZES[place.split(".")[0]];
const isMasked = (place) => place.startsWith("decoder") && !place.endsWith("cross");
const residualOf = (place) => (place.endsWith(".cross") ? `${place.slice(0, -6)}.normed` : `${place}.input`);
const outputOf = (stack, layer) =>
  layer + 1 < SIZES[stack].layers ? `${stack}.${layer + 1}.input` : `${stack}.output`;

function map(of, change) {
  return { ...of, values: of.values.map(change) };
}

function add(one, other) {
  return { ...one, values: one.values.map((value, index) => value + other.values[index]) };
}

function mean(list) {
  return {
    ...list[0],
    values: list[0].values.map((_, index) => list.reduce((sum, one) => sum + one.values[index], 0) / list.length),
  };
}

function row(of, index) {
  return of.values.subarray(index * of.columns, (index + 1) * of.columns);
}

// The columns `from` to `from + width`, or the first rows.
function columnsOf(of, from, width) {
  const values = new Float32Array(of.rows * width);
  for (let r = 0; r < of.rows; r++) values.set(row(of, r).subarray(from, from + width), r * width);
  return { rows: of.rows, columns: width, values };
}

function headOf(name, head, width) {
  return columnsOf(matrix(name), head * width, width);
}

function transposed(of) {
  const values = new Float32Array(of.values.length);
  for (let r = 0; r < of.rows; r++)
    for (let c = 0; c < of.columns; c++) values[c * of.rows + r] = of.values[r * of.columns + c];
  return { rows: of.columns, columns: of.rows, values };
}

// Each row's shares; with a mask, a row sees no column behind its own.
function softmax(scores, masked) {
  const values = new Float32Array(scores.values.length);
  for (let r = 0; r < scores.rows; r++) {
    const seen = row(scores, r).subarray(0, masked ? r + 1 : scores.columns);
    const greatest = seen.reduce((one, other) => Math.max(one, other));
    const shares = seen.map((score) => Math.exp(score - greatest));
    const total = shares.reduce((sum, share) => sum + share, 0);
    shares.forEach((share, c) => (values[r * scores.columns + c] = share / total));
  }
  return { ...scores, values };
}

// Z of all heads, side by side, from each head's weights and all heads' V.
function weightedSums(weights, value) {
  const width = value.columns / weights.length;
  const { rows, columns } = weights[0];
  const values = new Float32Array(rows * value.columns);
  weights.forEach((head, h) => {
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const weight = head.values[r * columns + c];
        for (let d = h * width; d < (h + 1) * width; d++)
          values[r * value.columns + d] += weight * value.values[c * value.columns + d];
      }
  });
  return { rows, columns: value.columns, values };
}

function moments(values) {
  const center = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - center) ** 2, 0) / values.length;
  return { mean: center, variance, deviation: Math.sqrt(variance) };
}

// LayerNorm with the learned gain and bias of a name.
function norm(of, name) {
  const gain = matrix(`${name}.gain`).values;
  const bias = matrix(`${name}.bias`).values;
  const values = new Float32Array(of.values.length);
  for (let r = 0; r < of.rows; r++) {
    const { mean: center, variance } = moments(row(of, r));
    const scale = 1 / Math.sqrt(variance + SIZES.epsilon);
    row(of, r).forEach((value, c) => (values[r * of.columns + c] = (value - center) * scale * gain[c] + bias[c]));
  }
  return { ...of, values };
}

// Mean over the heads of the decoder's upper layers, whose attention to the source is what aligns best.
function alignment() {
  const layers = Array.from({ length: SIZES.decoder.layers }, (_, layer) => layer);
  const upper = layers.slice(Math.floor(layers.length / 2));
  return mean(upper.map((layer) => matrix(`decoder.${layer}.cross.mean_weights`)));
}
