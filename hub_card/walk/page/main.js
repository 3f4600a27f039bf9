// The story: which step is shown, how a reader moves, language, theme and print.

const STEPS = [...ENCODER_STEPS, ...DECODER_STEPS];
const WIDE = window.matchMedia("(min-width: 960px)"); // the contents stand beside the step
const main = document.getElementById("main");
const byId = (id) => document.getElementById(id);
let printing = false;
let shown = null; // the step and the language that stand on the page

const escaped = (text) => element("span", { textContent: text }).innerHTML;
const bare = (html) => element("span", { innerHTML: html }).textContent;

// The text of a key in the reader's language; values in braces are filled in.
function say(key, values = {}) {
  return TEXTS[state.language].ui[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// The same for innerHTML: what is filled in is text, whatever it looks like.
function html(key, values = {}) {
  const safe = Object.entries(values).map(([name, value]) => [name, escaped(String(value))]);
  return say(key, Object.fromEntries(safe));
}

function stepText(step) {
  const { title, text } = TEXTS[state.language].steps[step.id];
  const stack = step.part === "decoder" ? SIZES.decoder : SIZES.encoder;
  const values = {
    ...stack,
    d_model,
    vocabulary: SIZES.vocabulary.toLocaleString(state.language),
    beams: FACTS.search.beams,
    root: format(Math.sqrt(step.id === "scaling" ? stack.d_k : d_model)),
  };
  return { title, text: text.map((part) => part.replace(/\{(\w+)\}/g, (_, name) => values[name])) };
}

// -------------------------------------------------------------------------------------------------------------------
// What is chosen

function update(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (typeof value === "object") Object.assign(state[name], value);
    else state[name] = value;
  }
  render();
}

function go(step) {
  const place = typeof step === "number" ? step : STEPS.findIndex(({ id }) => id === step);
  if (place < 0 || place >= STEPS.length) return;
  window.scrollTo(0, 0); // while the page is still laid out
  update({ step: place });
  history.replaceState(null, "", `#${STEPS[place].id}`);
  announce(`${say("place", { step: place + 1, steps: STEPS.length })}: ${bare(stepText(STEPS[place]).title)}`);
}

function announce(text) {
  byId("live").textContent = text;
}

// The selectors: where their value stands, how many there are, and what each is called.
const SELECTORS = {
  layer: { key: "l", count: (stack) => SIZES[stack].layers, name: (_, place) => String(place + 1) },
  head: { key: "h", count: (stack) => SIZES[stack].heads, name: (_, place) => String(place + 1) },
  token: {
    key: "t",
    count: (stack) => (stack === "encoder" ? SOURCE : TARGET).length,
    name: (stack, place) => `${place + 1}  ${(stack === "encoder" ? SOURCE : TARGET)[place].trim()}`,
  },
  search: { key: "t", count: () => FACTS.search.steps, name: (_, place) => String(place + 1) },
};

const valueOf = (what, stack) => (what === "search" ? state.search : state[stack][what]);

function select(what, stack, place) {
  const { count, name } = SELECTORS[what];
  if (place < 0 || place >= count(stack)) return;
  update(what === "search" ? { search: place } : { [stack]: { [what]: place } });
  announce(`${labelOf(what, stack)} ${name(stack, place)}`);
}

function labelOf(what, stack) {
  if (what === "search") return say("search_step");
  return say(what === "token" && stack === "decoder" ? "position" : what);
}

function selector(what, stack) {
  const label = labelOf(what, stack);
  const { count, name, key } = SELECTORS[what];
  const id = `select-${what}`;
  const list = element("select", { id, onchange: () => select(what, stack, Number(list.value)) });
  for (let place = 0; place < count(stack); place++)
    list.append(element("option", { value: place, textContent: name(stack, place) }));
  list.setAttribute("aria-keyshortcuts", key);
  const arrow = (sign, by, text) => {
    const button = element("button", {
      type: "button",
      textContent: sign,
      onclick: () => select(what, stack, valueOf(what, stack) + by),
    });
    button.setAttribute("aria-label", say(text, { what: label }));
    return button;
  };
  const box = element("div", { className: "selector" }, element("label", { htmlFor: id, textContent: label }));
  box.append(arrow("‹", -1, "earlier"), list, arrow("›", 1, "later"));
  box.update = () => (list.value = valueOf(what, stack));
  return box;
}

// -------------------------------------------------------------------------------------------------------------------
// The page

function section(step) {
  const { title, text } = stepText(step);
  const made = element("section", {}, element("h1", { innerHTML: title }));
  const words = element("div", { className: "words" }, ...text.map((part) => element("p", { innerHTML: part })));
  made.append(words);
  if (step.equation) words.append(equation(step.equation));
  const controls = element(
    "div",
    { className: "controls" },
    ...(step.controls ?? []).map((what) => selector(what, step.stack)),
  );
  if (step.controls?.length) made.append(controls);
  const figures = element("div", { className: "figures" });
  made.append(figures);
  made.update = () => {
    const stops = [...figures.querySelectorAll("canvas[tabindex], button, input")];
    const focused = stops.indexOf(document.activeElement);
    for (const one of controls.children) one.update();
    figures.replaceChildren(...step.draw());
    const drawn = [...figures.querySelectorAll(".matrix, .tree-scroller")];
    for (const one of drawn) one.measure(); // all of them before any is drawn: the browser lays the page out once
    for (const one of drawn) one.size();
    // A click is answered with what the reader sees; what is below the screen is drawn a frame later.
    const below = (one) => !printing && one.getBoundingClientRect().top > window.innerHeight;
    const later = drawn.filter(below);
    for (const one of drawn) if (!later.includes(one)) one.draw();
    afterPainting(() => later[0]?.isConnected && later.forEach((one) => one.draw()));
    if (focused >= 0) figures.querySelectorAll("canvas[tabindex], button, input")[focused]?.focus();
  };
  return made;
}

function render() {
  const step = STEPS[state.step];
  if (shown?.step !== step || shown.language !== state.language) {
    shown = { step, language: state.language, section: section(step) };
    main.replaceChildren(shown.section);
    frame();
  }
  shown.section.update();
  prepare(STEPS[state.step + 1]);
}

// Once the browser has painted the next frame.
const afterPainting = (work) => requestAnimationFrame(() => setTimeout(work));

// Works out in a quiet moment what the step that probably comes next will show; its matrices are then known.
const quietMoment = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 200));
const prepared = new Set();
function prepare(step) {
  if (!step || prepared.has(step)) return;
  prepared.add(step);
  quietMoment(() => step.draw());
}

// What stands around the step.
function frame() {
  document.documentElement.lang = state.language === "zh" ? "zh-Hans" : "en";
  document.title = `${bare(stepText(STEPS[state.step]).title)} · ${FACTS.sentence}`;
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = say(one.dataset.text);
  byId("model-name").textContent = FACTS.model;
  const other = state.language === "en" ? "zh" : "en";
  Object.assign(byId("language"), { textContent: TEXTS[other].name, lang: other });
  byId("previous").textContent = `← ${say("previous")}`;
  byId("next").textContent = `${say("next")} →`;
  byId("previous").disabled = state.step === 0;
  byId("next").disabled = state.step === STEPS.length - 1;
  byId("place").textContent = say("place", { step: state.step + 1, steps: STEPS.length });
  nameTheme();
  if (byId("steps").lang !== state.language) byId("steps").replaceChildren(...contents());
  byId("steps").lang = state.language;
  byId("steps").querySelector("[aria-current]")?.removeAttribute("aria-current");
  const current = byId("steps").querySelector(`[href="#${STEPS[state.step].id}"]`);
  current.setAttribute("aria-current", "step");
  if (WIDE.matches) current.scrollIntoView({ block: "nearest" });
}

function contents() {
  return Object.entries(TEXTS[state.language].parts).flatMap(([part, name]) => {
    const list = element("ol");
    STEPS.forEach((step, place) => {
      if (step.part !== part) return;
      list.append(
        element("li", {}, element("a", { href: `#${step.id}`, innerHTML: `${place + 1}. ${stepText(step).title}` })),
      );
    });
    return [element("h2", { textContent: name }), list];
  });
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  nameTheme();
  if (shown) render();
}

function nameTheme() {
  byId("theme").textContent = say(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

function switchTheme() {
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

function switchLanguage() {
  update({ language: state.language === "en" ? "zh" : "en" });
  announce(TEXTS[state.language].name);
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select")) return;
  const { scrollWidth, clientWidth } = event.target;
  if (event.target.matches(".scroller, .equation") && scrollWidth > clientWidth && event.key.startsWith("Arrow")) return;
  const key = event.key.toLowerCase();
  const by = event.shiftKey ? -1 : 1;
  const { stack, controls = [] } = STEPS[state.step];
  const what = controls.find((name) => SELECTORS[name].key === key);
  if (event.key === "ArrowLeft") go(state.step - 1);
  else if (event.key === "ArrowRight") go(state.step + 1);
  else if (what) select(what, stack, valueOf(what, stack) + by);
  else if (key === "d") switchTheme();
  else if (key === "c") switchLanguage();
}

// On paper all steps stand one behind the other, as they are chosen now.
function print() {
  printing = true;
  const before = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  const sections = STEPS.map(section);
  main.replaceChildren(...sections);
  for (const one of sections) one.update();
  window.addEventListener(
    "afterprint",
    () => {
      printing = false;
      shown = null;
      setTheme(before);
      render();
    },
    { once: true },
  );
}

async function start() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  if (typeof DecompressionStream === "undefined") {
    main.textContent = say("no_decompression");
    return;
  }
  await unpack();
  if (FACTS.example)
    Object.assign(state.decoder, {
      token: FACTS.example.position,
      layer: FACTS.example.layer,
      head: FACTS.example.head,
    });
  byId("contents").open = WIDE.matches;
  byId("previous").onclick = () => go(state.step - 1);
  byId("next").onclick = () => go(state.step + 1);
  byId("theme").onclick = switchTheme;
  byId("language").onclick = switchLanguage;
  byId("steps").addEventListener("click", (event) => {
    if (event.target.closest("a") && !WIDE.matches) byId("contents").open = false;
  });
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", () => go(location.hash.slice(1)));
  let width = window.innerWidth; // on a phone the height changes as the reader scrolls
  window.addEventListener("resize", () => {
    if (width !== window.innerWidth) render();
    width = window.innerWidth;
  });
  window.addEventListener("beforeprint", print);
  globalThis.walk = { FACTS, STEPS, matrix, alignment, state }; // for the console
  state.step = Math.max(
    0,
    STEPS.findIndex(({ id }) => `#${id}` === location.hash),
  );
  render();
}

await start();
