// Where the person writes. Enter sends, Shift+Enter begins a new line; what was not sent stays.

import { by, el } from "./dom.js";
import { words } from "./message.js";
import { initRecorder } from "./recorder.js";
import { sendFile, sendWords } from "./server.js";
import { action, closeSheet, field, openSheet } from "./sheet.js";
import { on, state } from "./state.js";

const MAX_HEIGHT = 160;
let noticeEnds = 0;

export function initComposer() {
  const text = by("text");
  text.addEventListener("input", fit);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    by("composer").requestSubmit();
  });
  by("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    say(text.value, () => (text.value = ""));
  });
  by("attach").addEventListener("click", openAttachments);
  by("picture").addEventListener("change", pictureChosen);
  by("quote-drop").addEventListener("click", () => quote(null));
  on("say", (suggestion) => say(suggestion, () => {}));
  on("quote", quote);
  on("notice", notice);
  on("open", () => {
    quote(null);
    if (state.open && matchMedia("(min-width: 720px)").matches) text.focus();
  });
  initRecorder(notice);
  fit();
}

/** As high as its text, up to a limit; the button that makes sense is there. */
function fit() {
  const text = by("text");
  const edges = text.offsetHeight - text.clientHeight;
  text.style.height = "auto";
  text.style.overflowY = text.scrollHeight > MAX_HEIGHT ? "auto" : "hidden";
  text.style.height = `${Math.min(text.scrollHeight, MAX_HEIGHT) + edges}px`;
  by("composer").classList.toggle("empty", text.value.trim() === "");
}

async function say(said, sent) {
  if (said.trim() === "") return;
  const quoted = state.quote;
  try {
    // Emptied at once: whoever types on must not lose what comes next.
    sent();
    quote(null);
    fit();
    await sendWords({ type: "text", text: said }, quoted);
  } catch (error) {
    if (by("text").value === "") by("text").value = said;
    state.quote = quoted;
    fit();
    notice(error.message);
  }
}

function quote(message) {
  state.quote = message?.id ?? null;
  by("quote-bar").hidden = !message;
  by("quote-text").textContent = message ? words(message) : "";
  if (message) by("text").focus();
}

/** Says what went wrong, for a while. */
export function notice(why) {
  const bar = by("notice");
  bar.textContent = why;
  bar.hidden = false;
  clearTimeout(noticeEnds);
  noticeEnds = setTimeout(() => (bar.hidden = true), 9000);
}

function openAttachments() {
  const pick = () => {
    closeSheet();
    by("picture").click();
  };
  openSheet("Send", action("picture", "A picture", "JPEG, PNG or WebP", pick), action("pin", "A place", "Where you are, or coordinates", openPlace));
}

function pictureChosen() {
  const [file] = by("picture").files;
  by("picture").value = "";
  if (!file) return;
  const url = URL.createObjectURL(file);
  const preview = el("img", { src: url, alt: "The chosen picture", class: "preview" });
  const caption = field("caption", "Caption", { maxlength: 1024, autocomplete: "off" });
  const send = () => sendFile(file, caption.querySelector("input").value).then(closeSheet, (error) => sheetError(error.message));
  form("Send a picture", "Send", [preview, caption], send);
  by("sheet").addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
}

function openPlace() {
  const name = field("place-name", "Name", { maxlength: 100, autocomplete: "off", placeholder: "Central Station" });
  const latitude = field("latitude", "Latitude", { type: "number", min: -90, max: 90, step: "any", required: true });
  const longitude = field("longitude", "Longitude", { type: "number", min: -180, max: 180, step: "any", required: true });
  const value = (label) => label.querySelector("input").value;
  const here = () => {
    if (!navigator.geolocation) return sheetError("This browser does not tell where you are. Type the coordinates.");
    return navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        latitude.querySelector("input").value = coords.latitude.toFixed(5);
        longitude.querySelector("input").value = coords.longitude.toFixed(5);
      },
      () => sheetError("Your browser did not give your place away. Type the coordinates instead."),
      { timeout: 10_000 },
    );
  };
  const send = () => {
    const place = { type: "location", latitude: Number(value(latitude)), longitude: Number(value(longitude)), name: value(name) };
    return sendWords(place).then(closeSheet, (error) => sheetError(error.message));
  };
  form("Send a place", "Send", [action("pin", "Where I am now", "Your browser asks first", here), name, el("div", { class: "pair" }, latitude, longitude)], send);
}

/** A sheet with fields and a button. */
export function form(title, button, fields, run) {
  const error = el("p", { id: "sheet-error", role: "alert", hidden: true });
  const content = el("form", { id: "sheet-form", onsubmit: (event) => {
    event.preventDefault();
    run();
  } }, fields, error, el("button", { type: "submit", class: "primary" }, button));
  if (by("sheet").open) closeSheet();
  openSheet(title, content);
}

export function sheetError(why) {
  by("sheet-error").textContent = why;
  by("sheet-error").hidden = false;
}
