/** The page: what is drawn is prepared and read in the browser, by onnxruntime-web. */

import { makeBars, percent, setBars } from "./assets/bars.js";
import { DrawingPad } from "./assets/drawing.js";
import * as ort from "./assets/onnxruntime.js";
import { prepare, toGrey } from "./prepare.js";

const IMAGE_SIDE = 28;
const DIGITS = 10;
const SUMS = 19;
const MIN_PROBABILITY = 0.75; // an answer below this is uncertain

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));
const pad = new DrawingPad(element.pad, () => {
  element.hint.hidden = !pad.isEmpty;
  element.undo.disabled = !pad.canUndo;
  element.clear.disabled = pad.isEmpty;
  ask();
});

makeNumbers();
makeBars(element.digits, DIGITS);
makeBars(element.sums, SUMS);
element.undo.addEventListener("click", () => pad.undo());
element.clear.addEventListener("click", () => pad.clear());
element.numbers.addEventListener("change", ask);
document.addEventListener("keydown", (event) => {
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    pad.undo();
  }
});

const session = load();
let lastAnswer = Promise.resolve();
let asked = 0;
ask();

/** Loads the network. One thread: more need headers that a plain file server does not send. */
function load() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("assets/onnxruntime.wasm", import.meta.url).href };
  return ort.InferenceSession.create(new URL("assets/model.onnx", import.meta.url).href);
}

function makeNumbers() {
  for (let number = 0; number < DIGITS; number++) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "number", value: number, defaultChecked: number === 5 });
    label.append(input, String(number));
    element.numbers.append(label);
  }
}

/** Answers after the answer before, as a session runs once at a time; only the newest question. */
function ask() {
  const mine = ++asked;
  element.answer.dataset.busy = "true";
  lastAnswer = lastAnswer
    .then(() => mine === asked && answer())
    .catch((error) => showNothing("failed", "The network does not run here", error.message))
    .then(() => (element.answer.dataset.busy = String(mine !== asked)));
}

async function answer() {
  const network = await session;
  const number = Number(element.numbers.querySelector(":checked").value);
  const began = performance.now();
  const image = pad.isEmpty ? null : prepareDrawing();
  if (image === null) {
    showNothing("idle", "Nothing to read yet");
    return;
  }
  const prepared = performance.now();
  const outputs = await network.run({
    image: new ort.Tensor("uint8", image, [1, 1, IMAGE_SIDE, IMAGE_SIDE]),
    number: new ort.Tensor("int64", BigInt64Array.of(BigInt(number)), [1]),
  });
  const times = [prepared - began, performance.now() - prepared];
  const [digits, sums] = [outputs.digit, outputs.sum].map(({ data }) => Array.from(data, Math.exp));
  show(number, digits, sums);
  showInput(image);
  const [prepareMs, networkMs] = times.map((each) => each.toFixed(1));
  element.latency.textContent = `Prepared in ${prepareMs} ms, network ${networkMs} ms`;
}

function prepareDrawing() {
  const canvas = pad.toCanvas();
  const { data, width, height } = canvas
    .getContext("2d")
    .getImageData(0, 0, canvas.width, canvas.height);
  return prepare(toGrey(data, width, height));
}

/** Shows both answers and their probabilities. */
function show(number, digits, sums) {
  const probability = Math.min(Math.max(...digits), Math.max(...sums));
  const [digit, sum] = [digits, sums].map((each) => each.indexOf(Math.max(...each)));
  const equation = `${digit} + ${number} = ${sum}`;
  if (probability < MIN_PROBABILITY) {
    const reason = `${percent(probability)} probable: perhaps not a digit, or hard to read.`;
    setState("unsure", sum, `Unsure: perhaps ${equation}`, reason);
  } else {
    setState("sure", sum, equation, `${percent(probability)} probable`);
  }
  setBars(element.digits, digits);
  setBars(element.sums, sums);
}

/** Shows a state without an answer. */
function showNothing(state, headline, reason = "") {
  setState(state, "", headline, reason);
  setBars(element.digits, null);
  setBars(element.sums, null);
  element.input.hidden = true;
  element.latency.textContent = "";
}

function setState(state, sum, headline, reason) {
  element.answer.dataset.state = state;
  element.sum.textContent = sum;
  element.headline.textContent = headline;
  element.reason.textContent = reason;
}

function showInput(image) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = IMAGE_SIDE;
  const pixels = new ImageData(IMAGE_SIDE, IMAGE_SIDE);
  image.forEach((value, i) => pixels.data.set([value, value, value, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  element.input.src = canvas.toDataURL();
  element.input.hidden = false;
}
