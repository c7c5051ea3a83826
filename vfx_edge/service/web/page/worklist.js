// Puts the list in place whenever the server sends it anew, and says so when it stops doing that:
// an old list that looks like a new one is the worst this page could show.
"use strict";
const words = document.body.dataset;
const list = document.getElementById("list");
const live = document.getElementById("live");
const lost = document.getElementById("lost");
let heard = Date.now();
let keys = seen();

function seen() {
  return new Set([...list.querySelectorAll("tr[data-key]")].map((row) => row.dataset.key));
}

function clock(time) {
  return new Date(time).toLocaleTimeString(document.documentElement.lang, { hour12: false });
}

function show() {
  const gone = Date.now() - heard > Number(words.lostMs);
  lost.hidden = !gone;
  document.body.classList.toggle("stale", gone);
  live.textContent = gone ? "" : `${words.live} ${clock(heard)}`;
  const urgent = Number(list.querySelector("[data-urgent]")?.dataset.urgent || 0);
  document.title = (gone ? "! " : urgent ? `(${urgent}) ` : "") + words.title;
  if (gone) lost.textContent = words.lost.replace("{time}", clock(heard));
}

function listen() {
  const source = new EventSource("events");
  source.addEventListener("rows", (event) => {
    heard = Date.now();
    list.innerHTML = JSON.parse(event.data);
    const now = seen();
    for (const row of list.querySelectorAll("tr[data-key]"))
      if (!keys.has(row.dataset.key)) row.classList.add("new");
    keys = now;
    show();
  });
  source.addEventListener("alive", () => { heard = Date.now(); show(); });
  // A browser gives up for good when the server answers with an error: begin again.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

list.addEventListener("click", (event) => {
  const link = event.target.closest("tr")?.querySelector("a");
  if (link && !event.target.closest("a") && !String(getSelection())) link.click();
});
listen();
setInterval(show, 1000);
