// Faults on demand, each with what to expect and what really came of it.

import { by, el, showRows } from "./dom.js";
import { turn } from "./server.js";
import { changed, on, state } from "./state.js";

const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`;
const again = (repeated) => (repeated === 0 ? "none twice" : `${repeated} of them twice`);
const since = ({ answers }) => (answers === 0 ? "nothing accepted since" : `${many(answers, "answer")} accepted since`);

const SWITCHES = {
  duplicate: {
    title: "Deliver twice",
    expect: "Each webhook is posted twice at once, as Meta sometimes does. There is still one answer.",
    seen: ({ hits, messages, answers, repeated }) => `${many(messages, "message")} posted ${hits} times: ${many(answers, "answer")}, ${again(repeated)}.`,
  },
  lose_answer: {
    title: "Lose the next answer",
    expect: "The next message is accepted, but the connection breaks before Switchboard hears of it. It waits for the status instead of sending again.",
    seen: ({ hits, proven, repeated }) => `${many(hits, "answer")} lost, ${proven} proven by ${proven === 1 ? "its status" : "their statuses"}, ${repeated} sent twice.`,
  },
  throttle: {
    title: "Throttle",
    expect: "Graph refuses messages for their rate (130429, 131056). The answer waits, without a second call to the AI. It tries ever more rarely, so give it a moment after you turn this off.",
    seen: (seen) => `Refused ${many(seen.hits, "time")}; ${since(seen)}.`,
  },
  ai_down: {
    title: "AI down",
    expect: "The AI answers 503. Switchboard keeps trying; after a while the customer gets one apology.",
    seen: (seen) => `${many(seen.hits, "call")} failed; ${since(seen)}.`,
  },
  refuse_token: {
    title: "Refuse the token",
    expect: "Graph answers 190, as after a revoked token. Messages are kept, and tried again about a minute later.",
    seen: (seen) => `Refused ${many(seen.hits, "time")}; ${since(seen)}.`,
  },
};

export function initSwitches() {
  on("faults", show);
  on("setup", show);
}

function show() {
  const hint = el("p", { class: "hint", data: { key: "hint" } }, "They hold for every chat until you turn them off.");
  showRows(by("pane-faults"), [hint, ...state.switches.map(({ switch: name, seen }) => row(name, seen))]);
  document.body.dataset.faults = String(state.switches.filter(({ seen }) => seen.on).length);
}

function row(name, seen) {
  const { title, expect, seen: told } = SWITCHES[name];
  const real = name === "ai_down" && !state.setup.stand_in_ai;
  const button = el("button", {
    type: "button", role: "switch", "aria-checked": String(seen.on), "aria-labelledby": `fault-${name}`, "aria-describedby": `expect-${name}`,
    data: { fault: name }, disabled: real,
    // As it is then: the button stays when the fault is turned.
    onclick: () => turn(name, button.getAttribute("aria-checked") !== "true").catch((error) => changed("notice", error.message)),
  }, el("i", { "aria-hidden": "true" }));
  return el("div", { class: "fault", data: { key: name } },
    el("div", {}, el("h3", { id: `fault-${name}` }, title), button),
    el("p", { id: `expect-${name}` }, real ? "A real AI is used, which cannot be switched off from here." : expect),
    seen.hits > 0 ? el("p", { class: "seen", data: { seen: name }, role: "status" }, told(seen)) : null);
}
