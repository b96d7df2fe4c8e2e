/** The page: asks the server about a drawing or a picture, and shows the answer. */

import { makeBars, percent, setBars } from "./bars.js";
import { DrawingPad } from "./drawing.js";

const DIGITS = 10;
const SUMS = 19;
const PAUSE_MS = 250; // after a stroke, in case another one follows

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));
const maxBodyBytes = Number(document.body.dataset.maxBodyBytes);

let chosen = null; // a picture; null while the drawing counts
let readEach = false;
let request = new AbortController(); // the newest one
let timer;

const pad = new DrawingPad(element.pad, () => {
  refreshTools();
  askSoon();
});

makeNumbers();
makeBars(element.digits, DIGITS);
makeBars(element.sums, SUMS);

element.undo.addEventListener("click", () => pad.undo());
element.clear.addEventListener("click", clear);
element.file.addEventListener("change", () => choose(element.file.files[0]));
element.numbers.addEventListener("change", () => ask());
element.again.addEventListener("click", () => {
  readEach = element.again.dataset.each === "true";
  ask();
});
element["token-form"].addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", element.token.value);
  element.token.value = "";
  element["token-form"].hidden = true;
  ask();
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) {
    document.body.classList.remove("dropping");
  }
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  choose(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => choose(event.clipboardData.files[0]));
document.addEventListener("keydown", (event) => {
  if (event.key === "z" && (event.ctrlKey || event.metaKey) && chosen === null) {
    event.preventDefault();
    pad.undo();
  }
});
checkToken();

function makeNumbers() {
  for (let number = 0; number < DIGITS; number++) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "number", value: number, defaultChecked: number === 5 });
    label.append(input, String(number));
    element.numbers.append(label);
  }
}

function choose(file) {
  if (!file) {
    return;
  }
  chosen = file;
  element.file.value = ""; // so that the same file can be chosen again
  URL.revokeObjectURL(element.preview.src);
  element.preview.src = URL.createObjectURL(file);
  element.preview.alt = `The chosen picture, ${file.name}`; // shown where a browser cannot
  readEach = false;
  refreshTools();
  ask();
}

function clear() {
  if (chosen !== null) {
    chosen = null;
    refreshTools();
    askSoon();
  } else {
    pad.clear();
  }
}

function refreshTools() {
  const isPicture = chosen !== null;
  element.preview.hidden = !isPicture;
  element.pad.hidden = isPicture;
  element.hint.hidden = isPicture || !pad.isEmpty;
  element.undo.hidden = isPicture;
  element.undo.disabled = !pad.canUndo;
  element.clear.disabled = !isPicture && pad.isEmpty;
  element.clear.textContent = isPicture ? "Remove" : "Clear";
}

function askSoon() {
  clearTimeout(timer);
  readEach = false;
  timer = setTimeout(ask, PAUSE_MS);
}

/** Asks about what is drawn or chosen; a newer question replaces an older one. */
async function ask() {
  clearTimeout(timer);
  request.abort();
  request = new AbortController();
  const { signal } = request;
  if (chosen === null && pad.isEmpty) {
    showNothing("idle", "Nothing to read yet");
    return;
  }
  const picture = chosen ?? (await pad.toBlob());
  if (picture.size > maxBodyBytes) {
    const limit = Number((maxBodyBytes / 2 ** 20).toFixed(2));
    showNothing("refused", "Not read", `The file has more than ${limit} MiB, the server's limit.`);
    return;
  }
  element.answer.dataset.busy = "true";
  const began = performance.now();
  try {
    const response = await post(picture, signal);
    const answer = await response.json();
    if (!signal.aborted) {
      const timing = response.headers.get("Server-Timing") ?? "";
      show(response, answer, timing, performance.now() - began);
    }
  } catch {
    if (!signal.aborted) {
      const reason = "Is it still running? What you drew or chose is kept.";
      showNothing("failed", "The server does not answer", reason);
      offer("Try again", readEach);
    }
  }
}

function post(picture, signal) {
  const number = element.numbers.querySelector(":checked").value;
  const query = new URLSearchParams({ number, each: readEach, distributions: true, explain: true });
  const headers = { "Content-Type": picture.type || "application/octet-stream", ...authorization() };
  return fetch(`v1/predict?${query}`, { method: "POST", body: picture, headers, signal });
}

function authorization() {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Shows the field for the token if the server needs one and does not have it. */
async function checkToken() {
  const response = await fetch("v2", { headers: authorization() }).catch(() => null);
  element["token-form"].hidden = response?.status !== 401;
}

function show(response, answer, timing, milliseconds) {
  if (response.status === 401) {
    element["token-form"].hidden = false;
    element.token.focus();
    showNothing("refused", "Not read", "Enter the token that the server was started with.");
  } else if (!response.ok) {
    showNothing("refused", "Not read", sentence(answer.detail));
    if (answer.detail.endsWith("crop the picture to one digit")) {
      offer("Read every digit", true);
    } else if (response.status === 503) {
      offer("Try again", readEach);
    }
  } else {
    showAnswer(answer, timing, milliseconds);
  }
}

/** Shows a state without an answer. */
function showNothing(state, headline, reason = "") {
  setState(state, "", headline, reason);
  setBars(element.digits, null);
  setBars(element.sums, null);
  for (const image of [element.picture, element.ink, element.input]) {
    image.hidden = true;
  }
  element.latency.textContent = "";
}

function showAnswer(answer, timing, milliseconds) {
  const entries = answer.predictions ?? [answer];
  const predictions = entries.filter((each) => !("unread" in each));
  const first = predictions[0] ?? { digit_probabilities: [], sum_probabilities: [] };
  const unread = entries.length - predictions.length;
  const unsure = unread > 0 || predictions.some((each) => each.uncertain);
  const equations = entries.map((each) => {
    if ("unread" in each) {
      return `Not read: ${each.unread}`;
    }
    const equation = `${each.digit} + ${each.number} = ${each.sum}`;
    return each.uncertain ? `Unsure: perhaps ${equation}` : equation;
  });
  const least = Math.min(1, ...predictions.map((each) => Math.min(each.digit_probability, each.sum_probability)));
  const single = entries.length === 1 && unread === 0;
  const share = single ? percent(least) : `Each at least ${percent(least)}`;
  const reason = unsure
    ? `${share} probable: perhaps not a digit, or hard to read.${unread ? ` ${unread} not read.` : ""}`
    : `${share} probable${single ? "" : "; the figures below are of the first"}`;
  setState(unsure ? "unsure" : "sure", single ? String(first.sum) : "", equations.join("\n"), reason);
  setBars(element.digits, first.digit_probabilities);
  setBars(element.sums, first.sum_probabilities);
  showImage(element.picture, answer.picture);
  showImage(element.ink, answer.ink);
  showImage(element.input, first.input);
  const [prepare, network] = ["prepare", "network"].map((name) => timing.match(`${name};dur=([\\d.]+)`)?.[1]);
  element.latency.textContent =
    `Picture prepared in ${Number(prepare).toFixed(1)} ms, network ${Number(network).toFixed(2)} ms, ` +
    `with the way there and back ${milliseconds.toFixed(0)} ms`;
}

function setState(state, sum, headline, reason) {
  element.answer.dataset.state = state;
  element.answer.dataset.busy = "false";
  element.sum.textContent = sum;
  element.headline.textContent = headline;
  element.reason.textContent = reason;
  element.again.hidden = true;
}

function offer(text, each) {
  element.again.textContent = text;
  element.again.dataset.each = each;
  element.again.hidden = false;
}

function showImage(image, url) {
  image.src = url;
  image.hidden = false;
}

/** The library's line as a sentence: without the name that stands for the picture. */
function sentence(detail) {
  const text = detail.replace(/^image: /, "");
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
