// What all files of the page use: elements, requests, messages.

export const byId = id => document.getElementById(id);

// An element with properties, attributes (for names that are none) and children; text is never HTML.
export function el(name, properties = {}, ...children) {
  const svg = ["svg", "g", "rect", "path", "line", "text", "circle", "pattern", "defs"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (!svg && key in made && !key.startsWith("aria")) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

export const session = { role: null, csrf: "", token: false };

export async function readSession() {
  Object.assign(session, await (await fetch("/api/session")).json());
  return session.role;
}

// A request; its answer as a document. An error has the words of the station.
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Csrf-Token": session.csrf },
    body: JSON.stringify(body),
  };
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error("the station cannot be reached");
  }
  const document = await reply.json().catch(() => ({}));
  if (!reply.ok) throw Object.assign(new Error(document.error || `status ${reply.status}`), { status: reply.status });
  return document;
}

let last;

export function tell(text, bad = false) {
  const shown = byId("messages");
  shown.replaceChildren(el("p", { className: bad ? "message bad" : "message" }, bad ? `Not done: ${text}` : text));
  clearTimeout(last);
  last = setTimeout(() => shown.replaceChildren(), bad ? 12000 : 4000);
}

// Do something; tell what came of it.
export async function attempt(work, done) {
  try {
    const found = await work();
    if (done) tell(done);
    return found;
  } catch (error) {
    tell(error.message, true);
    return null;
  }
}

// Change a text only where it differs, so that a screen reader and a selection are left alone.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const number = (value, digits = 3) =>
  value === null || value === undefined ? "–" : Number(value).toFixed(digits);

export const count = value => Number(value || 0).toLocaleString("en-US");

// The time of day, with the day unless it is today.
export function clock(seconds) {
  const moment = new Date(seconds * 1000), today = new Date().toDateString() === moment.toDateString();
  const day = today ? {} : { month: "short", day: "numeric" };
  return moment.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

// The shape of a verdict: circle good, triangle anomalous, dashed square unknown.
export function mark(kind) {
  const shape = {
    good: ["circle", { cx: 16, cy: 16, r: 13 }, "M9 16.5l5 5 9-10"],
    anomalous: ["path", { d: "M16 2L31 29H1z" }, "M16 12v8M16 23.5v2"],
    unknown: ["rect", { x: 3, y: 3, width: 26, height: 26 }, "M11.5 12a4.5 4.5 0 1 1 6 4.2c-1.200.600-1.500 1.300-1.500 2.800M16 22v2.500"],
  }[kind];
  return el("svg", { viewBox: "0 0 32 32", class: `mark ${kind}`, "aria-hidden": "true" },
    el(shape[0], { ...shape[1], class: "body" }), el("path", { d: shape[2], class: "sign" }));
}

export const kindOf = code => code === 0 ? "good" : code === 1 ? "anomalous" : "unknown";
