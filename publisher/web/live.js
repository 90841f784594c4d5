// Keeps the swarm figures of an episode's page fresh while somebody looks at it, and leads the player to its chapters.
// It stands behind the basics in core/web.

const figures = document.querySelector("[data-swarm]");

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

const player = document.querySelector("audio, video");
const moments = [...document.querySelectorAll(".chapters [data-at]")];

function follow() {
  const now = moments.filter((moment) => Number(moment.dataset.at) <= player.currentTime).pop();
  for (const moment of moments) {
    if (moment === now) moment.setAttribute("aria-current", "true");
    else moment.removeAttribute("aria-current");
  }
}

function putSpeeds() {
  const label = document.createElement("label");
  const speed = document.createElement("select");
  label.className = "soft speed";
  offerSpeeds(speed, (rate) => {
    player.playbackRate = rate;
  });
  label.append("Speed ", speed);
  player.after(label);
}

// A show's page has a player for each episode, and no chapters.
if (player && document.querySelectorAll("audio, video").length === 1) {
  putSpeeds();
  player.addEventListener("timeupdate", follow);
  document.addEventListener("click", (event) => {
    const moment = event.target.closest("[data-at]");
    if (!moment) return;
    event.preventDefault();
    player.currentTime = Number(moment.dataset.at);
    player.play();
  });
}

if (figures) {
  refresh();
  setInterval(refresh, 5000);
  document.addEventListener("visibilitychange", refresh);
}
