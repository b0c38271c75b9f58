// Who writes from this tab. A tab is somebody new unless its address says who.

import { form } from "./composer.js";
import { avatar, by, el } from "./dom.js";
import { listen } from "./live.js";
import { savePerson } from "./server.js";
import { closeSheet, field } from "./sheet.js";
import { changed, forget, on, state } from "./state.js";

const NAMES = ["Ana", "Ben", "Chiara", "Deniz", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lucía", "Mia", "Noah", "Olga", "Pablo"];

export function freshPerson() {
  const draws = crypto.getRandomValues(new Uint32Array(1));
  return person(`49151${String(draws[0] % 100_000_000).padStart(8, "0")}`);
}

/** Somebody with this number, and a name until one is given. */
export function person(number) {
  return { number, name: NAMES[Number(number.slice(-4)) % NAMES.length], hidden: false };
}

export function initPerson() {
  on("person", show);
  by("person").addEventListener("click", edit);
}

/** A number as people read it. */
const readable = (number) => `+${number.slice(0, 2)} ${number.slice(2, 5)} ${number.slice(5)}`;

function show() {
  const { name, number, hidden } = state.person;
  avatar(by("person-avatar"), name || "?");
  by("person-name").textContent = name || "No name";
  by("person-number").textContent = hidden ? "Number hidden" : readable(number);
  by("person").dataset.hidden = String(hidden);
  by("person").dataset.number = number;
}

function edit() {
  const name = field("name", "Name", { maxlength: 60, autocomplete: "off" }, state.person.name);
  const hidden = el("input", { type: "checkbox", id: "hidden-number" });
  hidden.checked = state.person.hidden;
  const hide = el("label", { class: "check" }, hidden, el("span", {}, el("strong", {}, "Hide my number"),
    el("small", {}, "Businesses then see only a user id, each a different one.")));
  const save = async () => {
    state.person = { ...state.person, name: name.querySelector("input").value.trim(), hidden: hidden.checked };
    changed("person");
    await savePerson().catch((error) => changed("notice", error.message));
    closeSheet();
  };
  const other = el("button", { type: "button", id: "new-person", onclick: () => {
    closeSheet();
    become(freshPerson());
  } }, "Be somebody new");
  form("You", "Save", [name, el("p", { class: "hint" }, readable(state.person.number)), hide, other], save);
}

function become(person) {
  state.person = person;
  forget();
  changed("reset");
  changed("person");
  changed("person-changed");
  listen();
}
