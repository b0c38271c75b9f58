// One message as a bubble, whatever its type. What somebody wrote is text, and files come from this server only.

import { clock, el, icon } from "./dom.js";
import { formatted } from "./markup.js";
import { player } from "./player.js";
import { business, chat, changed } from "./state.js";

const NAMES = { audio: "Voice message", image: "Picture", sticker: "Sticker", video: "Video", document: "Document", location: "Location", contacts: "Contact", template: "Template", reaction: "Reaction" };

/** What a message says in one line. */
export function words({ body }) {
  const part = body[body.type] ?? {};
  const said = part.body?.text ?? part.body ?? part.button_reply?.title ?? part.list_reply?.title ?? part.caption ?? part.name ?? part.emoji;
  const plain = typeof said === "string" ? said.replace(/(^|\W)([*_~`])(\S(?:.*?\S)?)\2(?=\W|$)/g, "$1$3") : "";
  return plain || (NAMES[body.type] ?? "Message");
}

/** The element of a message. */
export function bubble(message) {
  const { language, title } = business(message.chat) ?? { language: "en", title: "" };
  const theirs = message.from === "business";
  const item = el("li", { class: `message ${message.from}`, data: { id: message.id, from: message.from, type: message.body.type } });
  const says = el("div", { class: "content", dir: "auto", lang: theirs ? language : null }, content(message));
  const who = el("span", { class: "hidden" }, theirs ? `${title}: ` : "You: ");
  item.append(el("div", { class: "bubble" }, who, quoted(message), says, foot(message)), ...choices(message));
  if (theirs) item.firstChild.append(el("button", { type: "button", class: "icon quote", "aria-label": "Quote this message", onclick: () => changed("quote", message) }, icon("reply")));
  return item;
}

function quoted({ quote, chat: id }) {
  const original = quote && chat(id).messages.get(quote);
  if (!original) return null;
  const who = original.from === "business" ? business(id)?.title : "You";
  return el("blockquote", { dir: "auto" }, el("strong", {}, who), el("span", {}, words(original)));
}

function content(message) {
  const { type } = message.body;
  const part = message.body[type] ?? {};
  const url = part.id ? `/phone/media/${encodeURIComponent(part.id)}` : null;
  const caption = part.caption ? el("p", { class: "text" }, formatted(part.caption)) : null;
  switch (type) {
    case "text":
      return el("p", { class: "text" }, formatted(String(part.body ?? "")));
    case "audio":
      return url ? player(url, message.from === "business" ? "the voice message" : "your voice message") : NAMES.audio;
    case "image":
    case "sticker":
      return url ? [el("img", { src: url, alt: part.caption || NAMES[type], class: type, loading: "lazy" }), caption] : NAMES[type];
    case "video":
      return url ? [el("video", { src: url, controls: true, preload: "metadata" }), caption] : NAMES.video;
    case "document":
      return url ? [el("a", { href: url, download: part.filename ?? "document", class: "card" }, icon("down"), part.filename ?? NAMES.document), caption] : NAMES.document;
    case "location":
      return place(part);
    case "interactive":
      return interactive(part);
    case "reaction":
      return el("p", { class: "text large" }, part.emoji || "Reaction taken back");
    case "contacts":
      return el("p", { class: "text" }, (Array.isArray(part) ? part : []).map((card) => card.name?.formatted_name ?? "").join(", "));
    default:
      return el("p", { class: "text" }, words(message));
  }
}

function place({ latitude, longitude, name, address }) {
  const degrees = `${Number(latitude).toFixed(4)}, ${Number(longitude).toFixed(4)}`;
  return el("div", { class: "card place" }, el("span", { class: "tile", "aria-hidden": "true" }, icon("pin")),
    el("span", {}, el("strong", {}, name || "Location"), address ? el("span", {}, address) : null, el("small", {}, degrees)));
}

function interactive(part) {
  const reply = part.button_reply ?? part.list_reply;
  if (reply) return el("p", { class: "text" }, reply.title, reply.description ? el("small", {}, reply.description) : null);
  return [
    part.header?.text ? el("p", { class: "text" }, el("strong", {}, part.header.text)) : null,
    el("p", { class: "text" }, formatted(part.body?.text ?? "")),
    part.footer?.text ? el("small", {}, formatted(part.footer.text)) : null,
  ];
}

/** The buttons below a message: replies, or the one that opens the list. */
function choices(message) {
  const { type, action = {} } = message.body.interactive ?? {};
  const { language } = business(message.chat) ?? {};
  if (message.from !== "business" || !type) return [];
  const choose = (reply) => changed("choose", { message, reply });
  let buttons = [];
  if (type === "list") {
    buttons = [el("button", { type: "button", data: { list: message.id }, onclick: () => changed("open-list", message) }, icon("list"), action.button)];
  } else if (type === "button") {
    buttons = (action.buttons ?? []).map(({ reply }) => el("button", { type: "button", data: { choice: reply.id }, onclick: () => choose(reply) }, reply.title));
  } else if (type === "cta_url") {
    // Where it leads is shown, not opened: this page loads nothing from elsewhere.
    buttons = [el("span", { class: "link" }, `${action.parameters?.display_text}: ${action.parameters?.url}`)];
  }
  return [el("div", { class: "choices", lang: language }, buttons)];
}

/** The time, and of a person's own message what became of it. */
function foot(message) {
  const time = el("time", { datetime: new Date(message.at).toISOString() }, clock(message.at));
  if (message.from === "business") return el("span", { class: "foot" }, time);
  const [name, label] = fate(message);
  const marks = name === "sending" ? [icon("clock")] : name === "taken" ? [icon("check")] : [icon("check"), icon("check")];
  const trouble = name === "sending" && message.trouble ? el("span", { class: "trouble" }, `not taken: ${message.trouble}; trying again`) : null;
  return el("span", { class: "foot" }, trouble, time, el("span", { class: `ticks ${name}`, data: { state: name }, role: "img", "aria-label": label, title: label }, marks));
}

function fate({ taken, read }) {
  if (read) return ["read", "Read by the business"];
  if (taken) return ["taken", "Taken: Switchboard has it safe"];
  return ["sending", "On its way"];
}
