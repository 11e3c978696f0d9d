// One image, large: its four pictures, its scores, and the way to the one before and after it.

const dialog = document.getElementById("detail");
const panels = document.getElementById("panels");
const COUNTS = ["pixels", "tp", "fp", "fn", "tn", "face_found"];
let opened = null; // row index of the image that is shown or on its way
let current = null; // {index, view} of the image that is shown

for (const kind of KINDS) {
  const figure = element("figure", {}, element("canvas", { "data-kind": kind, role: "img" }));
  figure.append(element("figcaption", { text: kind }));
  panels.append(figure);
}

async function openDetail(index) {
  opened = index;
  const view = await decode(index);
  if (opened !== index) return; // the reader went on
  current = { index, view };
  const row = contents.rows[index];
  document.getElementById("detail-name").textContent = row.id;
  document.getElementById("detail-place").textContent = `${shown.indexOf(index) + 1} of ${shown.length}`;
  document.getElementById("detail-scores").replaceChildren(...scoreList(row));
  drawDetail();
  if (!dialog.open) dialog.showModal();
}

function drawDetail() {
  if (!current) return;
  const { index, view } = current;
  const row = contents.rows[index];
  for (const canvas of panels.querySelectorAll("canvas")) {
    const { kind } = canvas.dataset;
    paint(canvas, view, { kind, threshold: thresholdOf(row), moved: state.moved, small: false });
    canvas.setAttribute("aria-label", `${kind} of ${row.id}`);
  }
  const exact = state.moved === null ? "" : ` (${row.iou.toFixed(4)} as evaluated)`;
  document.getElementById("detail-iou").textContent = "IoU " + iouText(row, view) + exact;
}

// Returns the pairs of a definition list with everything that is known about an image.
function scoreList(row) {
  const shortened = (name, value) => (COUNTS.includes(name) ? value.toLocaleString("en") : value.toFixed(4));
  const pairs = [
    ["set", contents.sets[row.set].name],
    ["occlusion", row.types.join(", ") || "not named"],
    ["hidden share", row.coverage === null ? "not known" : (100 * row.coverage).toFixed(1) + " %"],
    ...(row.subject ? [["person", row.subject]] : []),
    ["face IoU", row.iou.toFixed(4)],
    ...Object.entries(row.scores).map(([name, value]) => [contents.columns[name] ?? name, shortened(name, value)]),
  ];
  return pairs.map(([name, value]) => element("div", {}, element("dt", { text: name }), element("dd", { text: value })));
}

function turn(step) {
  const target = shown.indexOf(opened) + step;
  if (target >= 0 && target < shown.length) openDetail(shown[target]);
}

gallery.addEventListener("click", event => {
  const tile = event.target.closest(".tile");
  if (tile) openDetail(Number(tile.dataset.row));
});
document.getElementById("previous").addEventListener("click", () => turn(-1));
document.getElementById("next").addEventListener("click", () => turn(1));
document.getElementById("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", event => {
  if (event.target === dialog) dialog.close(); // beside the content
});
dialog.addEventListener("keydown", event => {
  if (event.target.type === "range") return; // there the arrow keys move the slider
  if (event.key === "ArrowLeft") turn(-1);
  if (event.key === "ArrowRight") turn(1);
});
dialog.addEventListener("close", () => {
  const { index } = current;
  opened = current = null;
  if (shown.includes(index)) focusTile(index);
});
