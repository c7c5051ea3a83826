// Puts in place what the server says has changed in the list, and says so when it stops doing that:
// an old list that looks like a new one is the worst this page could show.
"use strict";
const words = document.body.dataset;
const head = document.getElementById("head");
const list = document.getElementById("list");
const live = document.getElementById("live");
const lost = document.getElementById("lost");
let heard = Date.now();
let rows = found();

function found() {
  return new Map([...list.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
}

function apply(change) {
  if (typeof change === "string") throw new Error("the page is of another version");
  const before = new Set(rows.keys());
  head.innerHTML = change.head;
  if (change.all !== undefined) {
    list.innerHTML = change.all;
    rows = found();
  } else {
    for (const key of change.gone) take(key);
    for (const [html, below] of change.put) put(html, below);
  }
  for (const [key, row] of rows) if (!before.has(key)) row.classList.add("new");
  if (rows.size !== change.count) throw new Error("rows are missing");
}

function take(key) {
  rows.get(key).remove();
  rows.delete(key);
}

function put(html, below) {
  const made = document.createElement("template");
  made.innerHTML = html;
  const row = made.content.querySelector("tr");
  list.insertBefore(row, below === null ? null : rows.get(below));
  rows.set(row.dataset.key, row);
}

function clock(time) {
  return new Date(time).toLocaleTimeString(document.documentElement.lang, { hour12: false });
}

function show() {
  const gone = Date.now() - heard > Number(words.lostMs);
  lost.hidden = !gone;
  document.body.classList.toggle("stale", gone);
  live.textContent = gone ? "" : `${words.live} ${clock(heard)}`;
  const urgent = Number(head.querySelector("[data-urgent]")?.dataset.urgent || 0);
  document.title = (gone ? "! " : urgent ? `(${urgent}) ` : "") + words.title;
  if (gone) lost.textContent = words.lost.replace("{time}", clock(heard));
}

function listen() {
  const source = new EventSource(`events?has=${words.version}`);
  source.addEventListener("rows", (event) => {
    try {
      apply(JSON.parse(event.data));
    } catch { // of another version, or rows are missing
      source.close();
      return setTimeout(() => location.reload(), 1000);
    }
    words.version = event.lastEventId;
    heard = Date.now();
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
