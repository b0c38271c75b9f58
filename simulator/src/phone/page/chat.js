// The open chat: its messages, who is typing, and the way to the newest one.

import { avatar, by, el } from "./dom.js";
import { bubble, words } from "./message.js";
import { sendWords } from "./server.js";
import { closeSheet, openSheet } from "./sheet.js";
import { business, changed, chat, messages, on, state } from "./state.js";

const QUIET_MS = 500;

/** The elements of messages, by id. */
const shown = new Map();
let typingEnds = 0;
/** Whether the newest message stays in view, until the person scrolls up. */
let following = true;
let lastTop = 0;
let newest = 0;

export function initChat() {
  on("open", showAll);
  on("reset", showAll);
  on("message", showOne);
  on("typing", showTyping);
  on("choose", ({ message, reply }) => choose(message, reply));
  on("open-list", openList);
  on("ready", showAll);
  by("log").addEventListener("scroll", scrolled, { passive: true });
  by("to-end").addEventListener("click", () => toEnd("smooth"));
  // Pictures that load late, a smaller window, a keyboard that slides in.
  const resized = new ResizeObserver(() => following && toEnd());
  for (const id of ["log", "messages"]) resized.observe(by(id));
}

function scrolled() {
  const { scrollTop } = by("log");
  if (isAtEnd()) following = true;
  else if (scrollTop < lastTop) following = false;
  lastTop = scrollTop;
  by("to-end").hidden = following;
}

const isAtEnd = () => by("log").scrollHeight - by("log").scrollTop - by("log").clientHeight < 90;

function toEnd(behavior = "instant") {
  following = true;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  by("log").scrollTo({ top: by("log").scrollHeight, behavior: calm ? "instant" : behavior });
}

function showAll() {
  shown.clear();
  newest = 0;
  const known = business(state.open);
  // What was there before is not read out.
  by("messages").setAttribute("aria-live", "off");
  by("messages").replaceChildren();
  setTimeout(() => by("messages").setAttribute("aria-live", "polite"), QUIET_MS);
  by("chat").hidden = !known;
  if (!known) return;
  by("chat-title").textContent = known.title;
  avatar(by("chat-avatar"), known.title);
  for (const message of messages(known.id)) append(message);
  showIntro();
  showTyping(known.id);
  toEnd();
}

function showOne(message) {
  // Until all is told, messages come in the order in which they last changed.
  if (message.chat !== state.open || !state.ready) return;
  const before = shown.get(message.id);
  if (before) {
    // Only the foot of a message changes: a player goes on playing.
    const fresh = bubble(message);
    before.querySelector(".foot").replaceWith(fresh.querySelector(".foot"));
  } else {
    if (message.place < newest) return showAll();
    append(message);
    showIntro();
  }
  if (following || (!before && message.from === "customer")) toEnd(before ? "instant" : "smooth");
  return undefined;
}

function append(message) {
  const list = by("messages");
  const day = new Date(message.at).toDateString();
  if (list.dataset.day !== day || list.childElementCount === 0) {
    list.append(el("li", { class: "day", role: "separator" }, dayName(message.at)));
    list.dataset.day = day;
  }
  const element = bubble(message);
  const last = list.lastElementChild;
  if (last?.dataset.from === message.from && !last.querySelector(".choices")) element.classList.add("follows");
  shown.set(message.id, element);
  newest = message.place;
  list.append(element);
}

function dayName(ms) {
  const day = new Date(ms);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(ms).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return day.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

function showIntro() {
  const known = business(state.open);
  const intro = by("intro");
  if (shown.size > 0 || !state.ready) return intro.replaceChildren();
  const image = el("span", { class: "avatar large", "aria-hidden": "true" });
  avatar(image, known.title);
  const chips = known.suggestions.map((text) =>
    el("button", { type: "button", class: "chip", lang: known.language, data: { suggestion: text }, onclick: () => changed("say", text) }, text));
  return intro.replaceChildren(image, el("h3", {}, known.title), el("p", { lang: known.language }, known.about),
    el("p", { class: "hint" }, "Write as a customer would. What you send leaves as a signed webhook."),
    el("div", { class: "chips" }, chips));
}

function showTyping(id) {
  if (id !== state.open) return;
  const left = (chat(id).typing ?? 0) - Date.now();
  by("typing").hidden = left <= 0;
  by("chat-state").textContent = left > 0 ? "typing …" : business(id).about;
  by("chat-state").lang = left > 0 ? document.documentElement.lang : business(id).language;
  by("chat-state").classList.toggle("typing", left > 0);
  clearTimeout(typingEnds);
  if (left > 0) typingEnds = setTimeout(showTyping, left, id);
  if (following) toEnd("smooth");
}

function choose(message, reply) {
  sendWords({ type: "choice", message: message.id, choice: reply.id }).catch((error) => changed("notice", error.message));
}

function openList(message) {
  const { action } = message.body.interactive;
  const { language } = business(message.chat);
  const pick = (row) => {
    closeSheet();
    choose(message, row);
  };
  const sections = action.sections.map(({ title, rows }) =>
    el("section", { lang: language }, title ? el("h3", {}, title) : null, rows.map((row) =>
      el("button", { type: "button", class: "row", data: { choice: row.id }, onclick: () => pick(row) },
        el("span", {}, el("strong", {}, row.title), row.description ? el("small", {}, row.description) : null)))));
  openSheet(action.button || words(message), ...sections);
}
