// The beginning: who is at this tab, which chat is open. Both stand in the address, so that a reload, a bookmark or a
// second tab finds them: #/NUMBER_ID_OF_THE_BUSINESS/NUMBER_OF_THE_PERSON

import { initChat } from "./chat.js";
import { initChats } from "./chats.js";
import { initComposer } from "./composer.js";
import { by, drawIcons } from "./dom.js";
import { listen } from "./live.js";
import { initPanel } from "./panel.js";
import { freshPerson, initPerson, person } from "./person.js";
import { getSetup } from "./server.js";
import { initSheet } from "./sheet.js";
import { business, changed, chat, forget, on, state } from "./state.js";
import { initTheme } from "./theme.js";

const wide = matchMedia("(min-width: 720px)");

function readAddress() {
  const [, id, number] = location.hash.split("/");
  const isNew = /^\d{7,15}$/.test(number ?? "") && number !== state.person.number;
  if (isNew || !state.person.number) {
    state.person = isNew ? person(number) : freshPerson();
    forget();
    changed("reset");
    changed("person");
    if (state.setup.businesses.length > 0) listen();
  }
  const known = business(id) ?? (wide.matches ? state.setup.businesses[0] : null);
  openChat(known?.id ?? null);
}

/** Opens a chat, or on a small screen the list of them. */
function openChat(id) {
  const address = `#/${id ?? ""}/${state.person.number}`;
  if (location.hash !== address) history.replaceState(null, "", address);
  state.open = id;
  state.quote = null;
  if (id) chat(id).unread = 0;
  document.body.dataset.view = id ? "chat" : "chats";
  document.title = id ? `${business(id).title} – Switchboard` : "Switchboard";
  changed("open", id);
}

async function start() {
  drawIcons();
  initTheme();
  initSheet();
  initPerson();
  initChats();
  initChat();
  initComposer();
  initPanel();
  on("open-chat", openChat);
  on("person-changed", () => openChat(state.open));
  addEventListener("hashchange", readAddress);
  by("back").addEventListener("click", () => openChat(null));
  try {
    state.setup = await getSetup();
  } catch {
    by("connection").hidden = false;
    by("connection").textContent = "The server cannot be reached. Trying again …";
    setTimeout(() => location.reload(), 2000);
    return;
  }
  changed("setup");
  readAddress();
  listen();
}

start();
