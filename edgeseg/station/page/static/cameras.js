// A card for each camera: lamp, picture, figures, recipe, trigger.

import { ask, attempt, clock, count, el, kindOf, mark, number, session, setText } from "/client.js";

const cards = new Map();
const STATES = { starting: "starting", running: "running", lost: "camera lost", ended: "source ended" };
const CODES = { 12: "late", 13: "camera lost", 14: "broken", 15: "frozen", 20: "line stopped" };

export function showCameras(place, state) {
  for (const camera of state.cameras) {
    if (!cards.has(camera.name)) {
      cards.set(camera.name, new Card(camera.name, state.recipes));
      place.append(cards.get(camera.name).element);
    }
    cards.get(camera.name).show(camera, state);
  }
  place.classList.toggle("one", state.cameras.length === 1);
}

export function lookAgain() {
  for (const card of cards.values()) card.look();
}

class Card {
  constructor(name, recipes) {
    this.name = name;
    this.lampMark = el("div");
    this.word = el("strong");
    this.why = el("span", { className: "why" });
    this.lamp = el("div", { className: "lamp", role: "group", "aria-label": `Verdict of ${name}` },
      this.lampMark, el("p", {}, this.word, this.why));
    this.state = el("span", { className: "quiet" });
    this.picture = el("img", { alt: `Live picture of ${name}`, hidden: true });
    this.wait = el("p", { className: "wait" }, "Waiting for the next part");
    this.toggle = el("button", { type: "button", "aria-pressed": "true", onclick: () => this.flip() }, "Live picture");
    this.figures = el("dl", { className: "fields" });
    this.age = el("p", { className: "age", hidden: true });
    this.seen = 0;
    this.texts = new Map();
    this.recipe = el("select", { "aria-label": `Recipe of ${name}` }, ...recipes.map(each => el("option", { value: each }, each)));
    this.use = el("button", { type: "button", className: "operate", onclick: () => this.change() }, "Use");
    this.part = el("input", { maxLength: 60, placeholder: "part number", autocomplete: "off", "aria-label": `Part number for ${name}` });
    this.triggers = el("form", { className: "controls operate", hidden: true, onsubmit: event => this.trigger(event) },
      this.part, el("button", { type: "submit" }, "Trigger"));
    this.element = el("article", { className: "panel camera", "aria-label": `Camera ${name}` },
      el("header", {}, el("h3", {}, name), this.state, this.toggle),
      this.lamp,
      el("div", { className: "picture" }, this.picture, this.wait, this.age),
      el("div", { className: "controls recipe" }, el("span", {}, "Recipe"), this.recipe, this.use),
      this.triggers, this.figures);
    this.looking = false;
    this.wanted = true;
    this.touched = false;
    this.recipe.onchange = () => { this.touched = this.recipe.value !== this.current; this.mark(); };
    this.look();
  }

  show(camera, state) {
    const lamp = camera.lamp, kind = kindOf(lamp.code);
    if (this.kind !== kind) {
      this.kind = kind;
      this.lampMark.replaceChildren(mark(kind));
      this.lamp.className = `lamp ${kind}`;
    }
    setText(this.word, lamp.ok ? "OK" : "NOT OK");
    const reason = lamp.code < 21 && lamp.reason ? lamp.reason : lamp.word;
    const more = (reason.startsWith(lamp.word) ? reason.slice(lamp.word.length) : reason).replace(/^:? */, "");
    // The code stands before a reason of any length, whose end may be cut.
    setText(this.why, lamp.ok ? "" : `${lamp.word} (code ${lamp.code})${more ? `: ${more}` : ""}`);
    setText(this.state, STATES[camera.state] || "");
    if (camera.recipe && camera.recipe !== this.current) {
      if (!this.touched) this.recipe.value = camera.recipe;
      this.current = camera.recipe;
    }
    this.mark();
    this.triggers.hidden = !(camera.mode === "triggered" && camera.trigger === "software" && session.role === "operate");
    this.field("Score", number(lamp.score));
    this.field("Threshold", number(lamp.threshold));
    if (this.wanted) setText(this.wait, camera.state === "lost" ? "The camera is lost" : "Waiting for the next part");
    this.field("Regions", count(lamp.regions));
    this.field("Latency p50", camera.p50_ms ? `${number(camera.p50_ms, 1)} ms` : "–");
    this.field("p99", camera.p99_ms ? `${number(camera.p99_ms, 1)} ms` : "–");
    const verdicts = camera.verdicts || {}, codes = camera.codes || {};
    this.field("Good", count(verdicts.good));
    this.field("Anomalous", count(verdicts.anomalous));
    this.field("Dropped", count((codes[11] || 0) + (camera.driver_drops || 0)));
    this.field("Unknown", count(verdicts.unknown));
    for (const [code, word] of Object.entries(CODES)) {
      if (codes[code]) this.field(`Unknown: ${word}`, count(codes[code]));
    }
    if (lamp.part) this.field("Part", lamp.part);
    if (lamp.decided) this.field("Last part", clock(lamp.decided));
    const old = Math.round((Date.now() - this.seen) / 1000);
    this.age.hidden = this.picture.hidden || old < 3;
    setText(this.age, `This picture is ${old} s old`);
    this.element.classList.toggle("silent", !state.alive || camera.state === "lost");
  }

  mark() {
    const differs = this.recipe.value !== this.current;
    this.use.disabled = !differs;
    this.use.hidden = session.role !== "operate";
    this.recipe.disabled = session.role !== "operate";
    if (!differs) this.touched = false;
  }

  field(name, text) {
    if (!this.texts.has(name)) {
      const shown = el("dd");
      this.texts.set(name, shown);
      this.figures.append(el("div", {}, el("dt", {}, name), shown));
    }
    setText(this.texts.get(name), text);
  }

  async change() {
    const recipe = this.recipe.value;
    this.touched = false;
    this.recipe.focus();  // the button, which has the focus, is disabled by what it does
    await attempt(() => ask("/api/command", { command: "recipe", camera: this.name, recipe }), `${this.name}: recipe ${recipe}`);
  }

  async trigger(event) {
    event.preventDefault();
    const found = await attempt(() => ask("/api/command", { command: "trigger", camera: this.name, part: this.part.value }));
    if (found) this.part.select();
  }

  flip() {
    this.wanted = !this.wanted;
    this.toggle.setAttribute("aria-pressed", String(this.wanted));
    if (!this.wanted) {
      this.picture.hidden = true;
      setText(this.wait, "The picture is off");
    }
    this.wait.hidden = false;
    this.look();
  }

  // One picture after the other while the page is seen: a slow viewer gets fewer of them.
  async look() {
    if (this.looking) return;
    this.looking = true;
    let seen = 0;
    while (this.wanted && !document.hidden && session.role) {
      try {
        const reply = await fetch(`/still/${this.name}?after=${seen}`);
        if (reply.status === 200) {
          seen = Number(reply.headers.get("X-Number"));
          await this.put(await reply.blob());
        } else if (reply.status !== 204) {
          await new Promise(resolve => setTimeout(resolve, 2000));
        }
      } catch {
        this.picture.hidden = true;
        this.wait.hidden = false;
        await new Promise(resolve => setTimeout(resolve, 2000));
      }
    }
    this.looking = false;
  }

  async put(blob) {
    const before = this.picture.src;
    this.picture.src = URL.createObjectURL(blob);
    await this.picture.decode().catch(() => {});
    if (before) URL.revokeObjectURL(before);
    this.seen = Date.now();
    this.picture.hidden = !this.wanted;
    this.wait.hidden = this.wanted;
  }
}
