// A player for recordings: play and pause, where it is, how long it takes. One plays at a time.

import { el, icon, minutes } from "./dom.js";

let playing = null;

export function player(url, label) {
  const audio = new Audio();
  audio.preload = "metadata";
  audio.src = url;
  const button = el("button", { type: "button", class: "icon", "aria-label": `Play ${label}` }, icon("play"));
  const place = el("input", { type: "range", min: 0, max: 1000, value: 0, step: 1, "aria-label": `Place in ${label}` });
  const time = el("span", { class: "time" }, "0:00");
  const length = () => (Number.isFinite(audio.duration) ? audio.duration : 0);

  const show = () => {
    const on = !audio.paused;
    button.replaceChildren(icon(on ? "pause" : "play"));
    button.setAttribute("aria-label", `${on ? "Pause" : "Play"} ${label}`);
    const part = length() > 0 ? audio.currentTime / length() : 0;
    place.value = Math.round(part * 1000);
    place.style.setProperty("--part", `${part * 100}%`);
    place.setAttribute("aria-valuetext", `${minutes(audio.currentTime)} of ${minutes(length())}`);
    time.textContent = minutes(on || audio.currentTime > 0 ? audio.currentTime : length());
  };
  button.addEventListener("click", () => {
    if (!audio.paused) return audio.pause();
    playing?.pause();
    playing = audio;
    return audio.play().catch(() => (time.textContent = "cannot be played"));
  });
  place.addEventListener("input", () => {
    audio.currentTime = (place.value / 1000) * length();
    show();
  });
  for (const event of ["play", "pause", "timeupdate", "loadedmetadata"]) audio.addEventListener(event, show);
  audio.addEventListener("ended", () => {
    audio.currentTime = 0;
    show();
  });
  return el("div", { class: "player", data: { url } }, audio, button, place, time);
}
