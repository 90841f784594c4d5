// The owner's view of the agent: everything it shows and does goes through /api/v1/ask, in the words of the commands.
// It stands behind the tools in core/web.

const WHO = "agent";
const RECENT = 200;
/** Seconds of an episode after which the agent is told again how far it was heard, and that are not worth telling. */
const [REPORTED, GLANCE] = [10, 5];
const VIEWS = { listen, podcasts, feed, transfers, history: past, episode };

const room = localStorage;
let samples = [];
let status = null;
let moving = [];
let busy = false;
/** Where the covers of shows are, by the feeds' numbers; and the names of those, by which it shows that one changed. */
let [covers, coversOf] = [{}, "[]"];
/** The episode that is heard, and what the browser plays it with. */
let heard = null;

/** Asks the agent, and gives what stands in its answer, whatever that is called. */
async function ask(question, more = {}) {
  const answer = await answerTo("POST", "ask", bearer(), { ask: question, ...more });
  return Object.values(await answer.json())[0];
}

/** `3:20`, `1:05:00`. */
function clock(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const say = (word) => {
  $("word").textContent = word;
};

/** Does something for the person, says what came of it, and shows it. */
async function act(question, more, word) {
  try {
    const reply = await ask(question, more);
    tell();
    say(typeof word === "function" ? word(reply) : word);
    await refresh(true);
    return reply;
  } catch (trouble) {
    say("");
    tell(trouble);
    return null;
  }
}

// --- what is the same in all views ---------------------------------------------------------------------------------

/** A colour that a show keeps. */
function tile(show) {
  const letter = [...show.trim()][0] ?? "?";
  const element = make("span", { class: "tile", "aria-hidden": "true" }, letter.toUpperCase());
  element.style.setProperty("--hue", [...show].reduce((sum, sign) => (sum * 31 + sign.codePointAt(0)) % 360, 7));
  return element;
}

/** Where the cover of a show is; by its path, since the way here may lead through a tunnel with another port. */
function coverOf(feed) {
  if (!covers[feed]) return null;
  const url = new URL(covers[feed]);
  return url.pathname + url.search;
}

const feedOf = (it) => it.id.split("/")[0];

/** The show's cover, where it is kept. */
function picture(feed, show) {
  const src = coverOf(feed);
  if (!src) return tile(show);
  const element = make("img", { class: "tile", src, alt: `Cover of ${show}`, width: 48, height: 48 });
  element.addEventListener("error", () => element.replaceWith(tile(show)));
  return element;
}

/** Learns where the covers are, if there are others than before. */
async function learnCovers() {
  const names = JSON.stringify(status.feeds.filter((it) => it.cover).map((it) => [it.id, it.cover]));
  if (names === coversOf) return;
  covers = await ask("covers");
  coversOf = names;
}

/** How far an episode is, in words. */
function stands(it) {
  const transfer = it.transfer;
  if (it.stage === "complete") {
    const ratio = it.length ? it.shared.sent / it.length : 0;
    const parts = ["kept", bytes(it.length ?? 0)];
    if (it.withdrawn) parts.push("taken back by its publisher");
    if (transfer) parts.push(transfer.peers ? `seeded to ${count(transfer.peers, "peer")}` : "seeded");
    if (it.shared.sent) parts.push(`given back ${ratio.toFixed(2)} times`);
    return parts.join(" · ");
  }
  if (it.stage === "gone") return "its file was taken away";
  if (it.stage === "seen") return [it.why ?? "not fetched", it.length ? bytes(it.length) : null].filter(Boolean).join(" · ");
  if (it.is_paused) return "paused";
  if (!transfer) return it.trouble ?? "waits for its turn";
  const parts = [];
  if (transfer.state !== "downloading") parts.push(transfer.state);
  parts.push(transfer.length ? `${Math.floor((100 * transfer.have) / transfer.length)} % of ${bytes(transfer.length)}` : bytes(transfer.have));
  if (transfer.down_rate) parts.push(rate(transfer.down_rate));
  if (transfer.peers != null) parts.push(count(transfer.peers, "peer"));
  if (transfer.web_seeds) parts.push(count(transfer.web_seeds, "web server"));
  if (transfer.eta_seconds != null) parts.push(`${clock(transfer.eta_seconds)} left`);
  return parts.join(" · ");
}

const isWanted = (it) => it.stage === "wanted";
const canPlay = (it) => it.stage === "complete" || (it.sources.length > 0 && !it.withdrawn);

/** How far the listener has come, on whatever he listened with. */
function place(it) {
  const { position = 0, total, ended } = it.heard ?? {};
  const isAtEnd = ended && position + 1 >= (total ?? it.duration ?? Infinity);
  if (isAtEnd) return "heard to the end";
  const parts = [position ? `heard to ${clock(position)}` : null, ended ? "once to the end" : null];
  return parts.filter(Boolean).join(", ") || null;
}

function article(it, withShow = true, withTitle = true) {
  const { transfer, shared, trouble, heard: reached, ...rest } = it;
  const looks = [rest, Boolean(transfer), heard?.id === it.id, coverOf(feedOf(it))];
  return drawnOnce(`${it.id} ${withShow}`, looks, it, () => drawArticle(it, withShow, withTitle));
}

function drawArticle(it, withShow, withTitle) {
  const text = make("p", { class: "soft stands" });
  const warning = make("p", { class: "warning" });
  const bar = make("progress", { "aria-label": `How much of ${it.title} is here` });
  const update = (now) => {
    text.textContent = [stands(now), place(now)].filter(Boolean).join(" · ");
    bar.hidden = !isWanted(now) || !now.transfer?.length;
    bar.max = now.transfer?.length ?? 1;
    bar.value = now.transfer?.have ?? 0;
    warning.textContent = now.transfer && now.trouble ? now.trouble : "";
    warning.hidden = !warning.textContent;
  };
  const named = { "data-id": it.id };
  const button = (name, onclick, attributes) =>
    make("button", { type: "button", onclick, "aria-label": `${name}: ${it.title}`, ...attributes }, name);
  const turn = it.is_paused ? "resume" : "pause";
  const about = [withShow ? it.show : null, it.published ? day(it.published) : "no date", it.duration ? clock(it.duration) : null];
  const element = make(
    "article",
    { class: withShow ? "item" : "item bare", ...named },
    withShow ? picture(feedOf(it), it.show) : null,
    make(
      "div",
      { class: "body" },
      withTitle ? make("h3", {}, make("a", { class: "title", href: `#episode/${it.id}` }, it.title)) : null,
      make("p", { class: "soft" }, about.filter(Boolean).join(" · ")),
      text,
      warning,
    ),
    make(
      "div",
      { class: "acts" },
      canPlay(it) && button(heard?.id === it.id ? "Playing" : "Play", () => play(it), { class: "play strong", disabled: heard?.id === it.id }),
      it.stage === "seen" && it.sources.length > 0 && button("Fetch", () => act("download", { episodes: [it.id] }, `${it.title} is fetched`)),
      isWanted(it) && !it.is_paused && button("First", () => act("first", { episode: it.id }, `${it.title} comes before all others`)),
      (isWanted(it) || it.transfer || it.is_paused) &&
        button(it.is_paused ? "Go on" : "Pause", () => act(turn, { what: [it.id] }, it.is_paused ? `${it.title} goes on` : `${it.title} is paused`)),
    ),
    make("div", { class: "wide" }, bar),
  );
  return { element, update };
}

/** How it moves is fresher in the list of what moves. */
const fresh = (it) => moving.find((other) => other.id === it.id) ?? it;
const nothing = (text) => make("p", { class: "soft" }, text);

// --- the views -----------------------------------------------------------------------------------------------------

// Each makes its lasting parts once, and gives what brings them up to date.

function listen(view) {
  const [coming, ready] = [make("div"), make("div")];
  const head = make("h2", {}, "Coming in");
  view.append(make("h1", {}, "Listen"), head, coming, make("h2", {}, "Here"), ready);
  return async () => {
    const kept = await ask("recent", { most: 30 });
    const wanted = moving.filter(isWanted);
    head.hidden = coming.hidden = wanted.length === 0;
    putIn(coming, wanted.map((it) => article(it)));
    const empty = status.feeds.length ? "Nothing has come yet." : "Follow a podcast under “Podcasts”, and its newest episode comes here.";
    putIn(ready, kept.length ? kept.map((it) => article(fresh(it))) : [nothing(empty)]);
  };
}

function podcasts(view) {
  const form = make(
    "form",
    { class: "box row" },
    make("label", {}, "Address of a podcast’s feed", make("input", { name: "url", type: "url", required: true, placeholder: "https://…", autocomplete: "off" })),
    make("button", { class: "strong" }, "Follow"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    say("Reading the feed…");
    const { url } = form.elements;
    const done = await act("add", { url: url.value.trim() }, (added) => `Following ${added.feed.title || added.feed.url}.`);
    button.disabled = false;
    if (done) form.reset();
  });
  const list = make("div");
  const all = make("button", { type: "button", onclick: () => act("update", {}, (polled) => `${count(polled.length, "feed")} polled.`) }, "Look for news now");
  view.append(make("h1", {}, "Podcasts"), form, make("p", { class: "row" }, all), make("h2", {}, "Followed"), list);
  return async () => {
    putIn(list, status.feeds.length ? status.feeds.map(show) : [nothing("No feed is followed yet. Paste the address of one above.")]);
  };
}

function feedFacts(it) {
  const facts = [`${it.complete} kept of ${it.episodes}`];
  if (it.wanted) facts.push(`${it.wanted} to fetch`);
  if (it.is_paused) facts.push("paused");
  else if (it.is_gone) facts.push("gone for good");
  else if (it.is_listening) facts.push("told of news at once");
  else if (it.hub?.until) facts.push("told of news by its hub");
  else if (it.next_poll) facts.push(`polled next ${moment(it.next_poll)}`);
  return facts.join(" · ");
}

/** How it stands with the hub that a feed names. */
function hubFacts({ hub, is_listening }) {
  if (!hub) return "";
  const { host, until, trouble } = hub;
  if (until) return `Told of news by the hub at ${host}, until ${moment(until)}${trouble ? `; asked to go on: ${trouble}` : ""}.`;
  if (trouble) return `Not told of news by the hub at ${host}: ${trouble}.`;
  return `Not told of news by the hub at ${host}${is_listening ? ": its events tell of them" : " yet"}.`;
}

function show(it) {
  const { polls, last_poll, ...rest } = it;
  return drawnOnce(`feed ${it.id}`, rest, it, () => drawShow(it));
}

function drawShow(it) {
  const name = it.title || it.url;
  const element = make(
    "article",
    { class: "item", "data-feed": it.id },
    picture(it.id, name),
    make(
      "div",
      { class: "body" },
      make("h3", {}, make("a", { class: "title", href: `#feed/${it.id}` }, name)),
      make("p", { class: "soft" }, feedFacts(it)),
      it.last_error ? make("p", { class: "warning" }, `cannot be polled: ${it.last_error}`) : null,
    ),
    feedActs(it, name),
  );
  return { element };
}

function feedActs(it, name) {
  const what = [String(it.id)];
  const button = (text, onclick, more) => make("button", { type: "button", onclick, "aria-label": `${text}: ${name}`, ...more }, text);
  return make(
    "div",
    { class: "acts" },
    button("Update", () => act("update", { feeds: what }, (polled) => `${name}: ${polled[0]?.error ?? `${polled[0]?.new ?? 0} new`}.`)),
    button(it.is_paused ? "Go on" : "Pause", () => act(it.is_paused ? "resume" : "pause", { what }, it.is_paused ? `${name} goes on.` : `${name} is paused.`)),
    button("Remove", () => remove(it, name)),
  );
}

async function remove(it, name) {
  const dialog = $("farewell");
  const { files } = dialog.querySelector("form").elements;
  files.checked = false;
  $("which").textContent = `${name}: ${count(it.complete, "episode")} kept in the library.`;
  if ((await asked(dialog)) !== "yes") return;
  const done = await act("remove", { feeds: [String(it.id)], delete_files: files.checked }, `${name} is followed no longer.`);
  if (done && location.hash.startsWith("#feed/")) location.hash = "#podcasts";
}

// --- the rules of a feed -------------------------------------------------------------------------------------------

const yesOrNo = ["yes", "no"];
const asLines = (rules) => rules.join("\n");
const linesOf = (text) => text.split("\n").map((it) => it.trim()).filter(Boolean);

/** What an owner may say of a feed, under its heads. `usual` holds where he says it of no feed. */
const RULES = {
  "Which episodes": [
    { name: "take", label: "Take only", usual: "all", isLong: true, hint: "One condition a line; one that holds is enough. A part of the title, /a pattern/, length>20m, age<30d, size<500MB; or all, or none.", show: (it) => (it === "all" ? it : it === "nothing" ? "none" : asLines(it.any)), read: (text) => ({ all: "all", none: "nothing" })[text] ?? { any: linesOf(text) } },
    { name: "skip", label: "Leave out", usual: "nothing", isLong: true, hint: "Conditions of the same kind; each that holds leaves an episode out, such as trailer, or size>1GB.", show: asLines, read: linesOf },
    { name: "quality", label: "Version", usual: "default", hint: "default, smallest, largest, audio, video, or a limit such as 720p or 64kbit/s." },
  ],
  "How long they stay": [
    { name: "keep", label: "Keep the newest", usual: "all", hint: "A number, or all.", show: (it) => String(it.newest ?? it) },
    { name: "keep_for", label: "Keep for", usual: "ever", hint: "A time such as 30d, or ever." },
    { name: "keep_played", label: "Keep what was heard for", usual: "ever", hint: "A time such as 2d, 0s for none, or ever." },
  ],
  "The files": [
    { name: "name", label: "File name", usual: "{date} {title}", hint: "Such as Season {season:02}/{number:02} {title}." },
    { name: "tags", label: "Write tags into them", usual: "no", choices: yesOrNo },
    { name: "cover", label: "Cover in the show’s folder", usual: "no", choices: yesOrNo },
  ],
  "From where": [
    { name: "http_only", label: "Without a swarm, over HTTP alone", usual: "no", choices: yesOrNo },
    { name: "find_peers", label: "Find peers by", usual: "all", hint: "all, or some of trackers, dht, lsd, pex." },
    { name: "episode_down", label: "Receive each no faster than", usual: "none", hint: "Such as 2MiB/s, or none." },
    { name: "episode_up", label: "Send each no faster than", usual: "none", hint: "Such as 500kB/s, or none." },
  ],
  "When to poll": [{ name: "schedule", label: "At these times", usual: "by itself", hint: "A cron expression such as */15 * * * *." }],
};
const FIELDS = Object.values(RULES).flat();

/** What is said of `field` in `rules`, as a person writes it; nothing if it is not said. */
function written(field, rules) {
  const said = rules[field.name];
  return said == null ? "" : (field.show ?? String)(said);
}

/** A field of the form, with what has it say nothing of its own. */
function ruleField(field) {
  const control = field.choices
    ? make("select", {}, make("option", { value: "" }), field.choices.map((it) => make("option", { value: it }, it)))
    : make(field.isLong ? "textarea" : "input", { rows: field.isLong && 3, autocomplete: "off", autocapitalize: "off", spellcheck: "false", "aria-describedby": field.hint && `hint-${field.name}` });
  control.name = field.name;
  control.id = `rule-${field.name}`;
  // What is chosen from has the default among it.
  const reset = make("button", { type: "button", "aria-label": `Default: ${field.label}` }, "Default");
  const look = () => {
    reset.hidden = Boolean(field.choices) || control.value === "";
  };
  control.addEventListener("input", look);
  reset.addEventListener("click", () => {
    control.value = "";
    control.focus();
    look();
  });
  let last = "";
  const element = make(
    "div",
    { class: "field" },
    make("label", { for: control.id }, field.label),
    make("div", { class: "row" }, control, reset),
    field.hint && make("p", { class: "soft", id: `hint-${field.name}` }, field.hint),
  );
  const update = (own, all) => {
    const usual = written(field, all) || field.usual;
    if (field.choices) control.options[0].textContent = `default: ${usual}`;
    else control.placeholder = usual;
    // What is being typed is left alone.
    if (control.value === last) control.value = written(field, own);
    last = written(field, own);
    look();
  };
  /** What it says now is known. */
  const settle = () => {
    last = control.value;
  };
  return { element, control, update, settle };
}

/** The form for what is wanted of a feed alone. */
function rulesForm(id) {
  const made = new Map(FIELDS.map((field) => [field, ruleField(field)]));
  const fault = make("p", { class: "warning", role: "alert", hidden: "" });
  const heads = Object.entries(RULES).map(([head, fields]) => make("fieldset", {}, make("legend", {}, head), make("div", { class: "fields" }, fields.map((field) => made.get(field).element))));
  const save = make("button", { class: "strong" }, "Save the rules");
  const hooks = make("p", { class: "soft" }, "What is left empty is as for all feeds. What is done when an episode is there, the command line alone says: no page has programs run.");
  const form = make("form", {}, heads, fault, make("p", { class: "row" }, save), hooks);
  const sum = make("span", { class: "soft" });
  const element = make("details", { class: "box rules" }, make("summary", {}, make("strong", {}, "Rules"), " ", sum), form);
  let own = {};
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const edit = { feeds: [id], rules: {}, forget: [] };
    for (const [field, { control }] of made) {
      const text = control.value.trim();
      if (text === written(field, own)) continue;
      if (field.name === "schedule") edit.schedule = text || "none";
      else if (text) edit.rules[field.name] = (field.read ?? String)(text);
      else edit.forget.push(field.name.replaceAll("_", "-"));
    }
    save.disabled = true;
    try {
      await ask("edit", edit);
      for (const { settle } of made.values()) settle();
      fault.hidden = true;
      say("The rules hold.");
      await refresh(true);
    } catch (trouble) {
      fault.textContent = `${trouble.message}.`;
      fault.hidden = false;
    } finally {
      save.disabled = false;
    }
  });
  const update = (it) => {
    own = { ...it.rules, schedule: it.schedule };
    for (const { update } of made.values()) update(own, status.rules);
    const said = FIELDS.filter((field) => written(field, own)).length;
    sum.textContent = said ? `${said} of its own` : "as for all feeds";
  };
  return { element, update };
}

function feed(view, id) {
  const [head, cover] = [make("h1", {}, "…"), make("div")];
  const [facts, acts, list] = [make("p", { class: "soft" }), make("div", { class: "row" }), make("div")];
  const address = make("p", { class: "soft" });
  const hub = make("p", { class: "soft", id: "hub", hidden: "" });
  const rules = rulesForm(id);
  const only = make("input", { type: "search", "aria-label": "Show only episodes that have these letters", placeholder: "Find an episode" });
  view.append(make("p", {}, make("a", { href: "#podcasts" }, "All podcasts")), make("div", { class: "named" }, cover, head), facts, address, hub, acts, rules.element, make("h2", {}, "Episodes"), make("p", {}, only), list);
  let episodes = null;
  let age = 0;
  const draw = () => {
    const wanted = only.value.toLowerCase();
    const shown = (episodes ?? []).filter((it) => it.title.toLowerCase().includes(wanted)).slice(-RECENT).reverse();
    putIn(list, shown.length ? shown.map((it) => article(fresh(it), false)) : [nothing("No such episode.")]);
  };
  only.addEventListener("input", draw);
  return async (now) => {
    const it = status.feeds.find((it) => String(it.id) === id);
    if (!it) {
      head.textContent = "No such podcast";
      rules.element.hidden = true;
      return;
    }
    head.textContent = it.title || it.url;
    if (cover.dataset.of !== String(it.cover)) {
      cover.dataset.of = String(it.cover);
      cover.replaceChildren(picture(it.id, it.title || it.url));
    }
    facts.textContent = feedFacts(it);
    rules.update(it);
    address.textContent = it.url;
    hub.textContent = hubFacts(it);
    hub.hidden = !it.hub;
    const looks = JSON.stringify([it.is_paused, it.complete, it.title]);
    if (acts.dataset.looks !== looks) {
      acts.dataset.looks = looks;
      acts.replaceChildren(...feedActs(it, it.title || it.url).children);
    }
    // A long feed is not asked for every time.
    if (!episodes || now || (age += 1) % 5 === 0) episodes = await ask("episodes", { feed: id });
    draw();
  };
}

function episode(view, id) {
  const [above, notes, swarm] = [make("div"), make("div", { class: "box notes" }), make("div")];
  view.append(make("p", { id: "up" }), make("h1", {}, "…"), above, notes, swarm);
  let told = false;
  const draw = swarmView(swarm);
  return async () => {
    if (!told) {
      const it = await ask("info", { what: id });
      told = true;
      view.querySelector("h1").textContent = it.title;
      view.querySelector("#up").replaceChildren(make("a", { href: `#feed/${it.id.split("/")[0]}` }, it.show));
      // Notes come from outside as HTML: what they say is shown, what they do is not.
      notes.textContent = it.notes ? new DOMParser().parseFromString(it.notes.replace(/<(br|\/p|\/li|\/h\d)[^>]*>/gi, "$&\n"), "text/html").body.textContent.trim() : "";
      notes.hidden = !notes.textContent;
    }
    const look = await ask("look", { episode: id });
    putIn(above, [article(look.episode, false, false)]);
    draw(look);
  };
}

function transfers(view) {
  const figures = make("dl", { class: "figures" });
  const plot = plotOf("Bytes a second over the last five minutes");
  const most = make("span");
  const caption = make("figcaption", { class: "soft" }, make("span", { class: "in" }, make("span", { class: "key" }), " in"), " ", make("span", { class: "out" }, make("span", { class: "key" }), " out"), ", in the last five minutes; up to ", most);
  const field = (text, name) => make("label", {}, text, make("input", { name, placeholder: "none, or such as 2MiB/s", autocomplete: "off", pattern: "none|[0-9.]+ ?[A-Za-z]+/s|[0-9.]+ ?[kMG]bps" }));
  const limits = make("form", { class: "row" }, field("Download limit", "down"), field("Upload limit", "up"), make("button", {}, "Hold to this"));
  const hint = make("p", { class: "soft" }, "Until the agent ends; in its configuration, down and up hold for good.");
  const reached = make("p", { class: "soft" });
  const rests = make("p", { class: "soft", hidden: "" });
  const swarms = make("p", { class: "soft" });
  const list = make("div");
  const all = make("button", { type: "button" });
  all.addEventListener("click", () => {
    const isPaused = all.dataset.paused === "true";
    act(isPaused ? "resume" : "pause", { what: ["all"] }, isPaused ? "Everything goes on." : "Everything is paused.");
  });
  limits.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = (input) => input.value.trim().replace(" ", "");
    const wanted = { down: typed(limits.elements.down), up: typed(limits.elements.up) };
    try {
      const limits = Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, value === "none" || !value ? null : perSecond(value)]));
      act("limit", { limits }, "The limits hold.");
    } catch (trouble) {
      tell(trouble);
    }
  });
  view.append(
    make("h1", {}, "Transfers"),
    make("section", { class: "box", "aria-label": "Figures" }, figures, make("figure", {}, plot, caption), rests, swarms, reached),
    make("section", { class: "box", "aria-label": "Limits" }, limits, hint),
    make("h2", {}, "What moves"),
    make("p", { class: "row" }, all),
    list,
  );
  let wasHeld = null;
  return async () => {
    const traffic = status.traffic;
    const shown = { In: rate(traffic.down_rate), Out: rate(traffic.up_rate), Peers: traffic.peers, Seeded: status.seeding.torrents, "Free on the disk": status.free == null ? "not known" : bytes(status.free) };
    drawFigures(figures, shown);
    drawRates(plot, most, samples, ["in", "out"]);
    reached.textContent = wayIn(status);
    swarms.textContent = status.swarms ? `Swarms: ${status.swarms.text}.` : "";
    rests.hidden = !status.rests;
    rests.textContent = status.rests ? `Nothing is seeded now: ${status.rests}.` : "";
    limits.parentElement.hidden = !status.limits;
    const held = JSON.stringify(status.limits?.always);
    // What is being typed is left alone.
    if (status.limits && held !== wasHeld) {
      wasHeld = held;
      for (const name of ["down", "up"]) limits.elements[name].value = status.limits.always[name] == null ? "none" : exact(status.limits.always[name]);
    }
    const isPaused = status.feeds.length > 0 && status.feeds.every((it) => it.is_paused);
    all.dataset.paused = isPaused;
    all.textContent = isPaused ? "Let everything go on" : "Pause everything";
    all.hidden = status.feeds.length === 0;
    putIn(list, moving.length ? moving.map(withSwarm) : [nothing("Nothing is fetched or seeded now.")]);
    for (const open of list.querySelectorAll("details[open]")) await open.look();
  };
}

/** Bytes a second of `2MiB/s`, `500kB/s` or `10Mbit/s`. */
function perSecond(text) {
  const [, number, unit] = /^([0-9.]+)([A-Za-z]+)(?:\/s)?$/.exec(text) ?? [];
  const worth = { B: 1, kB: 1e3, KB: 1e3, KiB: 2 ** 10, MB: 1e6, MiB: 2 ** 20, GB: 1e9, GiB: 2 ** 30, kbit: 125, kbps: 125, Kbit: 125, Mbit: 125e3, Mbps: 125e3, Gbit: 125e6, Gbps: 125e6 }[unit];
  if (!worth) throw new Error(`“${text}” is not a number with a unit; want one like 2MiB/s, 500kB/s or 10Mbit/s`);
  return Math.floor(Number(number) * worth);
}

/** The same number of bytes a second with the largest unit that says it exactly. */
function exact(n) {
  for (const [unit, worth] of [["MiB", 2 ** 20], ["Mbit", 125e3], ["KiB", 2 ** 10], ["kB", 1e3]]) if (n && n % worth === 0) return `${n / worth}${unit}/s`;
  return `${n}B/s`;
}

/** An episode that moves, with its swarm below once that is opened. */
function withSwarm(it) {
  const element = article(it);
  if (!element.querySelector("details") && it.info_hash) {
    const inside = make("div");
    const details = make("details", { class: "wide" }, make("summary", {}, "Pieces and peers"), inside);
    const draw = swarmView(inside);
    details.look = async () => draw(await ask("look", { episode: it.id }));
    details.addEventListener("toggle", () => details.open && details.look().catch(tell));
    element.append(details);
  }
  return element;
}

/** Draws a close look into `parent`. */
function swarmView(parent) {
  const canvas = make("canvas", { role: "img" });
  const words = make("p", { class: "soft" });
  const table = make("div", { class: "scroll" });
  return (look) => {
    const { have, copies } = look.swarm.pieces;
    if (!have.length && !look.swarm.peers.length) return parent.replaceChildren();
    const full = have.filter((it) => it === 100).length;
    const lost = have.filter((it, n) => it < 100 && copies[n] === 0).length;
    const share = have.length ? Math.floor(have.reduce((sum, it) => sum + it, 0) / have.length) : 0;
    if (!canvas.isConnected) parent.replaceChildren(make("h2", {}, "Swarm"), canvas, words, table);
    words.textContent = [`${share} % of the pieces are here`, lost && full < have.length ? `${Math.round((100 * lost) / have.length)} % are with no connected peer` : null].filter(Boolean).join("; ") + ".";
    canvas.setAttribute("aria-label", words.textContent);
    canvas.width = 768;
    canvas.height = 16;
    const pen = canvas.getContext("2d");
    // `light-dark()` is resolved only in a real property.
    const colour = (name) => {
      canvas.style.color = `var(${name})`;
      return getComputedStyle(canvas).color;
    };
    const [ink, none] = [colour("--green"), colour("--accent")];
    pen.clearRect(0, 0, 768, 16);
    have.forEach((percent, n) => {
      const [x, width] = [(n * 768) / have.length, 768 / have.length + 0.5];
      pen.globalAlpha = percent ? 0.25 + (0.75 * percent) / 100 : 0.35;
      pen.fillStyle = percent ? ink : none;
      if (percent || copies[n] === 0) pen.fillRect(x, percent ? 0 : 12, width, percent ? 16 : 4);
    });
    const cell = (text, kind) => make("td", kind ? { class: kind } : {}, text);
    const rows = look.swarm.peers.slice(0, 50).map((peer) =>
      make("tr", {}, cell(peer.addr, "long"), cell(peer.client, "long"), cell(`${Math.floor(peer.have_permille / 10)} %`, "number"), cell(rate(peer.down_rate), "number"), cell(rate(peer.up_rate), "number"), cell(bytes(peer.downloaded), "number"), cell(bytes(peer.uploaded), "number")),
    );
    for (const seed of look.web_seeds) rows.push(make("tr", {}, cell(new URL(seed.url).host, "long"), cell(seed.error ? `web server: ${seed.error}` : "web server", "long"), cell("100 %", "number"), cell(rate(seed.rate), "number"), cell("", "number"), cell(bytes(seed.downloaded), "number"), cell("", "number")));
    const head = (text, isNumber) => make("th", { scope: "col", class: isNumber ? "number" : null }, text);
    table.replaceChildren(
      rows.length
        ? make("table", {}, make("thead", {}, make("tr", {}, head("Peer"), head("Client"), head("Has", true), head("In", true), head("Out", true), head("Received", true), head("Sent", true))), make("tbody", {}, rows))
        : nothing("No peer is connected."),
    );
    table.tabIndex = 0;
    table.setAttribute("role", "group");
    table.setAttribute("aria-label", "Peers");
    parent.querySelector("h2").hidden = parent.parentElement?.tagName === "DETAILS";
    canvas.hidden = !have.length;
  };
}

function past(view) {
  const list = make("div", { class: "scroll box", tabindex: "0", role: "group", "aria-label": "History" });
  view.append(make("h1", {}, "History"), make("p", { class: "soft" }, "What came into the library and what left it, the newest first."), list);
  return async () => {
    const came = await ask("recent", { most: RECENT });
    const head = (text, isNumber) => make("th", { scope: "col", class: isNumber ? "number" : null }, text);
    const rows = came.map((it) =>
      make(
        "tr",
        {},
        make("td", { class: "figure" }, moment(it.since)),
        make("td", { class: "long" }, make("a", { href: `#episode/${it.id}` }, it.title)),
        make("td", { class: "long" }, it.show),
        make("td", { class: "long" }, it.stage === "gone" ? `left: ${it.why ?? "its file was taken away"}` : "came"),
        make("td", { class: "number" }, it.length == null ? "" : bytes(it.length)),
        make("td", { class: "number" }, bytes(it.shared.sent)),
      ),
    );
    const table = make("table", {}, make("thead", {}, make("tr", {}, head("When"), head("Episode"), head("Podcast"), head("What"), head("Size", true), head("Given back", true))), make("tbody", {}, rows));
    putIn(list, [rows.length ? table : nothing("Nothing has come yet.")]);
  };
}

// --- the player ----------------------------------------------------------------------------------------------------

/** Tells the agent how far an episode was heard, where that is so many seconds from what it knows. */
function reporter(id, media) {
  let [from, told] = [null, null];
  return (seconds) => {
    const position = Math.floor(media.currentTime);
    // A glance is not listening, and what has no time yet is not at its beginning.
    if (media.readyState === 0 || (told === null && position <= GLANCE)) return;
    from ??= position;
    if (told !== null && Math.abs(position - told) < seconds) return;
    told = position;
    const total = Number.isFinite(media.duration) ? Math.floor(media.duration) : null;
    const started = Math.min(from, position);
    // What is not told now is told with the next one.
    answerTo("POST", "ask", bearer(), { ask: "heard", episode: id, position, started, total }, true).catch(() => null);
  };
}

/** Shows where the parts of the episode begin, for as long as it is the one that is heard. */
async function showChapters(media, id) {
  const chapters = await ask("chapters", { episode: id });
  if (heard?.media !== media) return;
  const go = (seconds) => () => {
    media.currentTime = seconds;
    media.play().catch(() => null);
  };
  const parts = chapters.map((it) => {
    const seconds = it.start_ms / 1000;
    return { seconds, title: it.title, button: make("button", { type: "button", onclick: go(seconds) }, `${clock(seconds)} `, it.title) };
  });
  $("chapters").hidden = parts.length === 0;
  $("chapters").querySelector("ol").replaceChildren(...parts.map((it) => make("li", {}, it.button)));
  const mark = () => {
    if (heard?.media !== media) return;
    const now = parts.findLast((it) => it.seconds <= media.currentTime + 0.25);
    for (const it of parts) {
      if (it === now) it.button.setAttribute("aria-current", "true");
      else it.button.removeAttribute("aria-current");
    }
    $("chapter").textContent = now?.title ?? "";
  };
  media.addEventListener("timeupdate", mark);
  mark();
}

async function play(it) {
  try {
    const playing = await ask("play", { episode: it.id });
    const url = new URL(playing.url);
    shut();
    const isVideo = /\.(mp4|m4v|mov|webm|mkv)$/i.test(url.pathname);
    // By the path: the way here may lead through a tunnel with another port.
    const media = make(isVideo ? "video" : "audio", { controls: true, preload: "auto", src: url.pathname + url.search, "aria-label": it.title });
    heard = { id: it.id, media, report: reporter(it.id, media) };
    const at = playing.episode.heard?.position ?? 0;
    media.addEventListener("loadedmetadata", () => {
      if (at && at < media.duration - 5) media.currentTime = at;
      media.playbackRate = Number($("speed").value);
    });
    media.addEventListener("timeupdate", () => heard?.media === media && heard.report(REPORTED));
    for (const stop of ["pause", "ended"]) media.addEventListener(stop, () => heard?.media === media && heard.report(1));
    media.addEventListener("error", () => tell(`“${it.title}” cannot be played here`));
    $("media").replaceChildren(media);
    $("played").textContent = it.title;
    $("from").textContent = it.show;
    $("cover").replaceChildren(picture(feedOf(it), it.show));
    showChapters(media, it.id).catch(tell);
    $("player").hidden = false;
    document.body.classList.add("plays");
    tell();
    // A browser that wants a press of its own gets one by the controls.
    await media.play().catch(() => null);
    await refresh(true);
  } catch (trouble) {
    tell(trouble);
  }
}

function shut() {
  heard?.report(1);
  heard?.media.pause();
  heard?.media.removeAttribute("src");
  heard?.media.load();
  heard = null;
  $("media").replaceChildren();
  $("chapters").hidden = true;
  $("chapters").querySelector("ol").replaceChildren();
  $("chapter").textContent = "";
  $("player").hidden = true;
  document.body.classList.remove("plays");
}

function preparePlayer() {
  offerSpeeds($("speed"), (speed) => {
    if (heard) heard.media.playbackRate = speed;
  });
  const skip = (by) => () => {
    if (heard) heard.media.currentTime = Math.max(0, heard.media.currentTime + by);
  };
  $("back").addEventListener("click", skip(-15));
  $("on").addEventListener("click", skip(30));
  $("shut").addEventListener("click", () => {
    shut();
    refresh(true);
  });
}

/** Whether swarms are taken part in is asked once. */
function prepareConsent() {
  const answers = {
    join: [true, "You take part in swarms, and are not asked again."],
    plain: [false, "Everything comes from web servers alone from now on; http_only in config.toml changes it."],
  };
  for (const [id, [takes_part, word]] of Object.entries(answers)) $(id).addEventListener("click", () => act("consent", { takes_part }, word));
}

// --- the whole -----------------------------------------------------------------------------------------------------

let update = async () => {};

/** Shows the view that the address names; a person who went there is put at its beginning. */
function turn(isGone) {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const chosen = Object.hasOwn(VIEWS, name) ? name : "listen";
  const view = make("section", { id: "view", tabindex: "-1" });
  view.hidden = $("view").hidden;
  drawn.clear();
  update = VIEWS[chosen](view, rest.join("/"));
  $("view").replaceWith(view);
  for (const link of $("views").querySelectorAll("a")) {
    const of = chosen === "feed" || chosen === "episode" ? "podcasts" : chosen;
    if (link.hash === `#${of}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view.querySelector("h1").textContent.replace("…", "Podcast")} · Podswarm`;
  if (isGone) {
    say("");
    window.scrollTo(0, 0);
    view.focus({ preventScroll: true });
  }
  return refresh(true);
}

function enter(isIn) {
  $("door").hidden = isIn;
  for (const id of ["view", "views", "speeds"]) $(id).hidden = !isIn;
  const question = (isIn && status?.swarms?.question) || "";
  $("consent").hidden = !question;
  if ($("question").textContent !== question) $("question").textContent = question;
}

async function refresh(now = false) {
  if (!room.getItem("token")) return enter(false);
  if (busy) {
    // What was changed is shown by the next turn.
    if (now) busy = "again";
    return;
  }
  busy = true;
  try {
    [status, moving] = await Promise.all([ask("status"), ask("moving", { most: 100 })]);
    samples.push({ in: status.traffic.down_rate, out: status.traffic.up_rate });
    samples = samples.slice(-SAMPLES);
    $("down").textContent = `↓ ${rate(status.traffic.down_rate)}`;
    $("up").textContent = `↑ ${rate(status.traffic.up_rate)}`;
    enter(true);
    await learnCovers();
    await update(now);
    tellAnswered();
  } catch (trouble) {
    if (trouble.status === 401) {
      room.removeItem("token");
      enter(false);
    } else {
      tellFailed(trouble);
      // What it says is not true any more.
      $("speeds").hidden = true;
    }
  } finally {
    const isAgain = busy === "again";
    busy = false;
    if (isAgain) await refresh(true);
  }
}

/** What stands behind the `#` is never sent: a ticket lets this browser in, once. */
async function begin() {
  const ticket = /^#ticket=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (ticket) {
    history.replaceState(null, "", location.pathname);
    try {
      const answer = await answerTo("POST", "enter", {}, { ticket });
      room.setItem("token", (await answer.json()).token);
    } catch (trouble) {
      if (!room.getItem("token")) tell(trouble);
    }
  }
  await turn(false);
}

preparePlayer();
prepareConsent();
addEventListener("pagehide", () => heard?.report(1));
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#ticket=")) begin();
  else if (location.hash !== "#view") turn(true);
});
begin();
keepFresh(refresh);
