/** Copies what the page loads into assets/; `npm ci` calls this when it has installed the rest. */

import { copyFileSync, mkdirSync } from "node:fs";

const RUNTIME = "node_modules/onnxruntime-web/dist";
const PAGE = "../../edge_adder/serve/page";
const ASSETS = {
  "model.onnx": "../../edge_adder/models/default.onnx",
  "onnxruntime.js": `${RUNTIME}/ort.wasm.bundle.min.mjs`,
  "onnxruntime.wasm": `${RUNTIME}/ort-wasm-simd-threaded.wasm`,
  "drawing.js": `${PAGE}/drawing.js`,
  "bars.js": `${PAGE}/bars.js`,
  "page.css": `${PAGE}/page.css`,
  "icon.svg": `${PAGE}/icon.svg`,
};

mkdirSync(new URL("assets/", import.meta.url), { recursive: true });
for (const [name, source] of Object.entries(ASSETS)) {
  copyFileSync(new URL(source, import.meta.url), new URL(`assets/${name}`, import.meta.url));
}
