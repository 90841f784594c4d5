// The owner's page: everything it shows and does goes through /api/v1, with a token that stays in this browser tab.
// It stands behind the tools in core/web.

const WHO = "publisher";
const CHUNK = 16 * 1024 * 1024;
const ROLES = ["read-only", "editor", "owner"];

const room = sessionStorage;
let role = null;
let samples = [];
let busy = false;

// What stands behind the `#` is never sent, and is not left in the address.
if (location.hash.length > 1) {
  room.setItem("token", decodeURIComponent(location.hash.slice(1)));
  history.replaceState(null, "", location.pathname);
}

const ask = (method, path, body, more) => answerTo(method, path, { ...bearer(), ...more }, body);
const json = async (...call) => (await ask(...call)).json();
const may = (needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);

/** What stands below `folder` of the public URL, as this page reaches it, wherever it was opened. */
const here = (url, folder) => new URL(url).pathname.replace(new RegExp(`^.*?/${folder}/`), `${folder}/`);

/** Tells why what was just asked for is refused, where it is seen. */
function tellRefused(trouble) {
  tell(trouble);
  $("trouble").scrollIntoView({ block: "nearest" });
}

/** A time as `datetime-local` wants it. */
function local(time) {
  const at = new Date(time);
  return new Date(at - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

// --- figures -------------------------------------------------------------------------------------------------------

function figures(status) {
  const peers = status.episodes.reduce((sum, episode) => sum + (episode.swarm?.peers ?? 0), 0);
  const shown = {
    "To peers": rate(status.up_rate),
    "Sent to peers": bytes(status.uploaded),
    "Sent over HTTP": bytes(status.sent_over_http),
    "Peers connected": peers,
  };
  drawFigures($("figures"), shown);
  $("reached").textContent = wayIn(status);
}

function sample(status) {
  const now = performance.now();
  const last = samples.at(-1);
  const seconds = last ? (now - last.now) / 1000 : 0;
  const since = (of) => (last ? Math.max(0, status[of] - last[of]) / seconds : 0);
  samples.push({
    now,
    uploaded: status.uploaded,
    sent_over_http: status.sent_over_http,
    swarm: since("uploaded"),
    web: since("sent_over_http"),
  });
  samples = samples.slice(-SAMPLES);
  drawRates($("plot"), $("most"), samples, ["web", "swarm"]);
}

// --- episodes ------------------------------------------------------------------------------------------------------

function stands(episode) {
  if (episode.error) return episode.error;
  if (episode.draft) return "A draft: nobody sees it yet.";
  if (!episode.released) return `Appears on ${moment(episode.published)}.`;
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
  return make("figure", { hidden: true }, plotOf(`How ${title} spreads`), make("figcaption", { class: "soft" }));
}

function article(episode, show) {
  const { swarm, ...rest } = episode;
  return drawnOnce(episode.guid, [rest, role], episode, () => drawArticle(episode, show));
}

function drawArticle(episode, show) {
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
  // What is private has a page below the address of each subscriber, and none for who has no such address.
  const title = episode.released && !show.is_private
    ? make("a", { href: here(episode.page, "shows") }, episode.title)
    : episode.title;
  const facts = [moment(episode.published), bytes(episode.length)].join(" · ");
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
    acts,
  );
  return { element, update };
}

function episodes(shows, status, subscribers) {
  const sections = shows.map((show, n) => {
    const own = status.episodes.filter((episode) => episode.show === show.slug);
    return [
      make("h2", {}, show.title),
      show.is_private ? letIn(show, subscribers[n]) : null,
      ...own.map((episode) => article(episode, show)),
      own.length ? null : make("p", { class: "soft" }, "No episode yet."),
    ];
  });
  putIn($("shows"), sections.flat().filter(Boolean));
}

async function act(method, path, body) {
  try {
    await ask(method, path, body);
    tell();
  } catch (trouble) {
    tellRefused(trouble);
  }
  await refresh();
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

// --- subscribers of private shows ----------------------------------------------------------------------------------

/** Who is let in to a private show; `subscribers` are told to owners alone. */
function letIn(show, subscribers) {
  return drawnOnce(`subscribers/${show.slug}`, role, subscribers, () => drawLetIn(show));
}

function drawLetIn(show) {
  const head = make("h3", {}, "Who is let in");
  if (!may("owner")) {
    const word = "Only whom an owner lets in, each by an address of their own. So nothing here leads to the show’s pages.";
    return { element: make("article", {}, head, make("p", { class: "soft" }, word)) };
  }
  const list = make("ul", { class: "people" });
  const nobody = make("p", { class: "stands" }, "Nobody yet.");
  const name = make("input", { name: "name", maxlength: 64, autocomplete: "off", required: true });
  const form = make("form", { class: "row" }, make("label", {}, "Name ", name), make("button", {}, "Let in"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const made = await json("POST", "subscribers", { show: show.slug, name: name.value });
      tell();
      form.reset();
      await showAddress(made);
    } catch (trouble) {
      tellRefused(trouble);
    }
    await refresh();
  });
  const row = (it) => make(
    "li",
    {},
    make("strong", {}, it.name),
    make("span", { class: "soft" }, `since ${day(it.created)}`),
    make("button", { type: "button", "aria-label": `Revoke ${it.name}`, onclick: async () => (await revoke(show, it.name)) && name.focus() }, "Revoke"),
  );
  const word = "Each has an address of their own, which is shown once. So nothing here leads to the show’s pages: let yourself in to see them.";
  const element = make("article", {}, head, make("p", { class: "soft" }, word), list, nobody, form);
  const update = (subscribers) => {
    putIn(list, subscribers.map(row));
    list.hidden = subscribers.length === 0;
    nobody.hidden = !list.hidden;
  };
  return { element, update };
}

/** Asks, and revokes if that is wanted; whether it was. */
async function revoke(show, name) {
  $("revoked").textContent = `Revoke ${name}?`;
  if ((await asked($("revocation"))) !== "yes") return false;
  await act("DELETE", `subscribers/${encodeURIComponent(name)}?show=${encodeURIComponent(show.slug)}`);
  return true;
}

/** Shows the address of somebody who was just let in, until that is closed. */
async function showAddress(made) {
  const { feed } = $("address").querySelector("form").elements;
  feed.value = made.feed;
  $("addressed").textContent = `${made.name} is let in`;
  $("copied").textContent = "";
  $("readable").hidden = !made.feed.startsWith("http:");
  $("private").href = here(made.page, "private");
  $("code").replaceChildren(...(made.qr ? [drawCode(made.qr)] : []));
  await asked($("address"));
  feed.value = "";
  $("private").removeAttribute("href");
  $("code").replaceChildren();
}

/** A QR code, of which each row is a text of ones, which are dark, and zeros; it has a light frame, as readers want. */
function drawCode(rows) {
  const dark = rows.flatMap((row, y) => [...row].map((it, x) => (it === "1" ? `M${x} ${y}h1v1h-1z` : "")));
  const size = rows.length + 8;
  const looks = { viewBox: `-4 -4 ${size} ${size}`, role: "img", "aria-label": "The address as a QR code", "shape-rendering": "crispEdges" };
  return shape("svg", looks, shape("path", { d: dark.join("") }));
}

function prepareAddress() {
  const { feed } = $("address").querySelector("form").elements;
  $("copy").addEventListener("click", async () => {
    feed.select();
    // Over plain http a browser lets no page do it, except for this machine's own.
    const isCopied = await navigator.clipboard?.writeText(feed.value).then(() => true, () => false);
    $("copied").textContent = isCopied ? "Copied." : "It is selected, but this browser wants you to copy it.";
  });
}

// --- publishing ----------------------------------------------------------------------------------------------------

/** Sends one part of a file; the request that tells how far it is. */
function send(path, part, offset, progress) {
  return new Promise((sent, failed) => {
    const request = new XMLHttpRequest();
    request.open("PATCH", API + path);
    const fields = { ...bearer(), "upload-offset": offset, "content-type": "application/offset+octet-stream" };
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
  if (last?.refused) throw Object.assign(new Error("directories would refuse it"), last.refused);
  throw new Refused(0, last?.unreadable ?? (last?.error ? last : { error: "the publisher broke off" }));
}

/** Why directories would refuse a file, and what its owner can do: have it published `anyway`, or `leave` it. */
function objections(findings, anyway, leave) {
  const said = findings.map(({ what, rule, mend }) => make("li", {}, `${what} (${rule}). What mends it: ${mend}`));
  const button = (name, onclick) => make("button", { type: "button", onclick }, name);
  const acts = make("p", { class: "row" }, button("Publish anyway", anyway), button("Leave it", leave));
  return make("div", {}, make("ul", {}, ...said), acts);
}

/** Uploads and publishes one file, and shows how far it is. */
async function bring(file, said, replaces) {
  const bar = make("progress", { max: file.size || 1, value: 0, "aria-label": `Sending ${file.name}` });
  const word = make("span", {}, `${file.name}: sending`);
  const item = make("li", {}, word, bar);
  $("uploads").append(item);
  let number = null;
  const go = async (anyway) => {
    try {
      number ??= await upload(file, (done) => {
        bar.value = done;
      });
      word.textContent = `${file.name}: hashing`;
      const request = { source: { upload: number }, name: file.name, in_place: false, said, replaces, anyway };
      const done = await published(request, (part, total) => {
        [bar.value, bar.max] = [part, total];
      });
      const what = done.already ? "was published already" : done.revised ? "is in its place" : done.live ? "is out" : "is recorded";
      word.replaceChildren(`${file.name} ${what}: “${done.episode.title}”`, ...done.warnings.map((warning) => make("span", { class: "soft" }, ` ${warning}`)));
    } catch (trouble) {
      word.textContent = `${file.name} is not published: ${trouble.message}`;
      if (trouble.findings) {
        const why = objections(
          trouble.findings,
          () => {
            why.remove();
            go(true);
          },
          () => {
            item.remove();
            ask("DELETE", `uploads/${number}`).catch(tell);
          },
        );
        item.append(why);
      }
    }
    bar.remove();
    await refresh();
  };
  await go(false);
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
    const isOurs = (show) => show.is_private && may("owner");
    const subscribers = await Promise.all(
      shows.map((show) => isOurs(show) && json("GET", `subscribers?show=${encodeURIComponent(show.slug)}`)),
    );
    figures(status);
    sample(status);
    offer(shows);
    episodes(shows, status, subscribers);
    $("publish").hidden = !may("editor");
    enter(true);
    await numbers();
  } catch (trouble) {
    if (trouble.status === 401) {
      room.removeItem("token");
      enter(false);
    }
    tellFailed(trouble);
  } finally {
    busy = false;
  }
}

function enter(isIn) {
  $("door").hidden = isIn;
  $("desk").hidden = !isIn;
  $("leave").hidden = !isIn;
  if (isIn) tellAnswered();
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
prepareAddress();
prepareNumbers();
if (!room.getItem("token")) enter(false);
refresh();
keepFresh(refresh);
