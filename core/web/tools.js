// What the owners' pages share: how they ask, what they tell, what they are drawn with. The script behind it says who
// answers, as `WHO`, and which store of the browser keeps the token, as `room`.

const API = "api/v1/";
/** Milliseconds from one look to the next. */
const EVERY = 2000;
/** So many looks a plot has: five minutes. */
const SAMPLES = 150;

const $ = (id) => document.getElementById(id);

// --- asking --------------------------------------------------------------------------------------------------------

/** An answer that refuses, in the words of who gave it. */
class Refused extends Error {
  constructor(status, said) {
    super(said?.hint ? `${said.error}: ${said.hint}` : said?.error ?? `the ${WHO} answers ${status}`);
    this.status = status;
  }
}

const bearer = () => ({ authorization: `Bearer ${room.getItem("token")}` });

/** The answer to a request with `body` as JSON, if there is one; a refusal is thrown. */
async function answerTo(method, path, headers, body, keepalive = false) {
  const init = { method, headers: { ...headers }, cache: "no-store", keepalive };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const answer = await fetch(API + path, init).catch(() => {
    throw new Error(silence());
  });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => null));
  return answer;
}

/** Shows a dialog and gives the value of the button that closed it. */
function asked(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((closed) => dialog.addEventListener("close", () => closed(dialog.returnValue), { once: true }));
}

/** Has `refresh` look again and again, as long as somebody looks at the page. */
function keepFresh(refresh) {
  setInterval(() => {
    if (!document.hidden) refresh();
  }, EVERY);
}

// --- telling -------------------------------------------------------------------------------------------------------

function tell(trouble) {
  $("trouble").textContent = trouble ? `${trouble.message ?? trouble}.` : "";
  $("trouble").hidden = !trouble;
}

const silence = () => `The ${WHO} does not answer. This page asks again, and goes on when it is back`;

/** Tells why a look failed: what refuses it says so, everything else is silence. */
function tellFailed(trouble) {
  tell(trouble.status ? trouble : silence());
}

/** Silence is over. */
function tellAnswered() {
  if ($("trouble").textContent === `${silence()}.`) tell();
}

function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024) return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} TiB`;
}

const rate = (n) => `${bytes(n)}/s`;
const day = (time) => new Date(time).toLocaleDateString([], { dateStyle: "medium" });
const moment = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
const wayIn = (status) => (status.reached ? `Reached from outside: ${status.reached.text}.` : "");

// --- drawing -------------------------------------------------------------------------------------------------------

/** An element with these attributes, listeners and parts; what is `null` or `false` it has not. */
function make(name, attributes, ...inside) {
  return dress(document.createElement(name), attributes, inside);
}

/** The same of what is drawn in lines. */
function shape(name, attributes, ...inside) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, inside);
}

function dress(element, attributes = {}, inside) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...inside.flat().filter((part) => part != null && part !== false));
  return element;
}

/** What was drawn last, each with a key. */
const drawn = new Map();

/**
 * The element of `key`, which is drawn anew only where what it `looks` like changed, so that what is pressed or open
 * stays. `draw` makes it, and with it what brings it the rest of `it`, if there is such.
 */
function drawnOnce(key, looks, it, draw) {
  const text = JSON.stringify(looks);
  let last = drawn.get(key);
  if (last?.text !== text) {
    last = { text, ...draw() };
    drawn.set(key, last);
  }
  last.update?.(it);
  return last.element;
}

/** Puts these elements in place of those that are there, unless they are there. */
function putIn(parent, wanted) {
  const there = [...parent.children];
  const isSame = wanted.length === there.length && wanted.every((it, n) => it === there[n] || (it.tagName !== "ARTICLE" && it.isEqualNode(there[n])));
  if (!isSame) parent.replaceChildren(...wanted);
}

function drawFigures(list, shown) {
  const pairs = Object.entries(shown).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
  list.replaceChildren(...pairs);
}

/** A plot without lines yet, and what it shows in words. */
function plotOf(words) {
  return shape("svg", { viewBox: "0 0 600 120", preserveAspectRatio: "none", role: "img", "aria-label": words });
}

/** The line through `parts` of the whole, the last of which are the newest. */
function line(name, parts) {
  const first = SAMPLES - parts.length;
  const points = parts.map((part, n) => `${(((first + n) / (SAMPLES - 1)) * 600).toFixed(1)},${(118 - part * 112).toFixed(1)}`);
  return shape("path", { class: name, d: `M${points.join("L")}` });
}

/** Draws the rates of each of `names` in `samples`, the last on top, and tells the greatest in `most`. */
function drawRates(plot, most, samples, names) {
  const top = Math.max(1024, ...samples.flatMap((it) => names.map((name) => it[name])));
  plot.replaceChildren(...names.map((name) => line(name, samples.map((it) => it[name] / top))));
  most.textContent = rate(top);
}
