// What the server tells, as it happens. The browser comes back by itself, names the last event that it got, and is
// told what it missed; where the browser gives up, it is begun anew.

import { by } from "./dom.js";
import { changed, chat, forget, state } from "./state.js";

const AGAIN_MS = 1000;
let source = null;

export function listen() {
  source?.close();
  show("connecting");
  state.ready = false;
  source = new EventSource(`/phone/events?${new URLSearchParams({ number: state.person.number })}`);
  source.addEventListener("error", lost);
  source.addEventListener("hello", ({ data }) => {
    if (JSON.parse(data).fresh) {
      state.ready = false;
      forget();
      changed("reset");
    }
  });
  source.addEventListener("ready", () => {
    state.ready = true;
    show("open");
    changed("ready");
  });
  for (const [kind, take] of Object.entries(TAKE)) {
    source.addEventListener(kind, ({ data }) => take(JSON.parse(data)));
  }
}

const TAKE = {
  person(person) {
    state.person = person;
    changed("person");
  },
  message(message) {
    const known = chat(message.chat);
    const isNew = !known.messages.has(message.id);
    known.messages.set(message.id, message);
    if (state.ready && isNew && message.from === "business" && state.open !== message.chat) known.unread += 1;
    changed("message", message);
  },
  typing({ chat: id, until }) {
    chat(id).typing = until;
    changed("typing", id);
  },
  scene(scene) {
    (scene.chat ? chat(scene.chat).scenes : state.strays).set(scene.id, scene);
    if (scene.chat) state.strays.delete(scene.id);
    changed("scene", scene);
  },
  faults({ switches }) {
    state.switches = switches;
    changed("faults");
  },
};

function lost() {
  show("lost");
  if (source.readyState !== EventSource.CLOSED) return;
  source.close();
  setTimeout(listen, AGAIN_MS);
}

function show(connection) {
  document.body.dataset.connection = connection;
  const bar = by("connection");
  bar.hidden = connection !== "lost";
  bar.textContent = connection === "lost" ? "Connection lost. Reconnecting …" : "";
}
