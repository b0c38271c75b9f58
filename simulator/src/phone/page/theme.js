// Light or dark: as the system says, until somebody says otherwise. Remembered in this browser.

import { by } from "./dom.js";

const KEY = "switchboard-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export function initTheme() {
  const chosen = localStorage.getItem(KEY);
  if (chosen) document.documentElement.dataset.theme = chosen;
  const show = () => by("theme").setAttribute("aria-pressed", String(isDark()));
  by("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem(KEY, document.documentElement.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();
}

const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
