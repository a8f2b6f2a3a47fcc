// The histogram of scores, and what another image threshold would have meant; it changes nothing.

import { ask, attempt, byId, count, el, number } from "/client.js";

const BINS = 48;
let data = null;
let readings = 0;
let recipes = {};

export function startThreshold(state) {
  const choice = byId("scores-camera");
  choice.replaceChildren(...state.cameras.map(each => el("option", { value: each.name }, each.name)));
  choice.onchange = read;
  byId("scores-last").onchange = read;
  byId("scores-again").onclick = read;
  byId("slider").oninput = () => move(byId("slider").value);
  byId("slider-number").onchange = () => move(byId("slider-number").value);
  byId("slider-back").onclick = () => move(data.threshold);
  addEventListener("resize", draw);
  read();
}

async function read() {
  const camera = byId("scores-camera").value, mine = readings += 1;
  const state = await attempt(() => ask("/api/state"));
  if (!state) return;
  recipes = Object.fromEntries(state.cameras.map(each => [each.name, each.recipe]));
  const query = new URLSearchParams({ camera, recipe: recipes[camera] || state.recipes[0], last: byId("scores-last").value });
  const found = await attempt(() => ask(`/api/scores?${query}`));
  if (mine !== readings) return;  // another choice was made meanwhile
  data = found;
  const some = Boolean(data && data.scores.length && data.threshold !== null);
  for (const id of ["slider", "slider-number", "slider-back"]) byId(id).disabled = !some;
  byId("histogram").replaceChildren();
  if (!some) {
    byId("meaning").replaceChildren(el("p", { className: "quiet" }, "This recipe has judged no part of this camera yet."));
    return;
  }
  const high = Math.max(...data.scores, data.threshold), low = Math.min(...data.scores, data.threshold);
  const edge = (high - low || 1) * 0.05;
  data.low = low - edge;
  data.high = high + edge;
  const slider = byId("slider");
  slider.min = data.low;
  slider.max = data.high;
  slider.step = (data.high - data.low) / 500;
  move(data.threshold);
}

function move(value) {
  const wanted = Number(value);
  if (!data || !Number.isFinite(wanted)) return;
  data.wanted = wanted;
  const slider = byId("slider");
  if (Number(slider.value) !== wanted) slider.value = wanted;
  slider.setAttribute("aria-valuetext", number(wanted));
  byId("slider-number").value = number(wanted);
  draw();
  explain();
}

// Parts whose verdict would have been another one. The score of an unknown part says nothing.
function changes() {
  const found = { rejected: 0, now: 0, toRejected: 0, toGood: 0, knownGood: 0, knownDefect: 0, unknown: 0, byScore: true };
  data.scores.forEach((score, place) => {
    const verdict = data.verdicts[place], label = data.labels[place];
    if (verdict === "u") {
      found.unknown += 1;
      return;
    }
    const before = verdict === "a", after = score > data.wanted;
    if (before !== (score > data.threshold)) found.byScore = false;
    found.now += before;
    found.rejected += after;
    found.toRejected += !before && after;
    found.toGood += before && !after;
    found.knownGood += after && label === "good";
    found.knownDefect += !after && label === "defect";
  });
  return found;
}

function explain() {
  const found = changes(), all = data.scores.length, same = Math.abs(data.wanted - data.threshold) < 1e-9;
  const line = (text, extra) => el("li", { className: extra || "" }, text);
  const lines = [
    line(`${count(found.rejected)} of the last ${count(all)} parts would have been anomalous; ${count(found.now)} were.`),
    line(`${count(found.toRejected)} good parts would have been anomalous in addition.`),
    line(`${count(found.toGood)} anomalous parts would have been good.`),
  ];
  if (found.unknown) lines.push(line(`${count(found.unknown)} are unknown, whatever the threshold is.`));
  if (Object.keys(data.labels).length) {
    lines.push(line(`Of the labeled parts, ${count(found.knownDefect)} with a defect would have been good, and ${count(found.knownGood)} good ones anomalous.`,
      found.knownDefect ? "bad" : ""));
  }
  const title = same ? `At the current threshold, ${number(data.threshold)}` : `At ${number(data.wanted)} instead of ${number(data.threshold)}`;
  const how = `This changes nothing. To use it: image_threshold = ${number(data.wanted)} under [[recipe]] ${data.recipe} in the station's file, then read the file again (SIGHUP).`;
  byId("meaning").replaceChildren(el("h3", {}, title), el("ul", {}, ...lines),
    found.byScore ? "" : el("p", { className: "problem" }, "Other verdicts than those by this threshold are among them: this recipe judges by regions, or its threshold was another one. The image threshold alone does not tell what would have happened."),
    el("p", { className: "quiet" }, how));
}

function draw() {
  if (!data || !data.scores.length) return;
  const place = byId("histogram"), width = Math.max(place.clientWidth, 240), height = 210, base = height - 26;
  const bins = { g: new Array(BINS).fill(0), a: new Array(BINS).fill(0), u: new Array(BINS).fill(0) };
  const share = score => (score - data.low) / (data.high - data.low);
  data.scores.forEach((score, each) => {
    const bin = Math.min(Math.floor(share(score) * BINS), BINS - 1);
    bins[data.verdicts[each]][bin] += 1;
  });
  const most = Math.max(...bins.g.map((value, bin) => value + bins.a[bin] + bins.u[bin]), 1);
  const scale = Math.sqrt;  // so that single parts are seen beside hundreds
  const shapes = [];
  const step = width / BINS;
  for (let bin = 0; bin < BINS; bin += 1) {
    const total = bins.g[bin] + bins.a[bin] + bins.u[bin];
    if (!total) continue;
    let y = base;
    const tall = (base - 46) * scale(total / most);
    for (const [kind, name] of [["g", "good"], ["a", "anomalous"], ["u", "unknown"]]) {
      const part = tall * bins[kind][bin] / total;
      if (!part) continue;
      y -= part;
      shapes.push(el("rect", { x: bin * step + 1, y, width: Math.max(step - 2, 1), height: part, class: `bar ${name}` }));
      if (kind !== "g") {
        shapes.push(el("rect", { x: bin * step + 1, y, width: Math.max(step - 2, 1), height: part, fill: `url(#${name}-hatch)` }));
      }
    }
  }
  const at = (value, name, text, y) => {
    const x = Math.min(Math.max(share(value), 0), 1) * width, right = x > width * 0.6;
    return el("g", { class: name }, el("line", { x1: x, x2: x, y1: 34, y2: base }),
      el("text", { x: x + (right ? -6 : 6), y: y + 2, "text-anchor": right ? "end" : "start" }, text));
  };
  const same = Math.abs(data.wanted - data.threshold) < 1e-9;
  const title = `Scores of the last ${data.scores.length} parts, from ${number(data.low)} to ${number(data.high)}; the threshold is ${number(data.threshold)}`;
  place.replaceChildren(
    el("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, height },
      el("defs", {}, hatch("anomalous-hatch", 45), hatch("unknown-hatch", 0)),
      ...shapes, el("line", { x1: 0, x2: width, y1: base, y2: base, class: "axis" }),
      el("text", { x: 0, y: height - 8 }, number(data.low, 2)),
      el("text", { x: width, y: height - 8, "text-anchor": "end" }, number(data.high, 2)),
      at(data.threshold, "now", `now ${number(data.threshold)}`, 10),
      same ? "" : at(data.wanted, "wanted", `would be ${number(data.wanted)}`, 26)),
    el("p", { className: "legend quiet" }, el("span", { className: "key good" }), "good ",
      el("span", { className: "key anomalous" }), "anomalous ", el("span", { className: "key unknown" }), "unknown ",
      el("span", {}, "· heights: square root of the count")));
}

function hatch(id, angle) {
  return el("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` },
    el("line", { x1: 0, y1: 0, x2: 0, y2: 5, class: "hatch" }));
}
