// Pictures of one image: decoding, thresholding, scoring and painting.

const contents = JSON.parse(document.getElementById("contents").textContent);
const { codes, colours } = contents;

function imageBlob(base64, type) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return new Blob([bytes], { type });
}

// Returns RGBA of the picture, 4 bytes a pixel, untouched by the colour profile of the screen.
async function pixels(base64, type) {
  const bitmap = await createImageBitmap(imageBlob(base64, type), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function firstChannel({ data }) {
  const values = new Uint8Array(data.length / 4);
  for (let at = 0; at < values.length; at++) values[at] = data[4 * at];
  return values;
}

// Returns {width, height, photo (RGBA), truth, probability, errors (one byte a pixel)} of row `index`.
async function decode(index) {
  const texts = JSON.parse(document.getElementById("view-" + index).textContent);
  const types = ["image/jpeg", "image/png", "image/png", "image/png"];
  const [photo, ...maps] = await Promise.all(texts.map((text, at) => pixels(text, types[at])));
  const [truth, probability, errors] = maps.map(firstChannel);
  return { width: photo.width, height: photo.height, photo: photo.data, truth, probability, errors };
}

const isFace = (probability, threshold) => probability > threshold * 255;

// Returns the IoU of the reduced masks; nothing predicted where nothing is counts as 1, as in the evaluation.
function iouAt(view, threshold) {
  let both = 0;
  let either = 0;
  for (let at = 0; at < view.truth.length; at++) {
    if (view.truth[at] === codes.not_scored) continue;
    const predicted = isFace(view.probability[at], threshold);
    const actual = view.truth[at] === codes.face;
    both += predicted && actual;
    either += predicted || actual;
  }
  return either ? both / either : 1;
}

// Returns the errors of the reduced masks at a threshold other than the evaluation's.
function errorsAt(view, threshold) {
  const errors = new Uint8Array(view.truth.length);
  for (let at = 0; at < errors.length; at++) {
    if (view.truth[at] === codes.not_scored) continue;
    const predicted = isFace(view.probability[at], threshold);
    const actual = view.truth[at] === codes.face;
    if (predicted !== actual) errors[at] = predicted ? codes.invented : codes.missed;
  }
  return errors;
}

// Returns the errors, each spread over its eight neighbours, so that single ones are seen. `lone`: only those without
// a wrong neighbour are spread, such that lines of errors keep their width.
function spread(errors, width, height, lone) {
  const seen = errors.slice();
  for (let at = 0; at < errors.length; at++) {
    if (!errors[at]) continue;
    const around = neighbours(at, width, height);
    if (lone && around.some(neighbour => errors[neighbour])) continue;
    for (const neighbour of around) seen[neighbour] |= errors[at];
  }
  return seen;
}

function neighbours(at, width, height) {
  const x = at % width;
  const y = (at - x) / width;
  const found = [];
  for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
    for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
      if (row !== y || column !== x) found.push(row * width + column);
    }
  }
  return found;
}

function mix(data, at, colour, opacity) {
  for (let channel = 0; channel < 3; channel++) {
    data[4 * at + channel] += opacity * (colour[channel] - data[4 * at + channel]);
  }
}

function errorColour(code) {
  if (code === codes.missed) return colours.missed;
  return code === codes.invented ? colours.invented : colours.both;
}

// A grey and paler photo, on which few wrong pixels catch the eye.
function paintErrors(data, errors, truth) {
  for (let at = 0; at < errors.length; at++) {
    const luma = 0.3 * data[4 * at] + 0.59 * data[4 * at + 1] + 0.11 * data[4 * at + 2];
    data[4 * at] = data[4 * at + 1] = data[4 * at + 2] = 0.55 * luma + 40;
    if (truth[at] === codes.not_scored) mix(data, at, colours.not_scored, 0.6);
    if (errors[at]) mix(data, at, errorColour(errors[at]), 0.92);
  }
}

function paintMask(data, view, threshold, kind) {
  for (let at = 0; at < view.truth.length; at++) {
    const shown = kind === "label" ? view.truth[at] === codes.face : isFace(view.probability[at], threshold);
    if (kind === "label" && view.truth[at] === codes.not_scored) mix(data, at, colours.not_scored, 0.6);
    else if (shown) mix(data, at, colours.face, 0.5);
  }
}

// Paints one kind of picture. `moved` is null at the evaluation's own threshold, where the exact errors are known.
function paint(canvas, view, { kind, threshold, moved, small }) {
  const { width, height } = view;
  const data = new Uint8ClampedArray(view.photo);
  if (kind === "errors") {
    const errors = moved === null ? view.errors : errorsAt(view, threshold);
    paintErrors(data, spread(errors, width, height, !small), view.truth);
  } else if (kind !== "photo") {
    paintMask(data, view, threshold, kind);
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
}
