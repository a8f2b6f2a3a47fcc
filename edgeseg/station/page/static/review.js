// The gallery of parts that are not OK: look at them, and say what they are.

import { ask, attempt, byId, clock, count, el, kindOf, mark, number, session, setText, tell } from "/client.js";

const LABELS = [["good", "Good", "g"], ["defect", "Defect", "d"], ["unclear", "Unclear", "u"]];
const DETAILS = { id: "Record", part: "Part", camera: "Camera", recipe: "Recipe", verdict: "Verdict",
  reason: "Reason", score: "Score", threshold: "Threshold", region_count: "Regions", ms: "Latency, ms",
  trigger: "Trigger", frame: "Frame", model: "Model", device: "Device", boot: "Boot", sequence: "Sequence" };
let next = 0;
let readings = 0;

export function startReview(state) {
  byId("shown-camera").append(...state.cameras.map(each => el("option", { value: each.name }, each.name)));
  byId("shown").onchange = () => read(0);
  byId("shown-camera").onchange = () => read(0);
  byId("newest").onclick = () => read(0);
  byId("older").onclick = () => read(next);
  byId("part-close").onclick = () => byId("part-dialog").close();
  byId("parts").addEventListener("keydown", press);
  read(0);
}

async function read(before) {
  const mine = readings += 1;
  const query = new URLSearchParams({ shown: byId("shown").value, camera: byId("shown-camera").value, before });
  const found = await attempt(() => ask(`/api/parts?${query}`));
  if (!found || mine !== readings) return;  // another choice was made meanwhile
  const made = found.parts.map(tile);
  if (before) {
    byId("parts").append(...made);
    if (made.length) made[0].focus();
  } else {
    byId("parts").replaceChildren(...made);
  }
  if (!byId("parts").children.length) {
    byId("parts").append(el("li", { className: "nothing quiet" }, "No such parts."));
  } else if (made.length) {
    byId("parts").querySelector(".nothing")?.remove();
  }
  next = found.next;
  byId("older").hidden = !next;
  tally(found.counts);
}

function tally(counts) {
  const words = LABELS.map(([name]) => `${count(counts[name])} ${name}`);
  setText(byId("label-counts"), `Labels: ${words.join(", ")}`);
}

function tile(part) {
  const kind = kindOf(part.code);
  const open = () => enlarge(part);
  const shown = part.pictures[0];
  const face = shown
    ? el("img", { src: `/evidence/${part.id}/${shown}?size=small`, alt: `${part.word}, part ${part.id}`, loading: "lazy" })
    : el("span", { className: "none" }, mark(kind), "no picture was kept");
  const buttons = LABELS.map(([name, word]) => el("button", {
    type: "button", "aria-pressed": String(part.label === name), disabled: session.role !== "operate",
    onclick: () => label(part, name, buttons),
  }, word));
  const made = el("li", { className: `tile ${kind}`, tabIndex: 0, "aria-label": `Part ${part.id}, ${part.word}` },
    el("button", { type: "button", className: "face", "aria-label": `Look at part ${part.id}`, tabIndex: -1, onclick: open }, face),
    el("p", { className: "what" }, mark(kind), el("strong", {}, part.word)),
    el("p", { className: "quiet" }, `${part.camera}${part.part ? `, part ${part.part}` : ""} · ${clock(part.decided)}`),
    el("p", { className: "quiet" }, part.score === undefined ? (part.reason || "") : `score ${number(part.score)} of ${number(part.threshold)}${part.reason ? `, ${part.reason}` : ""}`),
    el("p", { className: "labels", role: "group", "aria-label": `Label of part ${part.id}` }, ...buttons));
  made.press = key => {
    const place = LABELS.findIndex(each => each[2] === key);
    if (place >= 0) buttons[place].click();
    else if (key === "Enter") open();
    else return false;
    return true;
  };
  return made;
}

function press(event) {
  const made = event.target.closest(".tile");
  if (!made || event.ctrlKey || event.altKey || event.metaKey) return;
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step) {
    const other = step > 0 ? made.nextElementSibling : made.previousElementSibling;
    if (other) other.focus();
    event.preventDefault();
  } else if (event.target === made || event.key.length === 1) {
    if (made.press(event.key)) event.preventDefault();
  }
}

async function label(part, name, buttons) {
  const wanted = part.label === name ? "" : name;
  const found = await attempt(() => ask("/api/label", { id: part.id, label: wanted }));
  if (!found) return;
  part.label = wanted;
  LABELS.forEach(([each], place) => buttons[place].setAttribute("aria-pressed", String(each === wanted)));
  tally(found.counts);
  tell(wanted ? `Part ${part.id}: ${wanted}` : `Part ${part.id}: label removed`);
}

function enlarge(part) {
  setText(byId("part-title"), `Part ${part.part || part.id}: ${part.word}`);
  byId("part-pictures").replaceChildren(...part.pictures.map(name => el("figure", {},
    el("img", { src: `/evidence/${part.id}/${name}?size=large`, alt: name }), el("figcaption", {}, name))));
  const fields = Object.entries(DETAILS).filter(([name]) => part[name] !== undefined).map(([name, word]) =>
    el("div", {}, el("dt", {}, word), el("dd", {}, String(part[name]))));
  fields.unshift(el("div", {}, el("dt", {}, "Time"), el("dd", {}, clock(part.decided))));
  byId("part-fields").replaceChildren(...fields);
  byId("part-dialog").showModal();
}
