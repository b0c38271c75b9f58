// What this tab knows: who writes, to whom, and all that the server has told. Views ask to be told of changes.

export const state = {
  setup: { businesses: [], stand_in_ai: false, backstage: false },
  person: { number: "", name: "", hidden: false },
  /** The number id of the open chat; none on the list of a small screen. */
  open: null,
  /** By number id: messages by id, scenes by id, until when somebody types, how many are new. */
  chats: new Map(),
  strays: new Map(),
  switches: [],
  quote: null,
  /** Whether all that there was has been told. */
  ready: false,
};

const listeners = new Map();

/** Calls back whenever something of this kind changes. */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, []);
  listeners.get(kind).push(listener);
}

export function changed(kind, detail) {
  for (const listener of listeners.get(kind) ?? []) listener(detail);
}

export function chat(id) {
  if (!state.chats.has(id)) state.chats.set(id, { messages: new Map(), scenes: new Map(), typing: null, unread: 0 });
  return state.chats.get(id);
}

export const business = (id) => state.setup.businesses.find((known) => known.id === id);

/** The messages of a chat, oldest first. */
export function messages(id) {
  return [...chat(id).messages.values()].sort((one, other) => one.place - other.place);
}

export function forget() {
  state.chats.clear();
  state.strays.clear();
}
