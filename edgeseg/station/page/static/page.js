// The page: who looks, the state as it comes, alarms, start and stop, outputs.

import { ask, attempt, byId, count, el, readSession, session, setText } from "/client.js";
import { lookAgain, showCameras } from "/cameras.js";
import { startReview } from "/review.js";
import { startThreshold } from "/threshold.js";

let events = null;
let begun = false;
let heard = 0;
let known = "";

function show(state) {
  const shape = JSON.stringify([state.cameras.map(each => each.name), state.recipes]);
  if (known && known !== shape) location.reload();  // the station's file was read again
  known = shape;
  setText(byId("station"), state.station);
  document.title = `${state.alarms.length ? "(!) " : ""}${state.station}`;
  showCameras(byId("camera-list"), state);
  showAlarms(state);
  showOutputs(state);
  const operate = session.role === "operate";
  const stop = byId("stop"), start = byId("start");
  const used = [stop, start].includes(document.activeElement);
  stop.hidden = !operate || Boolean(state.stopped);
  start.hidden = !operate || !state.stopped;
  if (used) (stop.hidden ? start : stop).focus();  // the other one is gone, and the focus with it
  byId("logout").hidden = !session.token;
  const running = byId("running");
  setText(running, !state.alive ? "No answer" : state.stopped ? `Stopped: ${state.stopped}` : "The line runs");
  running.className = state.stopped || !state.alive ? "stopped" : "";
  if (!begun) {
    begun = true;
    startThreshold(state);
    startReview(state);
  }
}

function showAlarms(state) {
  const found = state.alarms.map(each => `${each.what}: ${each.problem}`);
  const list = byId("alarms");
  if (list.dataset.shown === JSON.stringify(found)) return;
  list.dataset.shown = JSON.stringify(found);
  list.replaceChildren(...state.alarms.map(each =>
    el("li", {}, el("span", { className: "sign", "aria-hidden": "true" }, "!"),
      el("p", {}, el("strong", {}, `Alarm, ${each.what}. `), each.problem))));
}

function showOutputs(state) {
  byId("outputs").replaceChildren(...state.outputs.map(each => el("tr", {},
    el("th", { scope: "row" }, each.name),
    el("td", {}, each.problem ? "fails" : each.bad_for > 3 ? "does not answer" : "works"),
    el("td", {}, count(each.done)), el("td", {}, count(each.failures)),
    el("td", {}, each.problem || ""))));
  const journal = state.journal;
  setText(byId("journal"), `Journal: ${count(journal.written)} records since the start of the inspection`
    + `${journal.lost ? `, ${count(journal.lost)} lost` : ""}. ${journal.trouble ? `Trouble: ${journal.trouble}.` : "No trouble."} Frames kept as evidence: ${count(state.evidence.kept)}`
    + `${state.evidence.gb === null || state.evidence.gb === undefined ? "" : `, ${state.evidence.gb} GB in all`}.`);
}

function link(text, bad) {
  const shown = byId("link");
  setText(shown, text);
  shown.classList.toggle("bad", bad);
}

// What is shown is of before: nobody knows whether the line runs.
function lose() {
  link("The page has lost the station", true);
  document.body.classList.add("lost");
  setText(byId("running"), "No connection");
  byId("running").className = "stopped";
}

function listen() {
  if (events || document.hidden || !session.role) return;
  events = new EventSource("/api/events");
  events.onmessage = event => {
    heard = Date.now();
    link("Connected", false);
    document.body.classList.remove("lost");
    show(JSON.parse(event.data));
  };
  events.onerror = () => {
    lose();
    if (events && events.readyState === EventSource.CLOSED) {  // the token is not valid any more
      events = null;
      setTimeout(begin, 2000);
    }
  };
  events.onopen = () => {
    readSession().catch(() => {});  // the station may be another process than before
  };
}

// A page that is not seen costs the station nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && events) {
    events.close();
    events = null;
  }
  listen();
  lookAgain();
});

setInterval(() => {
  if (events && heard && Date.now() - heard > 5000) lose();
}, 1000);

byId("stop").onclick = () => {
  byId("stop-reason").value = "";
  byId("stop-dialog").returnValue = "";
  byId("stop-dialog").showModal();
};
byId("stop-dialog").onclose = () => {
  if (byId("stop-dialog").returnValue !== "stop") return;
  attempt(() => ask("/api/command", { command: "stop", reason: byId("stop-reason").value }), "The line is stopped");
};
byId("start").onclick = () => attempt(() => ask("/api/command", { command: "start" }), "The line is started");
byId("logout").onclick = async () => {
  await attempt(() => ask("/api/logout", {}));
  location.reload();
};

byId("login-form").onsubmit = async event => {
  event.preventDefault();
  await login(byId("token").value);
};

async function login(token) {
  setText(byId("login-problem"), "");
  try {
    await ask("/api/login", { token });
    byId("token").value = "";
    await begin();
  } catch (error) {
    setText(byId("login-problem"), error.message);
  }
}

async function begin() {
  try {
    await readSession();
  } catch {
    link("The page has lost the station", true);
    setTimeout(begin, 2000);
    return;
  }
  byId("login").hidden = Boolean(session.role);
  byId("page").hidden = !session.role;
  if (!session.role) {
    link("A token is needed", false);
    byId("token").focus();
  }
  listen();
  lookAgain();
}

// The address that the station shows once has the token behind #, which is never sent as part of it.
const token = location.hash.length > 20 ? location.hash.slice(1) : "";
if (token) history.replaceState(null, "", "/");
await begin();
if (token && !session.role) await login(token);
