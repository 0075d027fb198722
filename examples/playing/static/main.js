// The page: two drawings, each with its tree, and what can be done with them.

import { Latest, ask, get } from "./api.js";
import { Pad } from "./pad.js";
import { BLACK, blank, captioned, figure, nameOf, paint } from "./pictures.js";
import { Stage } from "./stage.js";
import { TreeDiagram } from "./tree.js";

const $ = (id) => document.getElementById(id);
const slots = { A: { strokes: [], shown: null, past: [] }, B: { strokes: [], shown: null, past: [] } };
let active = "A";
let base = null; // the answer that a drag began with
let sureLater = 0;
let silence = 0;

const about = await get("/api/about");
const pad = new Pad($("pad"), $("pad-hint"), drawn);
const stage = new Stage($("stage"), $("image"), $("handles"), about.colours, { moved, chosen });
const tree = new TreeDiagram($("tree"), $("branches"), about.colours, {
  lit: (path) => { stage.lit = path; stage.show(); },
  chosen: (path) => { chosen(path); if (path) say(`${nameOf(path)} is chosen. In the image the arrow keys move it.`); },
});
const parses = new Latest((answer, [name, begun]) => {
  slots[name].past = [];
  keep(name, answer);
  document.documentElement.dataset.parsed = String(Number(document.documentElement.dataset.parsed ?? 0) + 1);
  $("numbers").textContent = numbers(answer, performance.now() - begun);
}, complain);
const edits = new Latest((answer, name) => keep(name, { ...slots[name].shown, ...answer }), complain);
const mixes = new Latest((answer) => {
  stage.show(answer.view);
  tree.show(answer.view);
}, complain);

$("about").textContent = `A recursive neural program (${about.run ?? "a run in memory"}) explains your drawing as a tree of parts.`;
$("pad-hint").textContent = about.digits ? "Draw a digit here" : "Draw here";

function say(text, bad = false) {
  clearTimeout(silence);
  if (text && !bad) silence = setTimeout(() => say(""), 5000);
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function complain(error) {
  say(error.message, true);
}

function numbers(answer, round) {
  const error = answer.squared_error === null ? "" : `squared error ${answer.squared_error.toFixed(1)} · `;
  return `${error}${answer.milliseconds.toFixed(0)} ms in the model, ${round.toFixed(0)} ms in all`;
}

// Drawing

function drawn(ended) {
  const slot = slots[active];
  slot.strokes = pad.strokes;
  edits.drop();
  mixes.drop();
  if (pad.empty) { clear(); return; }
  if ($("weight").value !== "0") $("weight").value = "0";
  if (stage.part) chosen(null);
  const begun = performance.now();
  parses.ask("parse", () => ({ ink: pad.ink(), placed: "fit" }), [active, begun]);
  clearTimeout(sureLater);
  if (ended) sureLater = setTimeout(howSure, 500);
}

function keep(name, shown) {
  slots[name].shown = shown;
  if (name === active) refresh();
  ready();
  say("");
}

function refresh() {
  const { shown } = slots[active];
  if (!stage.node(stage.part)) stage.part = null;
  stage.show(shown?.view ?? null);
  if (shown) tree.show(shown.view); else { tree.list.replaceChildren(); tree.shape = null; tree.items.clear(); tree.connect(); }
  tree.select(stage.part);
  if (shown?.given) paint($("given"), [[shown.given, BLACK]]); else blank($("given"));
  if (shown) paint($("reconstruction"), [[shown.view.image, BLACK]]); else blank($("reconstruction"));
  const parts = shown ? shown.view.nodes.filter((node) => node.path.length === 1).length : 0;
  $("image").setAttribute("aria-label", shown ? `The image that the tree draws, of ${parts} parts` : "Nothing is drawn yet");
  tools();
}

function tools() {
  for (const button of document.querySelectorAll("[data-edit]")) button.disabled = !stage.part;
  $("undo-edit").disabled = !slots[active].past.length;
  $("undo-stroke").disabled = pad.empty;
  $("chosen").textContent = stage.part ? nameOf(stage.part) : slots[active].shown ? "Hover, or walk with the arrow keys" : "";
}

function choose(name) {
  active = name;
  for (const one of ["A", "B"]) $(`slot-${one}`).setAttribute("aria-pressed", String(one === name));
  pad.set(slots[name].strokes);
  stage.part = null;
  $("numbers").textContent = "";
  refresh();
  clearTimeout(sureLater);
  sureLater = setTimeout(howSure, 200);
}

function clear() {
  parses.drop();
  edits.drop();
  slots[active] = { strokes: [], shown: null, past: [] };
  pad.set([]);
  stage.part = null;
  $("numbers").textContent = "";
  $("draws").replaceChildren();
  $("bound").textContent = "Draw something first.";
  refresh();
  ready();
}

$("slot-A").addEventListener("click", () => choose("A"));
$("slot-B").addEventListener("click", () => choose("B"));
$("clear").addEventListener("click", () => { clear(); say("The drawing is cleared."); });
$("undo-stroke").addEventListener("click", () => pad.undo());
for (const [id, coloured] of [["show-parts", true], ["show-ink", false]]) {
  $(id).addEventListener("click", () => {
    stage.coloured = coloured;
    $("show-parts").setAttribute("aria-pressed", String(coloured));
    $("show-ink").setAttribute("aria-pressed", String(!coloured));
    stage.show();
  });
}

// Parts

function chosen(path) {
  stage.part = path;
  stage.lit = null;
  stage.show();
  tree.select(path);
  tools();
}

function moved(change, done) {
  const slot = slots[active];
  if (!slot.shown || !stage.part) return;
  if (base === null) {
    base = slot.shown;
    slot.past.push(slot.shown);
    parses.drop();
  }
  if (change) {
    const [from, part] = [change && done ? null : base, stage.part];
    // Keys add up: each starts from what the one before came to. A drag starts from where it began.
    if (from) edits.ask("move", () => ({ tree: from.tree, part, ...change }), active);
    else keys.push({ part, ...change });
  }
  if (done) { base = null; if (keys.length) steps(active); }
  tools();
}

const keys = [];
let stepping = false;

async function steps(name) {
  if (stepping) return;
  stepping = true;
  while (keys.length) {
    try {
      keep(name, { ...slots[name].shown, ...await ask("move", { tree: slots[name].shown.tree, ...keys.shift() }) });
    } catch (error) { keys.length = 0; complain(error); }
  }
  stepping = false;
}

for (const button of document.querySelectorAll("[data-edit]")) button.addEventListener("click", () => stage.nudge(button.dataset.edit));
function undoEdit() {
  const { past } = slots[active];
  edits.drop();
  if (past.length) keep(active, past.pop());
}
$("undo-edit").addEventListener("click", undoEdit);
$("stage").addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); undoEdit(); }
});

// How sure

async function howSure() {
  const name = active;
  if (pad.empty) return;
  try {
    const answer = await ask("sure", { ink: pad.ink(), placed: "fit", draws: 8 });
    if (name !== active || pad.empty) return;
    const draws = answer.draws.map((one, at) => figure(one, `Draw ${at + 1} from the posterior`));
    const spread = figure(answer.spread, "Standard deviation of the draws, per pixel", [208, 28, 28]);
    spread.className = "strong";
    $("draws").replaceChildren(...draws, spread);
    $("bound").textContent = `−ELBO ${answer.neg_elbo.toFixed(1)} ± ${answer.standard_error.toFixed(1)} nats: reconstruction ${answer.reconstruction.toFixed(1)}, KL ${answer.kl.toFixed(1)}. Framed: where the draws differ.`;
  } catch (error) { complain(error); }
}

// Completions

function half() {
  return document.querySelector("input[name=half]:checked").value;
}

function veil(shown) {
  $("veil").hidden = !shown;
  $("veil").className = half();
}
for (const name of ["focusin", "pointerenter"]) $("halves").addEventListener(name, () => veil(true));
$("halves").addEventListener("change", () => veil(true));
$("complete").addEventListener("focus", () => veil(true));
$("clear").addEventListener("click", () => veil(false));

// A drawing of one half stays where it is; a whole one is put in place as for a parse, and half of it hidden.
function placed() {
  const ink = pad.ink(), side = ink.length, hidden = half();
  const covered = (row, column) => ({
    top: row < side / 2, bottom: row >= side / 2, left: column < side / 2, right: column >= side / 2,
  })[hidden];
  let [all, lost] = [0, 0];
  ink.forEach((numbers, row) => numbers.forEach((one, column) => { if (one > 127) { all += 1; lost += covered(row, column); } }));
  return { ink, placed: lost > 0.15 * all ? "fit" : "as drawn" };
}

$("complete").addEventListener("click", async () => {
  if (pad.empty) { say("Draw a half first."); return; }
  $("complete").disabled = true;
  say("Looking for programs that explain the half that is seen …");
  try {
    const asked = placed();
    const answer = await ask("complete", { ...asked, hidden: half(), draws: 6, seed: Math.floor(Math.random() * 2 ** 31) });
    const expected = captioned(answer.expected, "expected");
    expected.className = "strong";
    $("completions").replaceChildren(captioned(seen(answer), "seen"), expected, ...answer.draws.map((one, at) => captioned(one, `draw ${at + 1}`)));
    const rough = answer.khat === null || answer.khat > 0.7;
    $("completed").textContent = `${rough ? "A rough answer" : "An answer to trust"}: Pareto k-hat ${answer.khat === null ? "unknown" : answer.khat.toFixed(2)}, to be trusted below 0.7.`;
    say("Completed.");
  } catch (error) { complain(error); }
  $("complete").disabled = false;
});

function seen({ given: [rows, columns, bytes], hidden }) {
  const kept = [...atob(bytes)].map((one, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const gone = { top: row < rows >> 1, bottom: row >= rows >> 1, left: column < columns >> 1, right: column >= columns >> 1 };
    return gone[hidden] ? "\0" : one;
  });
  return [rows, columns, btoa(kept.join(""))];
}

// Two drawings

function ready() {
  const both = Boolean(slots.A.shown && slots.B.shown);
  $("weight").disabled = !both;
  $("swap").disabled = !both;
  $("between-note").textContent = both ? "" : `Keep one drawing as A and one as B: ${slots.A.shown ? "B" : "A"} is empty.`;
  for (const name of ["A", "B"]) {
    const nodes = slots[name].shown?.view.nodes ?? [];
    const select = $(`swap-${name}`);
    const paths = nodes.map((node) => node.path.join("."));
    if (select.dataset.paths !== paths.join(" ")) {
      select.replaceChildren(...nodes.map((node) => new Option(nameOf(node.path), JSON.stringify(node.path))));
      select.dataset.paths = paths.join(" ");
    }
    select.disabled = !nodes.length;
  }
}

function mix() {
  const weight = Number($("weight").value), [one, other] = [slots.A.shown, slots.B.shown];
  if (!one || !other) return;
  chosen(null);
  $("between-note").textContent = `${Math.round(100 * (1 - weight))} % A, ${Math.round(100 * weight)} % B`;
  mixes.ask("interpolate", () => ({ tree: one.tree, other: other.tree, weight, of: $("root-only").checked ? "root" : "all" }));
}
$("weight").addEventListener("input", mix);
$("root-only").addEventListener("change", mix);

$("swap").addEventListener("click", async () => {
  const [one, other] = [slots.A.shown, slots.B.shown];
  try {
    const answer = await ask("swap", {
      tree: one.tree, other: other.tree, part: JSON.parse($("swap-A").value), other_part: JSON.parse($("swap-B").value),
      with_pose: $("swap-pose").checked,
    });
    slots.A.past.push(one);
    slots.B.past.push(other);
    keep("A", { ...one, ...answer.trees[0] });
    keep("B", { ...other, ...answer.trees[1] });
    refresh();
    say("Swapped: look at A and at B. Undo brings each back.");
  } catch (error) { complain(error); }
});

$("sample").addEventListener("click", async () => {
  try {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const answer = await ask("sample", { temperature: Number($("temperature").value), seed });
    clear();
    keep(active, answer);
    say(`A sample is now drawing ${active}.`);
  } catch (error) { complain(error); }
});

refresh();
ready();
document.documentElement.dataset.ready = "true";
