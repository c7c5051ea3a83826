// Shows a case, takes the answer, and asks for what comes next. What is not shown yet is not here.
"use strict";
const words = document.body.dataset;
const find = (id) => document.getElementById(id);
const views = [...document.querySelectorAll(".view")];
const form = find("form");
const MIDDLE = Number(words.middle), LAST = Number(words.last), AHEAD = 6;
let turn = null; // {number, pass} of what is shown
let shot = 0; // tells pictures of this case from late ones of the case before
let windowName = document.querySelector("[data-window]").dataset.window;
let places = {};
const pictures = new Map(); // address -> promise of a blob's address
let sending = false;
let seen = false; // the pictures of this turn are there, and the server's clock knows of it
let told = Promise.resolve(); // what the clock is told, one after the other

async function ask(path, body) {
  const how = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, how);
  if (!answer.ok) throw new Error(`${answer.status} ${path}`);
  return answer.status === 204 ? null : answer.json();
}

function clock(path) {
  const of = turn;
  told = told.catch(() => {}).then(() => ask(path, of));
  return told;
}

function alarm() {
  find("alert").textContent = words.lost;
  find("alert").hidden = false;
}

function picture(plane, at) {
  const address = `picture/${turn.number}/${plane}/${at}/${windowName}.png`;
  if (!pictures.has(address)) {
    const coming = fetch(address).then(async (answer) => {
      if (!answer.ok) throw new Error(address);
      return URL.createObjectURL(await answer.blob());
    });
    coming.catch(() => pictures.delete(address));
    pictures.set(address, coming);
  }
  return pictures.get(address);
}

function forget() {
  for (const coming of pictures.values()) coming.then(URL.revokeObjectURL, () => {});
  pictures.clear();
}

async function draw(view) {
  const plane = view.dataset.plane, at = places[plane], of = shot;
  view.querySelector("output").textContent = `${at - MIDDLE} mm`;
  const source = await picture(plane, at);
  if (of !== shot || places[plane] !== at) return; // another one was asked for meanwhile
  const image = view.querySelector("img");
  image.src = source;
  await image.decode().catch(() => {});
  for (let step = 1; step <= AHEAD; step += 1) {
    for (const next of [at + step, at - step]) if (next >= 0 && next <= LAST) picture(plane, next);
  }
}

function scroll(view, steps) {
  const plane = view.dataset.plane;
  places[plane] = Math.min(LAST, Math.max(0, places[plane] + steps));
  draw(view).catch(() => {});
}

function choose(name) {
  windowName = name;
  for (const button of document.querySelectorAll("[data-window]")) {
    button.setAttribute("aria-pressed", String(button.dataset.window === name));
  }
  for (const view of views) draw(view).catch(() => {});
}

const picked = (name) => form.querySelector(`[name=${name}]:checked`)?.value;

function pick(name, value) {
  for (const input of form.querySelectorAll(`[name=${name}]`)) input.checked = input.value === String(value);
}

function needsConfidence() {
  return picked("answer") === "osteoporotic" || picked("answer") === "malignant";
}

function follow() {
  const off = !needsConfidence();
  find("confidence").classList.toggle("off", off);
  for (const input of form.querySelectorAll("[name=confidence]")) input.disabled = off;
  find("missing").textContent = "";
}

const number = (value, digits) => value.toFixed(digits).replace(".", words.comma);
const share = (value) => value === null ? "–" : `${number(100 * value, 0)} %`;

function showProgram(told) {
  find("program").hidden = !told;
  find("again").hidden = !told;
  const tier = find("tier");
  tier.className = "verdict";
  tier.textContent = "";
  for (const id of ["p_malignant", "p_osteoporotic", "height_loss", "level"]) find(id).textContent = "";
  if (!told) return;
  tier.textContent = tier.getAttribute(`data-${told.tier.replace("_", "-")}`) || words.none;
  tier.classList.add(`t-${told.tier || "none"}`);
  if (told.reason) tier.textContent += `: ${told.reason}`;
  for (const id of ["p_malignant", "p_osteoporotic", "height_loss"]) find(id).textContent = share(told[id]);
  find("level").textContent = told.level || "–";
}

async function show(state) {
  const same = turn && turn.number === state.number;
  shot += 1;
  seen = false;
  find("loading").hidden = true;
  find("done").hidden = !state.done;
  if (state.done) find("paused").hidden = true;
  find("case").hidden = state.done || !find("paused").hidden;
  find("pause").hidden = state.done;
  if (state.done) {
    turn = null;
    forget();
    find("where").textContent = "";
    document.body.dataset.ready = "done";
    return;
  }
  turn = { number: state.number, pass: state.pass };
  find("where").textContent = words.case.replace("{number}", state.number).replace("{of}", state.of);
  if (!same) {
    forget();
    for (const view of views) view.querySelector("img").removeAttribute("src");
    places = Object.fromEntries(state.planes.map((plane) => [plane, state.middle]));
  }
  pick("answer", state.first ? state.first.answer : null);
  pick("confidence", state.first ? state.first.confidence : null);
  showProgram(state.program);
  follow();
  await Promise.all(views.map(draw));
  seen = true;
  if (find("paused").hidden) await clock("shown");
  document.body.dataset.ready = `${state.number} ${state.pass}`;
  if (!same) views[0].focus();
}

async function send() {
  if (sending || !turn || !find("paused").hidden) return;
  const answer = picked("answer");
  if (!answer) { find("missing").textContent = words.choose; return; }
  const confidence = needsConfidence() ? Number(picked("confidence") || 0) : null;
  if (confidence === 0) { find("missing").textContent = words.confide; return; }
  sending = true;
  seen = false; // the server stops its clock when it takes the answer
  try {
    await told.catch(() => {});
    await show(await ask("answer", { ...turn, answer, confidence }));
  } catch { alarm(); } finally { sending = false; }
}

function pause() {
  if (!turn || !find("paused").hidden) return;
  find("paused").hidden = false;
  find("case").hidden = true;
  if (seen) clock("pause").catch(alarm);
  find("resume").focus();
}

function resume() {
  find("paused").hidden = true;
  find("case").hidden = false;
  if (seen) clock("shown").catch(alarm);
  views[0].focus();
}

const STEPS = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -5, PageDown: 5 };

function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !turn || !find("paused").hidden) return;
  const radio = event.target.matches("input[type=radio]"), button = event.target.closest("button");
  const choices = [...form.querySelectorAll("[name=answer]")];
  if (choices[Number(event.key) - 1]) {
    pick("answer", choices[Number(event.key) - 1].value);
    follow();
  } else if (event.key === "+" || event.key === "-") {
    const now = Number(picked("confidence") || (event.key === "+" ? 0 : 6));
    if (needsConfidence()) pick("confidence", Math.min(5, Math.max(1, now + (event.key === "+" ? 1 : -1))));
  } else if (event.key.toLowerCase() === "w") {
    const all = [...document.querySelectorAll("[data-window]")].map((one) => one.dataset.window);
    choose(all[(all.indexOf(windowName) + 1) % all.length]);
  } else if (event.key === "Enter" && !button) {
    send();
  } else if (event.key in STEPS && !radio) {
    scroll(event.target.closest(".view") || views[0], STEPS[event.key]);
  } else return;
  event.preventDefault();
}

for (const view of views) {
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    scroll(view, Math.sign(event.deltaY));
  }, { passive: false });
  view.addEventListener("pointerenter", () => view.focus({ preventScroll: true }));
}
for (const button of document.querySelectorAll("[data-window]")) {
  button.addEventListener("click", () => choose(button.dataset.window));
}
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
form.addEventListener("change", follow);
document.addEventListener("keydown", key);
document.addEventListener("visibilitychange", () => { if (document.hidden) pause(); });
find("pause").addEventListener("click", pause);
find("resume").addEventListener("click", resume);
ask("case").then(show).catch(alarm);
