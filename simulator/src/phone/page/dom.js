// Elements, made without markup: whatever somebody wrote ends up as text.

/** An element with properties, data attributes, listeners and children; what is null is left out. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * Shows rows in a list, each known by its data-key. One that is there already stays and takes over what is new, but for
 * listeners: whoever presses a button that is gone before it is let go has clicked nothing.
 */
export function showRows(list, rows) {
  const known = new Map([...list.children].map((row) => [row.dataset.key, row]));
  fill(list, rows.map((row) => renewed(known.get(row.dataset.key), row)));
}

/** What was there before, if it can be made to look like this. */
function renewed(before, fresh) {
  if (!before || before === fresh || before.nodeName !== fresh.nodeName) return fresh;
  if (fresh.nodeType === Node.TEXT_NODE) {
    if (before.data !== fresh.data) before.data = fresh.data;
    return before;
  }
  for (const { name } of [...before.attributes]) if (!fresh.hasAttribute(name)) before.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (before.getAttribute(name) !== value) before.setAttribute(name, value);
  fill(before, [...fresh.childNodes].map((child, place) => renewed(before.childNodes[place], child)));
  return before;
}

/** Makes these the children; those that are there already are not touched. */
function fill(parent, nodes) {
  for (const node of [...parent.childNodes]) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, place) => node !== parent.childNodes[place] && parent.insertBefore(node, parent.childNodes[place] ?? null));
}

export const by = (id) => document.getElementById(id);

const PATHS = {
  back: "M15 5l-7 7 7 7",
  behind: "M4 7h4m4 0h8M4 12h9m4 0h3M4 17h2m4 0h10M8 5v4m9 1v4M6 15v4",
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6 6l12 12M18 6L6 18",
  clock: "M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0",
  down: "M6 9l6 6 6-6",
  edit: "M4 20l1-4L16 5l3 3L8 19l-4 1",
  list: "M8 7h12M8 12h12M8 17h12M4 7h.01M4 12h.01M4 17h.01",
  mic: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3M6 11a6 6 0 0 0 12 0M12 17v4",
  pause: "M9 6v12M15 6v12",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15.5 9h.01",
  pin: "M12 21s-7-6.2-7-11a7 7 0 0 1 14 0c0 4.800-7 11-7 11M12 12.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5",
  play: "M8 5.500v13l10.500-6.500z",
  plus: "M12 5v14M5 12h14",
  reply: "M10 6l-6 6 6 6M4 12h10c4 0 6 2.500 6 7",
  send: "M4 12l16-8-5 16-3.500-6.500z",
  theme: "M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500",
  trash: "M5 7h14M10 4h4M7 7l1 13h8l1-13",
};

/** An icon, drawn in the colour of the text around it. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `svg-${name}`);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Puts icons where the page names them. */
export function drawIcons() {
  for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
}

const DIGITS = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

export const clock = (ms) => new Date(ms).toLocaleTimeString([], DIGITS);

export const exactClock = (ms) => new Date(ms).toLocaleTimeString([], { ...DIGITS, second: "2-digit" });

/** Minutes and seconds. */
export function minutes(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A duration as people say it. */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

/** Fills an avatar with initials, in one of a few colours that the name decides. */
export function avatar(element, name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  element.textContent = words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("") || "?";
  element.dataset.tint = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % 5;
}
