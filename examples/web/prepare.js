/**
 * A drawing on a canvas → 28×28 pixels in MNIST's format, the network's input.
 *
 *     const { data, width, height } = context.getImageData(0, 0, side, side);
 *     const image = prepare(toGrey(data, width, height)); // null where nothing is drawn
 *
 * For clean ink: one digit, drawn in one colour on another. All that is drawn is taken for the
 * digit; pages, photographs and several digits need the ink model, which is a file of its own.
 * The steps and their constants are those of edge_adder/preprocessing/ in Python;
 * docs/other-languages.md describes them, with a test image for each.
 *
 * A picture here is { width, height, data }: grey values from 0 to 255, row by row from the top.
 */

const LONGEST = 224; // largest side of a picture that is searched for ink, in pixels
const BLANK = 16; // mean contrast of ink below which there is none
const LOW = 0.25; // share of the ink's mean contrast above which a pixel belongs to the digit,
const HIGH = 0.55; // and above which it shows the ink's full colour
const NO_INK = 0.15; // share of the ink's full contrast up to which there is no ink,
const FULL_INK = 0.9; // and from which it is full
const MARGIN = 2; // pixels that are kept around the digit, on each side
const DIGIT_SIDE = 20; // longer side of the digit in the result, in pixels
const ZOOM = 6; // pixels per pixel of the result where strokes are measured and changed
const STROKE = 128; // least amount of ink of a pixel that belongs to a stroke
const STROKE_WIDTHS = [1.9, 4.2]; // thinnest and widest strokes, in pixels of the result
const MIN_LEFT = 0.2; // share of the strokes that thinning must leave, or they stay as they were
const IMAGE_SIDE = 28; // side of the result, in pixels
const CENTRE = 14.5; // where the centre of mass is put, in pixels from the edge

/** All steps: a picture of any size → Uint8Array of 784; null without ink. */
export function prepare(picture) {
  const ink = findInk(shrink(picture));
  return ink && centre(fit(adjustStrokes(zoom(ink)))).data;
}

/** RGBA, as getImageData has it → a grey picture, of the brightness of ITU-R BT.601. */
export function toGrey(rgba, width, height) {
  const grey = blank(width, height);
  for (let i = 0; i < grey.data.length; i++) {
    grey.data[i] = 0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2];
  }
  return grey;
}

/** Averages square blocks, so that no side is above LONGEST. */
export function shrink(picture) {
  const factor = Math.ceil(Math.max(picture.width, picture.height) / LONGEST);
  const size = [Math.ceil(picture.width / factor), Math.ceil(picture.height / factor)];
  return make(...size, (left, top) => {
    let sum = 0;
    let count = 0;
    for (let y = top * factor; y < Math.min((top + 1) * factor, picture.height); y++) {
      for (let x = left * factor; x < Math.min((left + 1) * factor, picture.width); x++) {
        sum += at(picture, x, y);
        count += 1;
      }
    }
    return Math.floor(sum / count + 0.5);
  });
}

/** The amount of ink of each pixel, cropped to what is drawn; null where nothing is. */
export function findInk(picture) {
  const paper = mostCommon(picture.data);
  const contrast = Array.from(picture.data, (value) => value - paper);
  const sizes = contrast.map(Math.abs);
  const threshold = otsu(sizes.filter((size) => size > 0));
  const mean = average(sizes.filter((size) => size > threshold));
  if (!(mean >= BLANK)) {
    return null;
  }
  const low = Math.max(0.75 * BLANK, LOW * mean);
  const high = Math.max(BLANK, HIGH * mean);
  const certain = contrast.filter((value) => Math.abs(value) > high);
  const full = sum(certain.map((value) => value * Math.abs(value))) / sum(certain.map(Math.abs));

  const isDigit = (x, y) => Math.abs(at(picture, x, y) - paper) > low;
  const neighbours = [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]];
  const amount = make(picture.width, picture.height, (x, y) => {
    if (!neighbours.some(([right, down]) => isDigit(x + right, y + down))) {
      return 0;
    }
    const share = (at(picture, x, y) - paper) / full;
    return 255 * Math.min(1, Math.max(0, (share - NO_INK) / (FULL_INK - NO_INK)));
  });
  return crop(amount, isDigit, MARGIN);
}

/** Six times as large as in the result, with a margin in which strokes can grow. */
export function zoom(ink) {
  const zoomed = stretch(resize(ink, ZOOM * DIGIT_SIDE, bicubic, 2));
  const margin = 2 * ZOOM;
  const size = [zoomed.width + 2 * margin, zoomed.height + 2 * margin];
  return make(...size, (x, y) => at(zoomed, x - margin, y - margin) ?? 0);
}

/** Widens thin strokes and thins wide ones. */
export function adjustStrokes(zoomed) {
  const [thinnest, widest] = STROKE_WIDTHS;
  const width = strokeWidth(zoomed) / ZOOM;
  const steps = Math.max(1, round((ZOOM / 2) * Math.max(thinnest - width, width - widest)));
  if (width < thinnest) {
    return extreme(zoomed, steps, Math.max);
  }
  if (width > widest) {
    const thinned = extreme(zoomed, steps, Math.min);
    const area = ({ data }) => data.filter((value) => value >= STROKE).length;
    return area(thinned) > MIN_LEFT * area(zoomed) ? thinned : zoomed;
  }
  return zoomed;
}

/** The digit alone, its longer side 20 pixels. */
export function fit(zoomed) {
  const isInk = (x, y) => at(zoomed, x, y) >= STROKE / 2;
  return stretch(resize(crop(zoomed, isInk, 0), DIGIT_SIDE, box, 0.5));
}

/** The digit on 28×28 pixels, its centre of mass in the middle as near as whole pixels allow. */
export function centre(digit) {
  const place = (length, coordinate) => {
    const moments = Array.from(digit.data, (value, i) => value * (coordinate(i) + 0.5));
    const start = round(CENTRE - sum(moments) / sum(digit.data));
    return Math.min(Math.max(start, 0), IMAGE_SIDE - length);
  };
  const left = place(digit.width, (i) => i % digit.width);
  const top = place(digit.height, (i) => Math.floor(i / digit.width));
  return make(IMAGE_SIDE, IMAGE_SIDE, (x, y) => at(digit, x - left, y - top) ?? 0);
}

/** Mean width in pixels: twice the area over the outline, which in pixels is 4/π as long. */
function strokeWidth(picture) {
  const inside = (x, y) => (at(picture, x, y) >= STROKE ? 1 : 0);
  let area = 0;
  let outline = 0;
  for (let y = 0; y <= picture.height; y++) {
    for (let x = 0; x <= picture.width; x++) {
      area += inside(x, y);
      outline += Math.abs(inside(x, y) - inside(x - 1, y));
      outline += Math.abs(inside(x, y) - inside(x, y - 1));
    }
  }
  return (2 * area) / Math.max(1, (outline * Math.PI) / 4);
}

/** The maximum or minimum of the square window that reaches some steps to each side. */
function extreme(picture, steps, choose) {
  const along = (source, dx, dy) =>
    make(source.width, source.height, (x, y) => {
      let found = at(source, x, y);
      for (let step = -steps; step <= steps; step++) {
        found = choose(found, at(source, x + step * dx, y + step * dy) ?? found);
      }
      return found;
    });
  return along(along(picture, 1, 0), 0, 1);
}

/** Resizes to a longer side, first along the rows and then along the columns, as Pillow does. */
function resize(picture, side, filter, support) {
  const scale = side / Math.max(picture.width, picture.height);
  const width = Math.max(1, round(picture.width * scale));
  const height = Math.max(1, round(picture.height * scale));
  const columns = weights(picture.width, width, filter, support);
  const rows = weights(picture.height, height, filter, support);
  const weighted = (taps, value) => sum(taps.map(([i, weight]) => weight * value(i)));
  const wide = make(width, picture.height, (x, y) => weighted(columns[x], (i) => at(picture, i, y)));
  return make(width, height, (x, y) => weighted(rows[y], (i) => at(wide, x, i)));
}

/** For each pixel of the result, which pixels of a line it is made of: pairs of index and weight. */
function weights(from, to, filter, support) {
  const scale = from / to;
  const stretched = Math.max(1, scale); // a filter is as wide as a pixel of the shorter line
  return Array.from({ length: to }, (_, pixel) => {
    const middle = (pixel + 0.5) * scale;
    const first = Math.max(0, Math.floor(middle - support * stretched + 0.5));
    const end = Math.min(from, Math.floor(middle + support * stretched + 0.5));
    const taps = [];
    for (let i = first; i < end; i++) {
      taps.push([i, filter((i - middle + 0.5) * (1 / stretched))]); // rounded as Pillow does
    }
    const total = sum(taps.map(([, weight]) => weight));
    return taps.map(([i, weight]) => [i, weight / total]);
  });
}

function box(x) {
  return x > -0.5 && x <= 0.5 ? 1 : 0;
}

/** Keys' cubic convolution with a = -1/2. */
function bicubic(x) {
  const d = Math.abs(x);
  if (d < 1) {
    return 1.5 * d ** 3 - 2.5 * d ** 2 + 1;
  }
  return d < 2 ? -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2 : 0;
}

/** Scales the values so that the maximum is 255. */
function stretch(picture) {
  const factor = 255 / Math.max(1, picture.data.reduce((a, b) => Math.max(a, b), 0));
  return make(picture.width, picture.height, (x, y) => factor * at(picture, x, y));
}

/** Otsu's threshold: the maximum variance between what is below and above it. */
function otsu(values) {
  const counts = new Array(256).fill(0);
  values.forEach((value) => (counts[value] += 1));
  const total = sum(values);
  const best = { variance: 0, threshold: 0 };
  let below = 0;
  let sumBelow = 0;
  counts.forEach((count, value) => {
    below += count;
    sumBelow += count * value;
    const above = values.length - below;
    const distance = (total - sumBelow) / above - sumBelow / below;
    const variance = below * above * distance ** 2;
    if (variance > best.variance) {
      Object.assign(best, { variance, threshold: value + 0.5 });
    }
  });
  return best.threshold;
}

function mostCommon(values) {
  const counts = new Uint32Array(256);
  values.forEach((value) => (counts[value] += 1));
  return counts.indexOf(Math.max(...counts));
}

/** Cuts to the box around the pixels that are chosen, with a margin as far as the picture goes. */
function crop(picture, isChosen, margin) {
  const [across, down] = [range(picture.width), range(picture.height)];
  const columns = across.filter((x) => down.some((y) => isChosen(x, y)));
  const rows = down.filter((y) => across.some((x) => isChosen(x, y)));
  const left = Math.max(0, columns[0] - margin);
  const top = Math.max(0, rows[0] - margin);
  const right = Math.min(picture.width, columns.at(-1) + 1 + margin);
  const bottom = Math.min(picture.height, rows.at(-1) + 1 + margin);
  return make(right - left, bottom - top, (x, y) => at(picture, left + x, top + y));
}

/** The value of a pixel; undefined outside the picture. */
function at({ width, height, data }, x, y) {
  return x >= 0 && x < width && y >= 0 && y < height ? data[y * width + x] : undefined;
}

function blank(width, height) {
  return { width, height, data: new Uint8ClampedArray(width * height) };
}

/** A picture by the value of each pixel, rounded and kept from 0 to 255. */
function make(width, height, value) {
  const picture = blank(width, height);
  for (let i = 0; i < picture.data.length; i++) {
    picture.data[i] = value(i % width, Math.floor(i / width));
  }
  return picture;
}

/** Rounds a half to the even neighbour, as Python and Uint8ClampedArray do. */
function round(value) {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
}

function range(length) {
  return Array.from({ length }, (_, i) => i);
}

function sum(values) {
  return values.reduce((a, b) => a + b, 0);
}

function average(values) {
  return sum(values) / values.length;
}
