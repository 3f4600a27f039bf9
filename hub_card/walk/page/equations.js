// The paper's equations as MathML, which browsers set themselves.

const sign = (text) => `<mi>${text}</mi>`;
const op = (text) => `<mo>${text}</mo>`;
const number = (text) => `<mn>${text}</mn>`;
const group = (...parts) => `<mrow>${parts.join("")}</mrow>`;
const sub = (base, index) => `<msub>${base}${index}</msub>`;
const sup = (base, index) => `<msup>${base}${index}</msup>`;
const over = (top, bottom) => `<mfrac>${top}${bottom}</mfrac>`;
const root = (inside) => `<msqrt>${inside}</msqrt>`;
const brackets = (...parts) => {
  const tall = parts.join("").includes("<mfrac"); // only these need tall ones
  const [open, close] = ["(", ")"].map((one) => `<mo stretchy="${tall}">${one}</mo>`);
  return group(open, ...parts, close);
};
const of = (name, ...inside) => group(sign(name), op("&ApplyFunction;"), brackets(...inside));

const D_MODEL = sub(sign("d"), "<mtext>model</mtext>");
const D_K = sub(sign("d"), sign("k"));
const Q = sign("Q");
const K = sign("K");
const V = sign("V");
const X = sign("X");
const X_ENCODER = sub(X, "<mtext>encoder</mtext>");
const weight = (name) => sup(sign("W"), sign(name));
const KEYS = sup(K, sign("T"));
const SCALED = over(group(Q, KEYS), root(D_K));
const projection = (name, from = X) => group(sign(name), op("="), from, weight(name));
const WAVE = over(sign("pos"), sup(number("10000"), group(number("2"), sign("i"), op("/"), D_MODEL)));
const SCALED_EMBEDDINGS = group(root(D_MODEL), sign("E"));
const SIGNALS = sign(SIZES.positions === "sinusoidal" ? "PE" : "P");
const INPUT_SUM = group(X, op("="), SCALED_EMBEDDINGS, op("+"), SIGNALS);
const WEIGHTED_SUM = group(sign("Z"), op("="), of("softmax", SCALED), V);
const ORDER = sign("Π");
const ACTIVATION = SIZES.activation === "relu" ? ["max", number("0"), op(",")] : [SIZES.activation];
const encoder = (...inside) => of("Encoder", ...inside);
const layerNorm = (input, sublayer) => of("LayerNorm", input, op("+"), sublayer);
const NEXT_LAYER = group(
  sub(X, group(sign("ℓ"), op("+"), number("1"))),
  op("="),
  group(sub(sign("Layer"), sign("ℓ")), op("&ApplyFunction;"), brackets(sub(X, sign("ℓ")))),
);

const EQUATIONS = {
  embeddings: [
    group(sub(sign("x"), sign("i")), op("="), root(D_MODEL), op("·"), sub(sign("E"), sub(sign("id"), sign("i")))),
  ],
  positions:
    SIZES.positions === "sinusoidal"
      ? [
          group(sub(sign("PE"), group(sign("pos"), op(","), number("2"), sign("i"))), op("="), of("sin", WAVE)),
          group(
            sub(sign("PE"), group(sign("pos"), op(","), number("2"), sign("i"), op("+"), number("1"))),
            op("="),
            of("cos", WAVE),
          ),
          INPUT_SUM,
        ]
      : [INPUT_SUM],
  order: [
    group(encoder(ORDER, SCALED_EMBEDDINGS), op("="), ORDER, op("·"), encoder(SCALED_EMBEDDINGS)),
    group(
      encoder(ORDER, SCALED_EMBEDDINGS, op("+"), SIGNALS),
      op("≠"),
      ORDER,
      op("·"),
      encoder(SCALED_EMBEDDINGS, op("+"), SIGNALS),
    ),
  ],
  projections: ["Q", "K", "V"].map((name) => projection(name)),
  scores: [group(sign("S"), op("="), Q, KEYS)],
  scaling: [of("softmax", sign("S")), of("softmax", over(sign("S"), root(D_K)))],
  softmax: [
    group(
      sub(sign("a"), group(sign("i"), sign("j"))),
      op("="),
      over(
        sup(sign("e"), group(sub(sign("s"), group(sign("i"), sign("j"))), op("/"), root(D_K))),
        group(
          sub(op("∑"), sign("m")),
          sup(sign("e"), group(sub(sign("s"), group(sign("i"), sign("m"))), op("/"), root(D_K))),
        ),
      ),
    ),
  ],
  sums: [WEIGHTED_SUM],
  heads: [
    group(
      sign("MultiHead"),
      op("="),
      of("Concat", sub(sign("head"), number("1")), op(","), op("…"), op(","), sub(sign("head"), sign("h"))),
      weight("O"),
    ),
  ],
  norm: [
    layerNorm(sign("x"), of("Sublayer", sign("x"))),
    group(
      of("LayerNorm", sign("y")),
      op("="),
      sign("g"),
      op("·"),
      over(group(sign("y"), op("−"), sign("μ")), root(group(sup(sign("σ"), number("2")), op("+"), sign("ε")))),
      op("+"),
      sign("b"),
    ),
  ],
  feed_forward: [
    group(
      of("FFN", sign("x")),
      op("="),
      of(...ACTIVATION, sign("x"), sub(sign("W"), number("1")), op("+"), sub(sign("b"), number("1"))),
      sub(sign("W"), number("2")),
      op("+"),
      sub(sign("b"), number("2")),
    ),
  ],
  layers: [NEXT_LAYER],
  decoder_input: [INPUT_SUM],
  masked: [
    of("softmax", SCALED, op("+"), sign("M")),
    group(
      sub(sign("M"), group(sign("i"), sign("j"))),
      op("="),
      op("−"),
      sign("∞"),
      "<mtext>&#xa0;</mtext>",
      brackets(sign("j"), op("&gt;"), sign("i")),
      "<mtext>,&#xa0;</mtext>",
      number("0"),
      "<mtext>&#xa0;</mtext>",
      brackets(sign("j"), op("≤"), sign("i")),
    ),
  ],
  cross: [
    projection("Q", sub(X, "<mtext>decoder</mtext>")),
    projection("K", X_ENCODER),
    projection("V", X_ENCODER),
    WEIGHTED_SUM,
  ],
  decoder_layers: [
    group(sub(X, number("1")), op("="), layerNorm(X, of("MaskedAttention", X))),
    group(
      sub(X, number("2")),
      op("="),
      layerNorm(sub(X, number("1")), of("Attention", sub(X, number("1")), op(","), X_ENCODER)),
    ),
    group(sub(X, number("3")), op("="), layerNorm(sub(X, number("2")), of("FFN", sub(X, number("2"))))),
  ],
  probabilities: [
    group(sub(sign("P"), sign("t")), op("="), of("softmax", sub(sign("x"), sign("t")), sup(sign("E"), sign("T")))),
  ],
  beams: [
    group(
      sign("score"),
      op("="),
      over(
        group(sign("log"), op("&ApplyFunction;"), sign("P"), brackets(sign("Y"), op("|"), sign("X"))),
        of("lp", sign("Y")),
      ),
    ),
    FACTS.search.penalty === "wu"
      ? group(
          of("lp", sign("Y")),
          op("="),
          sup(
            brackets(over(group(number("5"), op("+"), op("|"), sign("Y"), op("|")), number("6"))),
            number(String(FACTS.search.alpha)),
          ),
        )
      : group(
          of("lp", sign("Y")),
          op("="),
          sup(group(op("|"), sign("Y"), op("|")), number(String(FACTS.search.alpha))),
        ),
  ],
  parallel: [
    group(
      sub(sign("h"), sign("t")),
      op("="),
      of("LSTM", sub(sign("h"), group(sign("t"), op("−"), number("1"))), op(","), sub(sign("x"), sign("t"))),
    ),
    NEXT_LAYER,
  ],
};

function equation(id) {
  const element = document.createElement("div");
  element.className = "equation";
  element.lang = "en"; // Chinese fonts have no tall brackets
  element.innerHTML = EQUATIONS[id].map((body) => `<div><math displaystyle="true">${body}</math></div>`).join("");
  return element;
}
