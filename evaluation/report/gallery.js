// The gallery: which images, in which order, and their tiles, drawn only while they are near the window.

const KINDS = ["photo", "label", "prediction", "errors"];
const NEAR = "400px"; // decoded before they are scrolled to

// What the reader has chosen. `moved` is the threshold of the slider, null as long as it is the evaluation's.
const state = { kind: "all", set: "", type: "", low: 0, high: 1, order: "worst", moved: null };

const gallery = document.getElementById("gallery");
const drawn = new Map(); // row index -> decoded view, of the tiles near the window
let shown = []; // row indices that pass the filters, in order

const thresholdOf = row => state.moved ?? contents.sets[row.set].threshold;
const kindsShown = () => (state.kind === "all" ? KINDS : [state.kind]);
const wrongPixels = row => row.scores.fp + row.scores.fn;

const buttonOf = index => tiles[index].firstElementChild;

function element(tag, { text = "", ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.append(text);
  made.append(...children);
  return made;
}

function hiddenText(row) {
  return row.coverage === null ? "" : Math.round(100 * row.coverage) + " % hidden";
}

// Returns what is told below an image, e.g. "helen_afw · hand, object · 21 % hidden · 1,204 px wrong"; how many pixels
// are wrong is known at the evaluation's threshold only.
function aboutText(row) {
  const wrong = state.moved === null && wrongPixels(row).toLocaleString("en") + " px wrong";
  const lost = row.scores.face_found === 0 && "no face found";
  const parts = [contents.sets[row.set].name, row.types.join(", "), hiddenText(row), wrong, lost];
  return parts.filter(Boolean).join(" · ");
}

function makeTile(row, index) {
  const iou = element("b", { class: "iou", text: iouText(row) });
  const button = element(
    "button",
    { type: "button", class: "tile", tabindex: "-1", "data-row": index },
    element("span", { class: "pictures" }),
    element("span", {}, iou, " ", element("span", { class: "id", text: row.id })),
    element("span", { class: "faint about", text: aboutText(row) }),
  );
  button.setAttribute("aria-label", spokenText(row, iouText(row)));
  return element("li", {}, button);
}

// Returns the text of an IoU: the evaluation's own, or that of the reduced masks at the slider's threshold.
function iouText(row, view) {
  if (state.moved === null) return row.iou.toFixed(4);
  return "≈ " + iouAt(view, state.moved).toFixed(4);
}

const spokenText = (row, iou) => `${row.id}, IoU ${iou}, ${aboutText(row)}`;
const tiles = contents.rows.map(makeTile);

function drawTile(index) {
  const view = drawn.get(index);
  const row = contents.rows[index];
  const pictures = buttonOf(index).querySelector(".pictures");
  const kinds = kindsShown();
  while (pictures.childElementCount > kinds.length) pictures.lastChild.remove();
  while (pictures.childElementCount < kinds.length) pictures.append(document.createElement("canvas"));
  kinds.forEach((kind, at) => {
    paint(pictures.children[at], view, { kind, threshold: thresholdOf(row), moved: state.moved, small: true });
  });
  const iou = iouText(row, view);
  buttonOf(index).querySelector(".iou").textContent = iou;
  buttonOf(index).querySelector(".about").textContent = aboutText(row);
  buttonOf(index).setAttribute("aria-label", spokenText(row, iou));
}

function drawTiles() {
  for (const index of drawn.keys()) if (drawn.get(index)) drawTile(index);
}

const observer = new IntersectionObserver(
  entries => entries.forEach(entry => (entry.isIntersecting ? enter : leave)(Number(entry.target.dataset.row))),
  { rootMargin: NEAR },
);

async function enter(index) {
  if (drawn.has(index)) return;
  drawn.set(index, null); // on its way
  const view = await decode(index);
  if (!drawn.has(index)) return; // scrolled away meanwhile
  drawn.set(index, view);
  drawTile(index);
}

function leave(index) {
  drawn.delete(index);
  buttonOf(index).querySelector(".pictures").replaceChildren();
}

function fits(row) {
  const type = state.type === "" || (state.type === "none" ? !row.types.length : row.types.includes(state.type.slice(1)));
  const set = state.set === "" || row.set === Number(state.set);
  return set && type && row.iou >= state.low && row.iou <= state.high;
}

const ORDERS = {
  worst: (a, b) => a.iou - b.iou,
  best: (a, b) => b.iou - a.iou,
  hidden: (a, b) => (b.coverage ?? -1) - (a.coverage ?? -1),
  wrong: (a, b) => wrongPixels(b) - wrongPixels(a),
  name: (a, b) => (a.id < b.id ? -1 : 1),
};

// Puts the tiles that fit into the page, in order; the first can be reached by Tab.
function arrange() {
  const { rows } = contents;
  shown = rows.map((_, index) => index).filter(index => fits(rows[index]));
  shown.sort((a, b) => ORDERS[state.order](rows[a], rows[b]) || a - b);
  observer.disconnect();
  for (const index of [...drawn.keys()]) leave(index);
  gallery.replaceChildren(...shown.map(index => tiles[index]));
  for (const index of shown) observer.observe(buttonOf(index));
  if (shown.length) makeReachable(shown[0]);
}

// Exactly one tile takes part in the tab order; the arrow keys move between tiles.
function makeReachable(index) {
  for (const button of gallery.querySelectorAll('[tabindex="0"]')) button.tabIndex = -1;
  buttonOf(index).tabIndex = 0;
}

function columnCount() {
  const top = tiles[shown[0]].offsetTop;
  const second = shown.findIndex(index => tiles[index].offsetTop !== top);
  return second === -1 ? shown.length : second;
}

function focusTile(index) {
  makeReachable(index);
  buttonOf(index).focus();
}

gallery.addEventListener("keydown", event => {
  const at = shown.indexOf(Number(event.target.dataset.row));
  const steps = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columnCount(),
    ArrowDown: columnCount(),
    Home: -at,
    End: shown.length - 1 - at,
  };
  if (at === -1 || !(event.key in steps)) return;
  event.preventDefault();
  const target = at + steps[event.key];
  if (target >= 0 && target < shown.length) focusTile(shown[target]);
});
