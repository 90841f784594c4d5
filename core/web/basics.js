// What all scripts share. It is the beginning of each of them, and has them all strict.
"use strict";

function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** Offers how fast to play, and has `play` go as fast as is chosen. */
function offerSpeeds(select, play) {
  for (const speed of [0.8, 1, 1.2, 1.5, 1.8, 2]) select.add(new Option(`${speed}×`, speed, speed === 1, speed === 1));
  select.addEventListener("change", () => play(Number(select.value)));
}
