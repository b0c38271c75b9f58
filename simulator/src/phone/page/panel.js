// Behind the scenes: what was posted, what reached Graph and the AI, what Switchboard keeps of the conversation.

import { by, el, exactClock, showRows, span } from "./dom.js";
import { getConversation } from "./server.js";
import { chat, messages, on, state } from "./state.js";
import { initSwitches } from "./switches.js";

const TABS = ["wire", "conversation", "faults"];
const LABELS = { webhook: "Webhook", status: "Status", graph: "Graph", ai: "AI" };
const CONVERSATION_MS = 3000;
/** The parts of a conversation in the order in which a message passes through them; what else there is comes last. */
const PARTS = ["mailbox", "lease", "outbox", "memory"];
const wide = matchMedia("(min-width: 1100px)");
let tab = "wire";
let refresh = 0;
const open = new Set();

export function initPanel() {
  initSwitches();
  for (const kind of ["open", "reset"]) on(kind, showAll);
  for (const kind of ["scene", "message"]) on(kind, showSoon);
  by("panel-toggle").addEventListener("click", () => toggle(document.body.dataset.panel !== "open"));
  by("panel-close").addEventListener("click", () => toggle(false));
  by("shade").addEventListener("click", () => toggle(false));
  by("panel").addEventListener("keydown", (event) => event.key === "Escape" && toggle(false));
  for (const name of TABS) by(`tab-${name}`).addEventListener("click", () => choose(name));
  by("tabs").addEventListener("keydown", turnTabs);
  // A lease runs out and a retry falls due without any event.
  setInterval(() => tab === "conversation" && !document.hidden && showAll(), CONVERSATION_MS);
  toggle(wide.matches, false);
}

function toggle(on, focus = true) {
  document.body.dataset.panel = on ? "open" : "closed";
  by("panel-toggle").setAttribute("aria-expanded", String(on));
  by("panel").inert = !on;
  if (focus) (on ? by(`tab-${tab}`) : by("panel-toggle")).focus();
  if (on) showAll();
}

function turnTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  choose(TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length]);
  by(`tab-${tab}`).focus();
}

function choose(name) {
  tab = name;
  for (const other of TABS) {
    by(`tab-${other}`).setAttribute("aria-selected", String(other === name));
    by(`tab-${other}`).tabIndex = other === name ? 0 : -1;
    by(`pane-${other}`).hidden = other !== name;
  }
  showAll();
}

/** Several things happen at once, and one look at all of them is enough. */
function showSoon() {
  clearTimeout(refresh);
  refresh = setTimeout(showAll, 120);
}

function showAll() {
  clearTimeout(refresh);
  if (!state.open || document.body.dataset.panel !== "open") return;
  if (tab === "wire") showWire();
  if (tab === "conversation") showConversation(state.open);
}

function showWire() {
  const scenes = [...chat(state.open).scenes.values(), ...state.strays.values()].sort((one, other) => other.at - one.at);
  by("timings").replaceChildren(timings());
  const list = by("scenes");
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const rows = scenes.map((scene) => {
    const version = JSON.stringify([scene.done, scene.http, scene.tries.length, scene.tries.map((one) => one.http), scene.chat]);
    const before = known.get(scene.id);
    return before?.dataset.version === version ? before : sceneRow(scene, version);
  });
  const note = (key, text) => el("li", { class: "note", data: { key } }, text);
  if (!state.setup.stand_in_ai) rows.unshift(note("real-ai", "A real AI is used. Its calls do not pass through here, so they are not shown."));
  if (scenes.length === 0) rows.push(note("nothing", "Nothing has happened in this chat since the start."));
  showRows(list, rows);
}

/** From the webhook to the answer, of the newest message. */
function timings() {
  const own = messages(state.open).filter((message) => message.from === "customer").at(-1);
  if (!own) return el("p", { class: "note" }, "Write something, and see how long each step takes.");
  const steps = [["Acknowledged", own.taken], ["Read", own.read], ["Typing", own.typing], ["Answered", own.answered]];
  const end = Math.max(...steps.map(([, at]) => at ?? 0), own.at + 1);
  return el("div", { class: "steps", data: { message: own.id } }, el("h3", {}, "Your newest message"), steps.map(([name, at]) => {
    const bar = el("i", { "aria-hidden": "true" });
    bar.style.setProperty("--part", at ? `${Math.max(2, ((at - own.at) / (end - own.at)) * 100)}%` : "0%");
    return el("p", { data: { step: name.toLowerCase() }, class: at ? "done" : null }, el("span", {}, name), bar, el("span", {}, at ? span(at - own.at) : "–"));
  }));
}

function sceneRow(scene, version) {
  const [state_, words] = outcome(scene);
  const details = el("details", { open: open.has(scene.id) },
    el("summary", {},
      el("span", { class: `what ${scene.what}` }, LABELS[scene.what]),
      el("span", { class: "title" }, scene.what === "webhook" ? "Your message" : scene.title),
      el("span", { class: `outcome ${state_}` }, words),
      el("time", {}, exactClock(scene.at))),
    el("div", { class: "facts" }, facts(scene)));
  details.addEventListener("toggle", () => (details.open ? open.add(scene.id) : open.delete(scene.id)));
  return el("li", { data: { key: scene.id, what: scene.what, version } }, details);
}

function outcome({ what, done, http, code, ms, fault, tries }) {
  const took = ms === null ? "" : ` · ${span(ms)}`;
  const times = what === "webhook" && tries.length > 1 ? ` · ${tries.length}×` : "";
  if (!done) return ["waiting", "…"];
  if (http === 200) return [fault ? "odd" : "fine", `200${took}${times}`];
  if (code) return ["bad", `${code}${took}`];
  return ["bad", http ? `${http}${took}${times}` : "cut off"];
}

function facts(scene) {
  const rows = [
    scene.signature ? ["X-Hub-Signature-256", scene.signature] : null,
    ...scene.tries.map((one, position) => [`Post ${position + 1}`, one.http || one.error ? `${one.http ?? one.error}${one.ms === null ? "" : `, ${span(one.ms)}`}` : "under way"]),
    scene.code ? ["Error code", String(scene.code)] : null,
    scene.fault ? ["Fault", scene.fault.replaceAll("_", " ")] : null,
    scene.answer ? ["Answer", scene.answer] : null,
  ].filter(Boolean);
  const unsigned = scene.what === "webhook" && !scene.signature ? el("p", { class: "hint" }, "Not signed: no app secret is set.") : null;
  return [el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])), unsigned,
    scene.body === null ? null : el("pre", { tabindex: "0", "aria-label": "Body" }, JSON.stringify(scene.body, null, 2))];
}

async function showConversation(id) {
  const pane = by("pane-conversation");
  const note = (text) => pane.replaceChildren(el("p", { class: "note" }, text));
  if (!state.setup.backstage) return note("The worker runs in another process, so its conversation cannot be seen from here. Run everything in one process to see mailbox, lease, outbox and memory.");
  try {
    const known = await getConversation(id);
    if (id !== state.open || tab !== "conversation") return undefined;
    if (!known) return note("There is no conversation yet. Write something.");
    const told = JSON.stringify(known);
    // What is read or selected there stays as it is while nothing changes.
    if (pane.dataset.told === told && pane.querySelector(".part")) return undefined;
    pane.dataset.told = told;
    const names = [...PARTS.filter((name) => name in known), ...Object.keys(known).filter((name) => !PARTS.includes(name))];
    return pane.replaceChildren(...names.map((name) => part(name, known[name])));
  } catch (error) {
    return note(error.message);
  }
}

/** One part of the conversation: what has parts of its own as JSON, anything else beside its name. */
function part(name, value) {
  const title = name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
  const count = Array.isArray(value) ? value.length : null;
  if (value === null || typeof value !== "object" || count === 0) {
    const words = value === null ? "–" : count === 0 ? "empty" : String(value);
    return el("section", { class: "part plain", data: { part: name } }, el("h3", {}, title), el("p", {}, words));
  }
  return el("section", { class: "part", data: { part: name } },
    el("h3", {}, title, count ? el("span", { class: "badge" }, String(count)) : null),
    el("pre", { tabindex: "0", "aria-label": title }, JSON.stringify(value, null, 2)));
}
