/**
 * A peer in node: onnxruntime-node or onnxruntime-web.
 *
 *     node node_peer.mjs PACKAGE MODEL VECTORS BATCH
 *
 * VECTORS is JSON: images and numbers. Answers lines on stdin with lines of JSON, as
 * benchmarks.peers.children asks.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [name, model, vectors, batch] = process.argv.slice(2);
const ort = createRequire(`${process.cwd()}/`)(name); // of the folder it is started in
if (name === "onnxruntime-web") {
  ort.env.wasm.numThreads = 1;
}
const options = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 };
const session = await ort.InferenceSession.create(readFileSync(model), options);
const { images, numbers } = JSON.parse(readFileSync(vectors));
const count = Number(batch);
const feeds = {
  image: new ort.Tensor("uint8", Uint8Array.from(images.slice(0, 784 * count)), [count, 1, 28, 28]),
  number: new ort.Tensor("int64", BigInt64Array.from(numbers.slice(0, count).map(BigInt)), [count]),
};

for await (const line of createInterface({ input: process.stdin })) {
  const calls = Number(line);
  if (calls === 0) {
    const { digit, sum } = await session.run(feeds);
    const rows = ({ data, dims }) =>
      Array.from({ length: dims[0] }, (_, i) => Array.from(data.subarray(i * dims[1], (i + 1) * dims[1])));
    console.log(JSON.stringify([rows(digit), rows(sum)]));
    continue;
  }
  const times = [];
  for (let i = 0; i < calls; i++) {
    const began = process.hrtime.bigint();
    await session.run(feeds);
    times.push(Number(process.hrtime.bigint() - began));
  }
  console.log(JSON.stringify(times));
}
