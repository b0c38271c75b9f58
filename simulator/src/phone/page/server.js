// Requests to the server.

import { state } from "./state.js";

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached. Nothing was sent.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const why = answer.status === 413 ? "The file is too large: 16 MB are the most." : `The server said ${answer.status}.`;
  throw new Error(told.error ?? why);
}

const post = (path, body) =>
  asked(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const getSetup = async () => (await asked("/phone/setup")).json();

let last = Promise.resolve();

/** One message after the other, in the order in which they were written; one that cannot be sent holds up none. */
function inTurn(send) {
  const sent = last.then(send);
  last = sent.catch(() => {});
  return sent;
}

export function sendWords(content, quote = null) {
  const message = { business: state.open, person: state.person, content, quote };
  return inTurn(() => post("/phone/messages", message));
}

export const savePerson = () => post("/phone/person", state.person);

export const turn = (name, on) => post("/phone/faults", { switch: name, on });

export function sendFile(file, caption = "") {
  const { number, name, hidden } = state.person;
  const query = new URLSearchParams({ business: state.open, number, name, hidden, caption });
  const options = { method: "POST", headers: { "content-type": file.type }, body: file };
  return inTurn(() => asked(`/phone/files?${query}`, options));
}

export async function getConversation(id) {
  const query = new URLSearchParams({ business: id, number: state.person.number });
  return (await asked(`/phone/conversation?${query}`)).json();
}
