// A matrix as a heat map on a canvas: values by pointer or by arrow keys, a row chosen by click or Enter.

const LABEL_FONT = "13px system-ui, sans-serif";
const ROW_HEIGHT = 20; // where columns have no labels
const WIDEST_CELL = 40;
const NARROWEST_CELL = 16; // of a column with a label; a wider matrix scrolls
const WIDTH_FOR_DIGITS = 34;
const MASKED = "−∞"; // what stands in place of a score that the mask has taken

// White, or black in the dark, is 0; what is positive is blue and what is negative orange, for all eyes' sake.
const COLORS = {
  light: {
    zero: [255, 255, 255],
    positive: [11, 83, 148],
    negative: [190, 84, 0],
    line: "#1a1a1a",
    text: "#24292f",
    edge: "#d1d9e0",
    empty: [240, 242, 244],
    masked: [140, 146, 154],
  },
  dark: {
    zero: [24, 28, 34],
    positive: [121, 192, 255],
    negative: [255, 166, 87],
    line: "#f0f3f6",
    text: "#d4dae1",
    edge: "#363d47",
    empty: [32, 37, 44],
    masked: [96, 104, 114],
  },
};
const colors = () => COLORS[document.documentElement.dataset.theme];

// The theme's colors of the shares -1 to 1 of a range, in steps of 1 / LEVELS.
const LEVELS = 256;
const palettes = {};
function palette() {
  return (palettes[document.documentElement.dataset.theme] ??= Array.from({ length: 2 * LEVELS + 1 }, (_, place) => {
    const { zero, positive, negative } = colors();
    const share = place / LEVELS - 1;
    const strength = Math.abs(share) ** 0.8; // small values are seen, too
    const end = share < 0 ? negative : positive;
    return zero.map((from, channel) => Math.round(from + (end[channel] - from) * strength));
  }));
}

const colorOf = (shades, share) => shades[Math.round((Math.min(1, Math.max(-1, share)) + 1) * LEVELS)];

function format(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const shown = size >= 100 ? value.toFixed(1) : size >= 0.0005 ? value.toFixed(3) : value.toExponential(1);
  return shown.replaceAll("-", "−");
}

// Beyond three times the root of the mean square there is the full color, so that single high values hide nothing.
function rangeOf({ values }) {
  let greatest = 0;
  let squares = 0;
  for (const value of values) {
    greatest = Math.max(greatest, Math.abs(value));
    squares += value * value;
  }
  return Math.min(greatest, 3 * Math.sqrt(squares / values.length)) || 1;
}

// Options: name, the caption's first part; note, its second; rows and columns, labels (columns: null for dimensions,
// which are counted); range, the value of the full color; chosen, a row; choose(row); blank(row, column), what stands
// in place of a value, or nothing; breaks, a line before every so many columns; corner, of a larger matrix;
// small, a picture without values.
function heatMap(of, options) {
  const { name, note = "", rows, columns = null, chosen = null, choose = null, blank = () => null } = options;
  const range = options.range ?? rangeOf(of);
  const figure = element("figure", { className: options.small ? "matrix small" : "matrix" });
  const caption = element("figcaption", {}, element("span", { className: "symbol", innerHTML: name }));
  if (!options.corner)
    caption.append(" ", element("span", { className: "shape", textContent: `${of.rows} × ${of.columns}` }));
  if (note) caption.append(element("span", { className: "note", textContent: note }));
  const canvas = element("canvas");
  const marker = element("div", { className: "marker", hidden: true });
  const scroller = element("div", { className: "scroller" }, element("div", { className: "board" }, canvas, marker));
  figure.append(caption, scroller);
  const plain = caption.firstChild.textContent;
  const rowLabel = (r) => (rows ? rows[r].trim() || rows[r] : `${r + 1}`);
  const columnLabel = (c) => (columns ? columns[c].trim() || columns[c] : `${c + 1}`);
  let geometry = null;

  function measure(pen) {
    pen.font = LABEL_FONT;
    const longest = (labels) => Math.max(...labels.map((label) => pen.measureText(label).width));
    const narrow = figure.room < 500;
    const left = rows && !options.small ? Math.min(longest(rows) + 10, narrow ? 92 : 170) : 0;
    const top = columns && !options.small ? Math.min(longest(columns) + 8, 92) : 0;
    const space = figure.room - left - 2;
    const bounds = columns && !options.small ? [NARROWEST_CELL, WIDEST_CELL] : [0, options.small ? 24 : 14];
    const width = Math.min(Math.max(space / of.columns, bounds[0]), bounds[1]);
    const height = options.rowHeight ?? (columns || options.small ? Math.min(width, 30) : rows ? ROW_HEIGHT : width);
    return { left, top, width, height };
  }

  // Takes the room that the picture needs; a small one has a pixel a value, since a step with all heads of all layers
  // has too many pictures for more.
  function size() {
    geometry = measure(canvas.getContext("2d"));
    const { left, top, width, height } = geometry;
    const full = { width: Math.ceil(left + width * of.columns + 2), height: Math.ceil(top + height * of.rows + 2) };
    geometry.density = Math.max(window.devicePixelRatio || 1, printing ? 2 : 1);
    if (options.small) Object.assign(canvas, { width: of.columns, height: of.rows });
    else Object.assign(canvas, { width: full.width * geometry.density, height: full.height * geometry.density });
    Object.assign(canvas.style, { width: `${full.width}px`, height: `${full.height}px` });
  }

  function draw() {
    const pen = canvas.getContext("2d");
    if (options.small) return pen.putImageData(pixels(of, range, blank), 0, 0);
    const { left, top, width, height, density } = geometry;
    pen.scale(density, density);
    const picture = new OffscreenCanvas(of.columns, of.rows);
    picture.getContext("2d").putImageData(pixels(of, range, blank), 0, 0);
    pen.imageSmoothingEnabled = width < 1;
    pen.drawImage(picture, left, top, width * of.columns, height * of.rows);
    const { line, text, edge } = colors();
    pen.strokeStyle = edge;
    pen.strokeRect(left, top, width * of.columns, height * of.rows);
    pen.font = LABEL_FONT;
    pen.fillStyle = text;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    rows?.forEach((label, r) => pen.fillText(fitted(pen, label, left - 8), left - 6, top + (r + 0.5) * height));
    pen.textAlign = "left";
    columns?.forEach((label, c) => {
      pen.save();
      pen.translate(left + (c + 0.5) * width, top - 5);
      pen.rotate(-Math.PI / 2);
      pen.fillText(fitted(pen, label, top - 6), 0, 0);
      pen.restore();
    });
    if (columns && !options.small && width >= WIDTH_FOR_DIGITS) digits(pen);
    pen.strokeStyle = line;
    pen.lineWidth = 1;
    for (let c = options.breaks; c < of.columns; c += options.breaks) {
      pen.beginPath();
      pen.moveTo(left + c * width, top);
      pen.lineTo(left + c * width, top + height * of.rows);
      pen.stroke();
    }
    if (chosen !== null) {
      pen.lineWidth = 2;
      pen.strokeRect(left, top + chosen * height, width * of.columns, height);
    }
  }

  function digits(pen) {
    const { left, top, width, height } = geometry;
    pen.textAlign = "center";
    pen.font = "11px system-ui, sans-serif";
    const shades = palette();
    for (let r = 0; r < of.rows; r++)
      for (let c = 0; c < of.columns; c++) {
        const instead = blank(r, c);
        const value = of.values[r * of.columns + c];
        const [red, green, blue] = colorOf(shades, instead ? 0 : value / range);
        if (instead && instead !== MASKED) continue;
        pen.fillStyle = red * 0.299 + green * 0.587 + blue * 0.114 > 140 ? "#1a1a1a" : "#ffffff";
        const shown =
          instead ?? (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2));
        pen.fillText(shown.replace("-", "−"), left + (c + 0.5) * width, top + (r + 0.5) * height);
      }
  }

  figure.measure = () => (figure.room = figure.clientWidth);
  Object.assign(figure, { size, draw });
  if (options.small) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", plain);
    return figure;
  }

  const readout = element("output", { className: "readout" });
  const scale = legend(of, range);
  readout.append(scale);
  figure.append(readout);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", say("matrix"));
  canvas.setAttribute(
    "aria-label",
    `${plain}, ${of.rows} × ${of.columns}. ${say(choose ? "matrix_help_choose" : "matrix_help")}`,
  );
  let cell = null;

  function show(r, c) {
    cell = [r, c];
    const { left, top, width, height } = geometry;
    Object.assign(marker.style, {
      left: `${left + c * width}px`,
      top: `${top + r * height}px`,
      width: `${Math.max(width, 3)}px`,
      height: `${height}px`,
    });
    marker.hidden = false;
    const where = columns
      ? `${rowLabel(r)} → ${columnLabel(c)}`
      : `${rowLabel(r)}, ${say("dimension")} ${columnLabel(c)}`;
    readout.textContent = `${where}: ${blank(r, c) ?? format(of.values[r * of.columns + c])}`;
  }

  function hide() {
    cell = null;
    marker.hidden = true;
    readout.replaceChildren(scale);
  }

  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const r = Math.floor((event.clientY - box.top - geometry.top) / geometry.height);
    const c = Math.floor((event.clientX - box.left - geometry.left) / geometry.width);
    return r >= 0 && r < of.rows && c < of.columns ? [r, c] : null;
  }

  canvas.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    if (at && at[1] >= 0) show(...at);
    else hide();
  });
  canvas.addEventListener("pointerleave", hide);
  canvas.addEventListener("blur", hide);
  canvas.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at && choose) choose(at[0]);
  });
  const moves = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    PageUp: [0, -10],
    PageDown: [0, 10],
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.key in moves) {
      const [down, right] = moves[event.key];
      const [r, c] = cell ?? [chosen ?? 0, 0];
      const bounded = (place, count) => Math.min(Math.max(place, 0), count - 1);
      if (cell) show(bounded(r + down, of.rows), bounded(c + right, of.columns));
      else show(r, c);
    } else if (event.key === "Enter" && cell && choose) choose(cell[0]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return figure;
}

// One pixel a value.
function pixels(of, range, blank) {
  const image = new ImageData(of.columns, of.rows);
  const { empty, masked } = colors();
  const shades = palette();
  for (let r = 0, at = 0; r < of.rows; r++)
    for (let c = 0; c < of.columns; c++, at += 4) {
      const instead = blank(r, c);
      const color =
        instead === null ? colorOf(shades, of.values[at / 4] / range) : instead === MASKED ? masked : empty;
      for (let channel = 0; channel < 3; channel++) image.data[at + channel] = color[channel];
      image.data[at + 3] = 255;
    }
  return image;
}

function fitted(pen, label, width) {
  if (pen.measureText(label).width <= width) return label;
  let shown = label;
  while (shown && pen.measureText(`${shown}…`).width > width) shown = shown.slice(0, -1);
  return `${shown}…`;
}

// The colors' scale, which stands where values are read as long as none is.
function legend({ values }, range) {
  const signed = values.some((value) => value < 0);
  const beyond = values.some((value) => Math.abs(value) > range * 1.0005); // which the number would not show
  const bar = element("span", { className: signed ? "scale signed" : "scale" });
  const low = signed ? `${beyond ? "≤ " : ""}${format(-range)}` : "0";
  return element("span", { className: "legend" }, low, bar, `${beyond ? "≥ " : ""}${format(range)}`);
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
