// The list of businesses, each with its newest message.

import { avatar, by, clock, el, showRows } from "./dom.js";
import { words } from "./message.js";
import { chat, changed, messages, on, state } from "./state.js";

export function initChats() {
  for (const kind of ["setup", "open", "message", "reset", "ready", "typing"]) on(kind, show);
}

function show() {
  showRows(by("businesses"), state.setup.businesses.map(row));
}

function row({ id, title, about, language }) {
  const known = chat(id);
  const last = messages(id).at(-1);
  const image = el("span", { class: "avatar", "aria-hidden": "true" });
  avatar(image, title);
  const typing = known.typing !== null && known.typing > Date.now();
  const preview = typing ? "typing …" : last ? `${last.from === "customer" ? "You: " : ""}${words(last)}` : about;
  const button = el(
    "button",
    { type: "button", data: { business: id }, "aria-current": state.open === id ? "true" : null, onclick: () => changed("open-chat", id) },
    image,
    el("span", { class: "who" },
      el("strong", {}, title),
      el("span", { class: typing ? "preview typing" : "preview", lang: typing ? null : language, dir: "auto" }, preview)),
    el("span", { class: "side" },
      last ? el("time", {}, clock(last.at)) : null,
      known.unread > 0 ? el("span", { class: "badge", "aria-label": `${known.unread} new` }, String(known.unread)) : null),
  );
  return el("li", { data: { key: id } }, button);
}
