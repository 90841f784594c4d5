// The owner's page: everything it shows and does goes through /api/v1, with a token that stays in this browser tab.
"use strict";

const API = "api/v1/";
const CHUNK = 16 * 1024 * 1024;
const EVERY = 2000;
const SAMPLES = 150;
const ROLES = ["read-only", "editor", "owner"];

const $ = (id) => document.getElementById(id);
const room = sessionStorage;
let role = null;
let samples = [];
let busy = false;

// What stands behind the `#` is never sent, and is not left in the address.
if (location.hash.length > 1) {
  room.setItem("token", decodeURIComponent(location.hash.slice(1)));
  history.replaceState(null, "", location.pathname);
}

class Refused extends Error {
  constructor(status, said) {
    super(said?.hint ? `${said.error}: ${said.hint}` : said?.error ?? `the publisher answers ${status}`);
    this.status = status;
  }
}

function headers(more) {
  return { authorization: `Bearer ${room.getItem("token")}`, ...more };
}

async function ask(method, path, body, more) {
  const init = { method, headers: headers(more), cache: "no-store" };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const answer = await fetch(API + path, init);
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => null));
  return answer;
}

const json = async (...call) => (await ask(...call)).json();

function tell(trouble) {
  $("trouble").textContent = trouble ? `${trouble.message ?? trouble}.` : "";
  $("trouble").hidden = !trouble;
}

function make(name, attributes = {}, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...inside.filter((part) => part != null));
  return element;
}

function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024) return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} TiB`;
}

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;
const here = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
const may = (needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);

/** A time as `datetime-local` wants it. */
function local(time) {
  const at = new Date(time);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

// --- figures -------------------------------------------------------------------------------------------------------

function figures(status) {
  const peers = status.episodes.reduce((sum, episode) => sum + (episode.swarm?.peers ?? 0), 0);
  const shown = {
    "To peers": `${bytes(status.up_rate)}/s`,
    "Sent to peers": bytes(status.uploaded),
    "Sent over HTTP": bytes(status.sent_over_http),
    "Peers connected": peers,
  };
  $("figures").replaceChildren(
    ...Object.entries(shown).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)))),
  );
  $("reached").textContent = status.reached ? `Reached from outside: ${status.reached.text}.` : "";
}

/** The line through `parts` of the whole, the last of which are the newest. */
function line(name, parts) {
  const first = SAMPLES - parts.length;
  const points = parts.map((part, n) => `${(((first + n) / (SAMPLES - 1)) * 600).toFixed(1)},${(118 - part * 112).toFixed(1)}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("class", name);
  path.setAttribute("d", `M${points.join("L")}`);
  return path;
}

function sample(status) {
  const now = performance.now();
  const last = samples.at(-1);
  const seconds = last ? (now - last.now) / 1000 : 0;
  const rate = (of) => (last ? Math.max(0, status[of] - last[of]) / seconds : 0);
  samples.push({
    now,
    uploaded: status.uploaded,
    sent_over_http: status.sent_over_http,
    swarm: rate("uploaded"),
    web: rate("sent_over_http"),
  });
  samples = samples.slice(-SAMPLES);
  const most = Math.max(1024, ...samples.flatMap((it) => [it.swarm, it.web]));
  const rates = (of) => line(of, samples.map((it) => it[of] / most));
  $("plot").replaceChildren(rates("web"), rates("swarm"));
  $("most").textContent = `${bytes(most)}/s`;
}

// --- episodes ------------------------------------------------------------------------------------------------------

function stands(episode) {
  if (episode.error) return episode.error;
  if (episode.draft) return "A draft: nobody sees it yet.";
  if (!episode.released) return `Appears on ${here(episode.published)}.`;
  const swarm = episode.swarm;
  if (!swarm) return "Out, and not seeded at the moment.";
  const copies = (Math.floor(swarm.copies_milli / 100) / 10).toFixed(1);
  const safe = swarm.copies_milli >= 1000 ? "the swarm is safe without you" : "stay on";
  return [
    `${copies} copies out, ${safe}`,
    count(swarm.incomplete, "listener fetching", "listeners fetching"),
    `${swarm.downloaded} fetched in full`,
    `${bytes(swarm.uploaded)} to peers`,
  ].join(" · ");
}

/** The copies of each episode that were out, as it was looked at. */
const spread = new Map();

/** Draws how an episode has spread while this page was open, as long as it still does. */
function drawSpread(figure, episode) {
  const copies = [...(spread.get(episode.guid) ?? []), episode.swarm?.copies_milli ?? 0].slice(-SAMPLES);
  spread.set(episode.guid, copies);
  const most = Math.max(1000, ...copies);
  figure.hidden = !episode.swarm || (episode.swarm.incomplete === 0 && copies.every((it) => it === copies[0]));
  if (figure.hidden) return;
  figure.querySelector("svg").replaceChildren(line("swarm", copies.map((it) => it / most)));
  figure.querySelector("figcaption").textContent = `Copies out in the last five minutes, up to ${(most / 1000).toFixed(1)}`;
}

function spreadFigure(title) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const looks = { viewBox: "0 0 600 120", preserveAspectRatio: "none", role: "img", "aria-label": `How ${title} spreads` };
  for (const [name, value] of Object.entries(looks)) svg.setAttribute(name, value);
  return make("figure", { hidden: true }, svg, make("figcaption", { class: "soft" }));
}

/** One that was drawn before is drawn anew only where it changed, so that what is pressed stays. */
const drawn = new Map();

function article(episode) {
  const { swarm, ...rest } = episode;
  const looks = JSON.stringify([rest, role]);
  const before = drawn.get(episode.guid);
  if (before?.looks === looks) {
    before.update(episode);
    return before.element;
  }
  const text = make("p", { class: "stands" });
  const bar = make("progress", { max: 1000, "aria-label": `How much of ${episode.title} is out` });
  const figure = spreadFigure(episode.title);
  const update = (now) => {
    text.textContent = stands(now);
    bar.value = Math.min(1000, now.swarm?.copies_milli ?? 0);
    bar.hidden = !now.swarm || now.swarm.copies_milli >= 1000;
    drawSpread(figure, now);
  };
  const name = { show: episode.show, episode: episode.guid };
  const title = episode.released
    ? make("a", { href: new URL(episode.page).pathname.replace(/^.*\/shows\//, "shows/") }, episode.title)
    : episode.title;
  const facts = [here(episode.published), bytes(episode.length)].join(" · ");
  const file = make("input", { type: "file", hidden: true, onchange: (event) => replace(episode, event.target.files[0]) });
  const acts = may("editor") && make(
    "p",
    { class: "row" },
    !episode.released ? make("button", { type: "button", onclick: () => act("POST", "episodes/release", name) }, "Release now") : null,
    make("button", { type: "button", onclick: () => edit(episode) }, "Edit"),
    make("button", { type: "button", onclick: () => file.click() }, "Replace file"),
    make("button", { type: "button", onclick: () => unpublish(episode) }, episode.released ? "Take back" : "Discard"),
    file,
  );
  const element = make(
    "article",
    { "data-guid": episode.guid },
    make("div", { class: "head" }, make("h3", {}, title), make("span", { class: "soft" }, facts)),
    text,
    bar,
    figure,
    acts || null,
  );
  update(episode);
  drawn.set(episode.guid, { looks, element, update });
  return element;
}

function episodes(shows, status) {
  const sections = shows.map((show) => {
    const own = status.episodes.filter((episode) => episode.show === show.slug);
    return [make("h2", {}, show.title), ...own.map(article), own.length ? null : make("p", { class: "soft" }, "No episode yet.")];
  });
  const wanted = sections.flat().filter(Boolean);
  const there = [...$("shows").children];
  const isSame = wanted.length === there.length && wanted.every((it, n) => it === there[n] || (it.tagName !== "ARTICLE" && it.isEqualNode(there[n])));
  if (!isSame) $("shows").replaceChildren(...wanted);
}

async function act(method, path, body) {
  try {
    await ask(method, path, body);
    tell();
  } catch (trouble) {
    tell(trouble);
  }
  await refresh();
}

/** Shows a dialog and gives the value of the button that closed it. */
function asked(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((closed) => dialog.addEventListener("close", () => closed(dialog.returnValue), { once: true }));
}

async function edit(episode) {
  const form = $("editor").querySelector("form");
  const was = {
    title: episode.title,
    notes: episode.notes ?? "",
    season: episode.season ?? "",
    number: episode.number ?? "",
    at: local(episode.published),
  };
  for (const [name, value] of Object.entries(was)) form.elements[name].value = value;
  if ((await asked($("editor"))) !== "save") return;
  const fields = {};
  for (const [name, value] of Object.entries(was)) {
    const now = form.elements[name].value;
    if (now === String(value)) continue;
    if (name === "at") fields.at = new Date(now).toISOString();
    else if (name === "season" || name === "number") fields[name] = Number(now);
    else fields[name] = now;
  }
  if (Object.keys(fields).length) await act("PATCH", "episodes", { show: episode.show, episode: episode.guid, fields });
}

async function unpublish(episode) {
  if ((await asked($("farewell"))) !== "yes") return;
  await act("POST", "episodes/unpublish", { show: episode.show, episode: episode.guid, delete_file: false });
}

// --- publishing ----------------------------------------------------------------------------------------------------

/** Sends one part of a file; the request that tells how far it is. */
function send(path, part, offset, progress) {
  return new Promise((sent, failed) => {
    const request = new XMLHttpRequest();
    request.open("PATCH", API + path);
    const fields = headers({ "upload-offset": offset, "content-type": "application/offset+octet-stream" });
    for (const [name, value] of Object.entries(fields)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(offset + event.loaded));
    request.addEventListener("load", () => {
      if (request.status === 204) return sent(Number(request.getResponseHeader("upload-offset")));
      let said = null;
      try {
        said = JSON.parse(request.responseText);
      } catch {
        // Whoever stands between answers in words of his own.
      }
      failed(new Refused(request.status, said));
    });
    request.addEventListener("error", () => failed(new Error("the line broke")));
    request.send(part);
  });
}

/** Uploads a file, going on where the line broke, and gives its number. */
async function upload(file, progress) {
  const { upload } = await json("POST", "uploads", undefined, { "upload-length": file.size });
  const path = `uploads/${upload}`;
  let offset = 0;
  for (let fruitless = 0; offset < file.size; ) {
    try {
      offset = await send(path, file.slice(offset, offset + CHUNK), offset, progress);
      fruitless = 0;
    } catch (trouble) {
      if (trouble.status || fruitless === 6) throw trouble;
      await new Promise((waited) => setTimeout(waited, 1000 * 2 ** fruitless));
      fruitless += 1;
      const extent = await ask("GET", path).catch(() => null);
      if (extent) offset = Number(extent.headers.get("upload-offset"));
    }
  }
  return upload;
}

/** Has an upload published, and gives what the publisher tells last. */
async function published(request, progress) {
  const answer = await ask("POST", "publish", request);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let last = null;
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (text + (value ?? "")).split("\n");
    text = done ? "" : lines.pop();
    for (const line of lines.filter((line) => line.trim())) {
      last = JSON.parse(line);
      if (last.hashing) progress(last.hashing.done, last.hashing.total);
    }
    if (done) break;
  }
  if (last?.published) return last.published;
  throw new Refused(0, last?.unreadable ?? (last?.error ? last : { error: "the publisher broke off" }));
}

/** Uploads and publishes one file, and shows how far it is. */
async function bring(file, said, replaces) {
  const bar = make("progress", { max: file.size || 1, value: 0, "aria-label": `Sending ${file.name}` });
  const word = make("span", {}, `${file.name}: sending`);
  $("uploads").append(make("li", {}, word, bar));
  try {
    const number = await upload(file, (done) => {
      bar.value = done;
    });
    word.textContent = `${file.name}: hashing`;
    const request = { source: { upload: number }, name: file.name, in_place: false, said, replaces };
    const done = await published(request, (part, total) => {
      [bar.value, bar.max] = [part, total];
    });
    const what = done.already ? "was published already" : done.revised ? "is in its place" : done.live ? "is out" : "is recorded";
    word.replaceChildren(`${file.name} ${what}: “${done.episode.title}”`, ...done.warnings.map((warning) => make("span", { class: "soft" }, ` ${warning}`)));
  } catch (trouble) {
    word.textContent = `${file.name} is not published: ${trouble.message}`;
  }
  bar.remove();
  await refresh();
}

async function replace(episode, file) {
  if (file) await bring(file, { show: episode.show }, { show: episode.show, episode: episode.guid });
}

function prepare() {
  const form = $("publish");
  const { files, when, at } = form.elements;
  const button = form.querySelector("button");
  const ready = () => {
    const chosen = [...files.files].map((file) => file.name);
    form.querySelector(".drop span").textContent = chosen.length ? chosen.join(", ") : "Drop audio or video here, or choose files";
    button.disabled = chosen.length === 0;
    form.elements.title.disabled = chosen.length > 1;
  };
  files.addEventListener("change", ready);
  when.addEventListener("change", () => {
    $("at").hidden = when.value !== "at";
    at.required = when.value === "at";
  });
  for (const [name, isOver] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    $("drop").addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", isOver);
      if (name === "drop" && event.dataTransfer.files.length) {
        files.files = event.dataTransfer.files;
        ready();
      }
    });
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = [...files.files];
    const said = { show: form.elements.show.value || null, notes: form.elements.notes.value || null };
    if (chosen.length === 1 && form.elements.title.value) said.title = form.elements.title.value;
    if (when.value === "draft") said.draft = true;
    if (when.value === "next") said.next = true;
    if (when.value === "at") said.at = new Date(at.value).toISOString();
    const show = form.elements.show.value;
    form.reset();
    form.elements.show.value = show;
    when.dispatchEvent(new Event("change"));
    ready();
    for (const file of chosen) await bring(file, said);
  });
}

function offer(shows) {
  const select = $("publish").elements.show;
  const wanted = shows.map((show) => [show.slug, show.title]);
  const goesBy = () => {
    const rhythm = shows.find((show) => show.slug === select.value)?.rhythm;
    $("next").hidden = $("next").disabled = !rhythm;
    $("next").textContent = `At the show’s next time (${rhythm})`;
  };
  select.onchange = goesBy;
  if (JSON.stringify(wanted) === select.dataset.shows) return goesBy();
  const chosen = select.value;
  select.dataset.shows = JSON.stringify(wanted);
  select.replaceChildren(...wanted.map(([slug, title]) => new Option(title, slug, false, slug === chosen)));
  select.parentElement.hidden = shows.length < 2;
  goesBy();
}

// --- the whole -----------------------------------------------------------------------------------------------------

async function refresh() {
  if (busy || !room.getItem("token")) return;
  busy = true;
  try {
    role ??= (await json("GET", "me")).role;
    const [shows, status] = await Promise.all([json("GET", "shows"), json("GET", "status")]);
    figures(status);
    sample(status);
    offer(shows);
    episodes(shows, status);
    $("publish").hidden = !may("editor");
    enter(true);
    await numbers();
  } catch (trouble) {
    if (trouble.status === 401) {
      room.removeItem("token");
      enter(false);
    }
    tell(trouble.status ? trouble : "The publisher does not answer");
  } finally {
    busy = false;
  }
}

function enter(isIn) {
  $("door").hidden = isIn;
  $("desk").hidden = !isIn;
  $("leave").hidden = !isIn;
  if (isIn && $("trouble").textContent.startsWith("The publisher")) tell();
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  room.setItem("token", $("door").elements.token.value.trim());
  $("door").reset();
  tell();
  role = null;
  refresh();
});
$("leave").addEventListener("click", () => {
  room.removeItem("token");
  [role, samples] = [null, []];
  drawn.clear();
  spread.clear();
  countedAt = -Infinity;
  enter(false);
});

prepare();
prepareNumbers();
if (!room.getItem("token")) enter(false);
refresh();
setInterval(() => {
  if (!document.hidden) refresh();
}, EVERY);
