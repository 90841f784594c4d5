// How often episodes were downloaded, drawn by day and by episode. Downloads over HTTP and those that became whole in
// swarms stand beside each other and are never added up.
"use strict";

const NUMBERS_EVERY = 60_000;
const DAY = 86_400_000;
/** Episodes that are drawn at once, the newest. */
const MOST_EPISODES = 20;

let counted = [];
let countedAt = -Infinity;

/** Reads the numbers anew where they are old. */
async function numbers() {
  if (performance.now() - countedAt < NUMBERS_EVERY) return;
  countedAt = performance.now();
  counted = await json("GET", `stats?since=${period()[0]}`);
  drawNumbers();
}

/** The days that are looked at, in UTC as they are counted. */
function period() {
  const length = Number($("period").value);
  return Array.from({ length }, (_, n) => new Date(Date.now() - (length - 1 - n) * DAY).toISOString().slice(0, 10));
}

function drawNumbers() {
  const known = counted.map((it) => [`${it.show}/${it.guid}`, it.title]);
  const select = $("counted");
  if (select.dataset.known !== JSON.stringify(known)) {
    select.dataset.known = JSON.stringify(known);
    const chosen = select.value;
    select.replaceChildren(new Option("All episodes", ""), ...known.map(([key, title]) => new Option(title, key, false, key === chosen)));
  }
  const wanted = counted.filter((it) => !select.value || `${it.show}/${it.guid}` === select.value);
  const days = new Map(period().map((date) => [date, { http: 0, swarm: 0 }]));
  for (const { date, http, swarm } of wanted.flatMap((it) => it.days)) {
    const day = days.get(date);
    if (day) [day.http, day.swarm] = [day.http + http, day.swarm + swarm];
  }
  const byDay = [...days].map(([date, day]) => ({ name: date, ...day }));
  // Drawn in the order in which they came.
  const byEpisode = counted.slice().sort((a, b) => (a.published < b.published ? 1 : -1)).slice(0, MOST_EPISODES).reverse()
    .map(({ title, http, swarm }) => ({ name: title, http, swarm }));
  const sum = (of) => byDay.reduce((all, it) => all + it[of], 0);
  $("sum").textContent = `${sum("http")} over HTTP and ${sum("swarm")} in swarms in ${byDay.length} days.`;
  bars("days", "Downloads by day", byDay);
  bars("episodes", "Downloads by episode, the newest last", byEpisode);
  $("episodes").closest("figure").hidden = byEpisode.length < 2 || select.value !== "";
  $("tables").replaceChildren(
    table("Day", byDay.filter((it) => it.http || it.swarm).reverse()),
    ...($("episodes").closest("figure").hidden ? [] : [table("Episode", byEpisode.reverse())]),
  );
}

/** Draws two bars for each of `items`; the tallest fills the plot. */
function bars(id, title, items) {
  const svg = $(id);
  const most = Math.max(1, ...items.flatMap((it) => [it.http, it.swarm]));
  const width = 600 / Math.max(1, items.length);
  const shapes = items.flatMap((it, n) =>
    ["http", "swarm"].map((of, side) => {
      const height = (it[of] / most) * 114;
      const place = { x: (n + 0.1 + side * 0.4) * width, y: 120 - height, width: width * 0.38, height };
      const tip = shape("title", {}, `${it.name}: ${it.http} over HTTP, ${it.swarm} in swarms`);
      return shape("rect", { class: of === "http" ? "web" : "swarm", ...place }, tip);
    }),
  );
  svg.replaceChildren(...shapes);
  svg.setAttribute("aria-label", `${title}, at most ${most}; the numbers stand in the table below`);
  $(`${id}-most`).textContent = items.length ? `from ${items[0].name} to ${items.at(-1).name}, up to ${most}` : "none yet";
}

function table(of, items) {
  const row = (kind, cells) => make("tr", {}, ...cells.map((cell, n) => make(n ? kind : "th", n ? {} : { scope: kind === "th" ? "col" : "row" }, String(cell))));
  return make(
    "table",
    {},
    make("caption", { class: "soft" }, items.length ? `By ${of.toLowerCase()}` : `No ${of.toLowerCase()} has any yet`),
    make("thead", {}, row("th", [of, "Over HTTP", "In swarms"])),
    make("tbody", {}, ...items.map((it) => row("td", [it.name, it.http, it.swarm]))),
  );
}

function prepareNumbers() {
  $("counted").addEventListener("change", drawNumbers);
  $("period").addEventListener("change", () => {
    countedAt = -Infinity;
    numbers().catch(tell);
  });
}
