// WhatsApp's markup as elements: *bold*, _italic_, ~strike~, `code`, ```block```, lists and quotations. Text stays
// text; the worst that anybody can write is bold.

import { el } from "./dom.js";

const MARKS = { "*": "strong", _: "em", "~": "s" };
const BLOCK = /```([\s\S]+?)```/;
const WORD = /[\p{L}\p{N}]/u;

/** The nodes of a text. */
export function formatted(text) {
  const nodes = [];
  let rest = text;
  for (let found = BLOCK.exec(rest); found; found = BLOCK.exec(rest)) {
    nodes.push(...lines(rest.slice(0, found.index)), el("code", { class: "block" }, found[1].replace(/^\n|\n$/g, "")));
    rest = rest.slice(found.index + found[0].length).replace(/^\n/, "");
  }
  return [...nodes, ...lines(rest)];
}

function lines(text) {
  if (text === "") return [];
  const nodes = [];
  for (const [position, line] of text.split("\n").entries()) {
    const item = /^\s*[*-] +(.+)$/.exec(line);
    const number = /^\s*(\d{1,3}[.)]) +(.+)$/.exec(line);
    const quote = /^> ?(.*)$/.exec(line);
    if (item) nodes.push(el("span", { class: "item" }, el("b", { "aria-hidden": "true" }, "•"), el("span", {}, inline(item[1]))));
    else if (number) nodes.push(el("span", { class: "item" }, el("b", {}, number[1]), el("span", {}, inline(number[2]))));
    else if (quote) nodes.push(el("span", { class: "cite" }, inline(quote[1])));
    else nodes.push(...(position > 0 && !nodes.at(-1)?.className ? ["\n"] : []), ...inline(line));
  }
  return nodes;
}

/** Markers hug the text and stand at the edge of a word. */
function inline(text) {
  const nodes = [];
  let plain = "";
  for (let at = 0; at < text.length; ) {
    const mark = text[at];
    const end = mark === "`" || MARKS[mark] ? closing(text, at) : -1;
    if (end < 0) {
      plain += mark;
      at += 1;
      continue;
    }
    if (plain) nodes.push(plain);
    plain = "";
    const inside = text.slice(at + 1, end);
    nodes.push(mark === "`" ? el("code", {}, inside) : el(MARKS[mark], {}, inline(inside)));
    at = end + 1;
  }
  return plain ? [...nodes, plain] : nodes;
}

function closing(text, at) {
  const mark = text[at];
  if (WORD.test(text[at - 1] ?? " ") || /\s/.test(text[at + 1] ?? " ") || text[at + 1] === mark) return -1;
  for (let end = text.indexOf(mark, at + 2); end >= 0; end = text.indexOf(mark, end + 1)) {
    if (!/\s/.test(text[end - 1]) && !WORD.test(text[end + 1] ?? " ")) return end;
  }
  return -1;
}
