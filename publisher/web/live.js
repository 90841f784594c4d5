// Keeps the swarm figures of an episode's page fresh while somebody looks at it.
"use strict";

const figures = document.querySelector("[data-swarm]");

function count(n, one, many) {
  return `${n} ${n === 1 ? one : many}`;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(figures.dataset.swarm, { cache: "no-store" });
    if (!answer.ok) return;
    const swarm = await answer.json();
    figures.textContent = [
      count(swarm.complete, "full copy", "full copies"),
      count(swarm.incomplete, "listener fetching", "listeners fetching"),
      count(swarm.downloaded, "fetched in full", "fetched in full"),
    ].join(" · ");
  } catch {
    // The next turn tries again.
  }
}

if (figures) {
  refresh();
  setInterval(refresh, 5000);
  document.addEventListener("visibilitychange", refresh);
}
