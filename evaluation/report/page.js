// The controls of the page, and its start.

const choices = Object.fromEntries(["set", "type", "low", "high", "order"].map(id => [id, document.getElementById(id)]));
const sliders = [...document.querySelectorAll(".slider")];
const firstThreshold = contents.sets[0].threshold;
const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

function fillChoices() {
  const { rows, sets } = contents;
  const option = (value, text, fitting) => element("option", { value, text: `${text} (${rows.filter(fitting).length})` });
  choices.set.append(option("", "all", () => true));
  sets.forEach((set, index) => choices.set.append(option(index, set.name, row => row.set === index)));
  choices.type.append(option("", "all", () => true));
  // A sign before each name keeps a type that is called "none" apart from images without a type.
  for (const name of [...new Set(rows.flatMap(row => row.types))].sort()) {
    choices.type.append(option("=" + name, name, row => row.types.includes(name)));
  }
  if (rows.some(row => !row.types.length)) choices.type.append(option("none", "not named", row => !row.types.length));
}

function fillLegend() {
  const entries = [["face", "face"], ["missed", "missed face"], ["invented", "invented face"], ["not_scored", "not scored"]];
  for (const [name, text] of entries) {
    const swatch = element("i");
    swatch.style.background = `rgb(${colours[name]})`;
    document.getElementById("legend").append(element("span", {}, swatch, text));
  }
}

function filter() {
  Object.assign(state, { set: choices.set.value, type: choices.type.value, order: choices.order.value });
  const bound = (input, otherwise) => (input.value === "" ? otherwise : Number(input.value));
  Object.assign(state, { low: bound(choices.low, 0), high: bound(choices.high, 1) });
  arrange();
  document.getElementById("count").textContent = `${shown.length} of ${contents.rows.length} images`;
  document.getElementById("none").hidden = shown.length > 0;
  document.getElementById("clear").hidden = shown.length === contents.rows.length;
}

function clearFilters() {
  Object.assign(choices.low, { value: "0" });
  Object.assign(choices.high, { value: "1" });
  choices.set.value = choices.type.value = "";
  filter();
  choices.set.focus();
}

function chooseKind(kind) {
  state.kind = kind;
  gallery.dataset.kind = kind;
  for (const button of document.querySelectorAll("#kinds button")) {
    button.setAttribute("aria-pressed", button.dataset.kind === kind);
  }
  drawTiles();
}

// Returns the value of a curve between its points; beyond the ends that of the end.
function valueAt(curve, threshold) {
  const above = curve.thresholds.findIndex(value => value >= threshold);
  if (above === -1) return curve.face_iou[curve.face_iou.length - 1];
  if (above === 0) return curve.face_iou[0];
  const [low, high] = [curve.thresholds[above - 1], curve.thresholds[above]];
  const share = (threshold - low) / (high - low);
  return curve.face_iou[above - 1] + share * (curve.face_iou[above] - curve.face_iou[above - 1]);
}

function meansText() {
  const means = contents.sets.map(set => {
    const mean = state.moved === null || !set.curve ? set.face_iou : valueAt(set.curve, state.moved);
    return `${set.name} ${mean.toFixed(4)}`;
  });
  return "mean IoU of the whole set: " + means.join(", ");
}

// Shows the chosen threshold everywhere: both sliders, the charts, the tiles and the open image.
function moveThreshold(moved) {
  state.moved = moved;
  const value = moved ?? firstThreshold;
  for (const slider of sliders) slider.value = value;
  for (const output of document.querySelectorAll(".value")) output.textContent = value.toFixed(3);
  for (const button of document.querySelectorAll(".reset")) button.disabled = moved === null;
  document.querySelectorAll(".marker").forEach((line, at) => {
    const { low, high } = line.dataset;
    const across = Number(low) + (moved ?? contents.sets[line.closest("[data-set]").dataset.set].threshold) * (high - low);
    line.setAttribute("x1", across);
    line.setAttribute("x2", across);
  });
  document.getElementById("means").textContent = meansText();
  drawTiles();
  drawDetail();
}

let waiting = false;
function whenSlid(event) {
  const moved = Number(event.target.value);
  if (waiting) cancelAnimationFrame(waiting); // a fast hand sends more events than the screen has frames
  waiting = requestAnimationFrame(() => moveThreshold(moved));
}

function setTheme(isDark) {
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  theme.setAttribute("aria-pressed", isDark);
}

for (const choice of Object.values(choices)) choice.addEventListener("input", filter);
for (const slider of sliders) slider.addEventListener("input", whenSlid);
for (const button of document.querySelectorAll(".reset")) button.addEventListener("click", () => moveThreshold(null));
for (const button of document.querySelectorAll("#kinds button")) {
  button.addEventListener("click", () => chooseKind(button.dataset.kind));
}
for (const dot of document.querySelectorAll("circle[data-row]")) {
  dot.addEventListener("click", () => openDetail(Number(dot.dataset.row)));
}
document.getElementById("clear").addEventListener("click", clearFilters);
theme.addEventListener("click", () => setTheme(theme.getAttribute("aria-pressed") === "false"));
dark.addEventListener("change", () => setTheme(dark.matches));
document.addEventListener("keydown", event => {
  const typing = event.target.matches("select, input[type=number]");
  const kind = ["all", ...KINDS][Number(event.key) - 1];
  if (kind && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) chooseKind(kind);
});

setTheme(dark.matches);
fillChoices();
fillLegend();
filter();
chooseKind("all");
moveThreshold(null);
document.documentElement.dataset.ready = "yes";
