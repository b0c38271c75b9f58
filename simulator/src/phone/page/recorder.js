// A voice message: recorded here, sent as a file.

import { by, minutes } from "./dom.js";
import { sendFile } from "./server.js";

const KINDS = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4"];
const LONGEST_MS = 5 * 60_000;
const WHY = {
  NotAllowedError: "The browser may not use the microphone. Allow it for this page, and try again.",
  NotFoundError: "No microphone was found.",
  NotReadableError: "The microphone is in use by another program.",
};

let recorder = null;
let ticking = 0;

export function initRecorder(notice) {
  by("record").addEventListener("click", () => begin(notice));
  by("record-drop").addEventListener("click", () => end(() => {}));
  by("record-send").addEventListener("click", () => end((file) => sendFile(file).catch((error) => notice(error.message))));
  by("recording").addEventListener("keydown", (event) => event.key === "Escape" && end(() => {}));
}

async function begin(notice) {
  if (recorder) return;
  if (!navigator.mediaDevices || typeof MediaRecorder === "undefined") {
    notice("This browser records only on pages from this machine, or by HTTPS.");
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: 24_000 });
    recorder.start();
  } catch (error) {
    recorder = null;
    notice(WHY[error.name] ?? "The recording could not be begun.");
    return;
  }
  const began = Date.now();
  ticking = setInterval(() => {
    by("record-time").textContent = minutes((Date.now() - began) / 1000);
    if (Date.now() - began > LONGEST_MS) by("record-send").click();
  }, 250);
  show(true);
  by("record-send").focus();
}

function end(then) {
  if (!recorder) return;
  const { stream, mimeType } = recorder;
  recorder.addEventListener("dataavailable", ({ data }) => then(new File([data], "voice", { type: mimeType.split(";")[0] })), { once: true });
  recorder.stop();
  for (const track of stream.getTracks()) track.stop();
  recorder = null;
  clearInterval(ticking);
  show(false);
  by("record").focus();
}

function show(recording) {
  by("recording").hidden = !recording;
  by("composer").hidden = recording;
  by("record-time").textContent = "0:00";
}
