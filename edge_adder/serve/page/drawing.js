/**
 * A canvas to draw on with mouse, finger or pen. Needs nothing else of the page.
 *
 *     const pad = new DrawingPad(document.querySelector("canvas"), () => read(pad));
 *     const png = await pad.toBlob();
 *
 * The canvas shows the strokes in its CSS colour, at the size that CSS gives it; give it
 * `touch-action: none`, so that a finger draws instead of scrolling.
 */

/** Width of the pen, as a share of the canvas: about MNIST's strokes in a digit of its height. */
const PEN = 0.065;

/** Side of the exported picture, in pixels. */
const EXPORT_SIDE = 280;

export class DrawingPad {
  /** Strokes, each a list of points [x, y] from 0 to 1. Replaced by a change, never changed. */
  #strokes = [];
  /** What #strokes was before each change, to undo it. */
  #past = [];
  /** The stroke that is being drawn, and the pointer that draws it. */
  #current = null;
  #pointer = null;
  #canvas;
  #onChange;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onChange called after a stroke, an undo and a clear
   */
  constructor(canvas, onChange) {
    this.#canvas = canvas;
    this.#onChange = onChange;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#end(event));
    canvas.addEventListener("pointercancel", (event) => this.#end(event));
    new ResizeObserver(() => this.#show()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#show());
  }

  get isEmpty() {
    return this.#strokes.length === 0;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  undo() {
    if (this.canUndo) {
      this.#strokes = this.#past.pop();
      this.#changed();
    }
  }

  /** Removes all strokes; undo brings them back. */
  clear() {
    if (!this.isEmpty) {
      this.#replace([]);
    }
  }

  /** @returns {HTMLCanvasElement} the drawing, black on white, with sides of EXPORT_SIDE pixels */
  toCanvas() {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = EXPORT_SIDE;
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, EXPORT_SIDE, EXPORT_SIDE);
    draw(context, this.#strokes, EXPORT_SIDE, "black");
    return canvas;
  }

  /** @returns {Promise<Blob>} the drawing as a PNG, black on white */
  toBlob() {
    return new Promise((resolve) => this.toCanvas().toBlob(resolve, "image/png"));
  }

  #begin(event) {
    if (this.#pointer !== null || event.button !== 0) {
      return; // a second finger, or the right button
    }
    event.preventDefault();
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#current = [this.#place(event)];
    this.#show();
  }

  #move(event) {
    if (event.pointerId === this.#pointer) {
      const passed = event.getCoalescedEvents?.() ?? [];
      this.#current.push(...(passed.length ? passed : [event]).map((each) => this.#place(each)));
      this.#show();
    }
  }

  #end(event) {
    if (event.pointerId === this.#pointer) {
      const stroke = this.#current;
      this.#pointer = this.#current = null;
      this.#replace([...this.#strokes, stroke]);
    }
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  #replace(strokes) {
    this.#past.push(this.#strokes);
    this.#strokes = strokes;
    this.#changed();
  }

  #changed() {
    this.#show();
    this.#onChange();
  }

  #show() {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.width = canvas.height = side; // which also clears it
    const strokes = this.#current ? [...this.#strokes, this.#current] : this.#strokes;
    draw(canvas.getContext("2d"), strokes, side, getComputedStyle(canvas).color);
  }
}

/** Draws strokes on a square context, with curves through the midpoints of their points. */
function draw(context, strokes, side, colour) {
  context.strokeStyle = colour;
  context.lineWidth = PEN * side;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    const points = stroke.map(([x, y]) => [x * side, y * side]);
    context.beginPath();
    context.moveTo(...points[0]);
    for (let i = 1; i < points.length - 1; i++) {
      const [x, y] = points[i];
      const [nextX, nextY] = points[i + 1];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...points.at(-1));
    context.stroke();
  }
}
