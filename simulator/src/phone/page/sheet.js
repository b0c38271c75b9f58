// One sheet over the page, for whatever is asked: Escape closes it, and the focus goes back to where it was.

import { by, el, icon } from "./dom.js";

export function openSheet(title, ...content) {
  by("sheet-title").textContent = title;
  by("sheet-body").replaceChildren(...content);
  by("sheet").showModal();
  by("sheet-body").querySelector("input, button")?.focus();
}

export const closeSheet = () => by("sheet").close();

/** A button of a sheet, as wide as the sheet. */
export function action(name, label, detail, run) {
  const words = el("span", {}, el("strong", {}, label), detail ? el("small", {}, detail) : null);
  return el("button", { type: "button", class: "row", data: { action: name }, onclick: run }, icon(name), words);
}

export function field(id, label, properties, value = "") {
  const input = el("input", { id, name: id, ...properties });
  input.value = value;
  return el("label", { class: "field" }, el("span", {}, label), input);
}

export function initSheet() {
  const sheet = by("sheet");
  by("sheet-close").addEventListener("click", closeSheet);
  // The backdrop belongs to the element itself.
  sheet.addEventListener("click", (event) => event.target === sheet && closeSheet());
}
