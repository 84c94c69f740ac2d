// Links the panels: controls choose the rows that all show, a brush in one chooses configurations in all.
const { runs: columns, curves, epochs, kinds, charts, chance: AT_CHANCE } = JSON.parse(document.getElementById("data").textContent);
const runs = columns.kind.map((_, run) => {
  const row = Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[run]]));
  return { run, ...row };
});
const label = Object.fromEntries(kinds.map((kind) => [kind.id, kind.label]));
const $ = (id) => document.getElementById(id);
const ALIGNMENTS = charts.alignment; // by the name of the column
const TABLE = [
  // column, heading, decimals
  ["kind", "Condition"], ["config", "Configuration"], ["test_acc", "Test accuracy (%)", 2], ["lr", "Learning rate"],
  ["lr_wei", "Learning rate of Wei"], ["lr_wix", "Learning rate of Wix"], ["hidden_width", "Hidden units"],
  ["gradient_alignment", "Gradient alignment", 3], ["output_alignment", "Output alignment", 3], ["status", "Status"],
];
const order = { column: "test_acc", down: true };
let chosen = new Set(); // configurations; empty: all
let brushed = null; // the panel whose brush chose them

const text = (row, [column, , decimals]) => {
  const value = column === "kind" ? label[row.kind] : row[column];
  if (value === null) return column in ALIGNMENTS ? "not defined" : "–";
  return decimals === undefined ? String(value) : value.toFixed(decimals).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
};
const isChosen = (row) => !chosen.size || chosen.has(row.config);
const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length / 2;
  return (sorted[Math.floor(half)] + sorted[Math.ceil(half) - 1]) / 2;
};

// Runs that the controls choose, whatever the selection is.
function shown() {
  const checked = new Set([...document.querySelectorAll("#kinds input:checked")].map((input) => input.value));
  return cell().filter((row) => checked.has(row.kind) && !($("chance").checked && row.test_acc <= AT_CHANCE));
}

function cell() {
  const [epsilon, task, variant] = ["epsilon", "task", "variant"].map((id) => $(id).value);
  return runs.filter((row) => row.epsilon === Number(epsilon) && row.task === task && row.variant === variant);
}

const panels = {
  accuracy: {
    rows: () => {
      const kind = $("accuracy-by").value.match(/^paired (.*)/)?.[1];
      const other = new Map(cell().filter((row) => row.kind === kind).map((row) => [row.config, row.test_acc]));
      const paired = shown().map((row) => ({ ...row, paired: other.get(row.config) ?? null }));
      return kind === undefined ? paired : paired.filter((row) => row.paired !== null);
    },
    x: () => $("accuracy-by").value.replace(/ .*/, ""),
    y: "test_acc",
  },
  curves: {
    rows: () => shown().flatMap((row) => {
      const curve = curves[$("curves-by").value][row.run].map((value, i) => ({ ...row, epoch: epochs[i], value }));
      return curve.filter((point) => point.value !== null);
    }),
    x: () => "epoch",
    y: "value",
  },
  alignment: {
    rows: () => shown().filter((row) => row[$("alignment-by").value] !== null),
    x: () => $("alignment-by").value,
    y: "test_acc",
  },
};

// Draw a panel anew: after a change of what it shows.
async function draw(name) {
  const panel = panels[name], node = $(name), by = $(`${name}-by`);
  const rows = panel.rows();
  panel.drawn = rows;
  panel.steps = [...new Map(rows.map((row) => [row.run, row])).values()]; // the last point of every curve
  panel.steps.sort((a, b) => a[panel.x()] - b[panel.x()] || a.run - b.run);
  node.setAttribute("aria-label", `${node.closest("section").querySelector("h2").textContent}: ${
    by.labels[0].firstChild.textContent.trim()} ${by.selectedOptions[0].textContent}, ${panel.steps.length} runs`);
  const drawn = new Set(rows.map((row) => row.kind));
  const absent = [...new Set(shown().map((row) => row.kind))].filter((kind) => !drawn.has(kind));
  $(`${name}-note`).textContent = absent.length && by.value in ALIGNMENTS
    ? `Not defined: ${absent.map((kind) => label[kind]).join(", ")}.` : "";
  panel.view?.finalize();
  panel.view = null;
  const turn = (panel.turn = (panel.turn ?? 0) + 1);
  if (!rows.length) {
    node.textContent = "No run to draw: choose another condition, epsilon or quantity.";
    return;
  }
  const spec = { ...structuredClone(charts[name][by.value]), datasets: { rows } };
  spec.params.find((param) => param.name === "chosen").value = [...chosen];
  scale(spec.layer, spec.layer.at(name === "curves" ? 0 : -1).encoding, rows);
  const { view, finalize } = await window.vegaEmbed(node, spec, { actions: false, renderer: "svg", tooltip: false });
  if (turn !== panel.turn) return finalize();
  panel.view = view;
  node.querySelector("svg").setAttribute("aria-hidden", "true"); // the panel's label and the keys say what is in it
  view.addSignalListener("brush", (_, ranges) => onBrush(name, Object.entries(ranges)));
  view.addEventListener("pointerover", (_, item) => item?.datum?.run !== undefined && tell(name, item.datum));
  view.addEventListener("pointerout", hush);
}

// Give all layers the axes of the main one, over all rows, whatever is chosen of them; paired accuracies have equal axes.
function scale(layers, { x, y }, rows) {
  const extent = (...fields) => {
    const values = rows.flatMap((row) => fields.map((field) => row[field]));
    return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  };
  const paired = x.field === "paired";
  const scales = { x: { ...x.scale, domain: paired ? extent(x.field, y.field) : extent(x.field) } };
  scales.y = { ...y.scale, domain: paired ? scales.x.domain : extent(y.field) };
  for (const { encoding } of layers) for (const axis of ["x", "y"]) encoding[axis].scale = scales[axis];
}

function onBrush(name, ranges) {
  if (!ranges.length) {
    if (brushed === name) choose([]);
    return;
  }
  const inside = (row) => ranges.every(([field, [a, b]]) => row[field] >= Math.min(a, b) && row[field] <= Math.max(a, b));
  const previous = brushed;
  brushed = name;
  if (previous && previous !== name) unbrush(previous);
  choose(panels[name].drawn.filter(inside).map((row) => row.config), name);
}

// Take away the rectangle that a brush left in a panel.
function unbrush(name) {
  const view = panels[name].view;
  if (view) view.signal("brush_x", [0, 0]).signal("brush_y", [0, 0]).runAsync();
}

function choose(configs, by = null) {
  chosen = new Set(configs);
  if (brushed && brushed !== by) {
    const previous = brushed;
    brushed = null;
    unbrush(previous);
  }
  for (const option of $("configs").options) option.selected = chosen.has(Number(option.value));
  later(() => {
    for (const { view } of Object.values(panels)) view?.signal("chosen", [...chosen]).runAsync();
    fill();
  });
}

// Once per picture on the screen, however often a brush moves.
let waiting = null;
function later(action) {
  if (!waiting) requestAnimationFrame(() => { const last = waiting; waiting = null; last(); });
  waiting = action;
}

// Table, numbers of the conditions, and the sentence above the panels.
function fill() {
  const rows = shown().filter(isChosen), sign = order.down ? -1 : 1;
  const key = (row) => (order.column === "kind" ? label[row.kind] : row[order.column]);
  const compare = (a, b) => (a === null) - (b === null) || sign * (a < b ? -1 : a > b ? 1 : 0);
  rows.sort((a, b) => compare(key(a), key(b)) || a.run - b.run);
  $("rows").tBodies[0].replaceChildren(...rows.map((row) => {
    const tr = document.createElement("tr");
    tr.append(...TABLE.map((column, i) => {
      const td = document.createElement(i ? "td" : "th");
      if (!i) td.scope = "row";
      else if (column[0] !== "status") td.className = "n";
      td.setAttribute("role", i ? "cell" : "rowheader");
      td.dataset.label = column[1];
      td.textContent = text(row, column);
      return td;
    }));
    tr.setAttribute("role", "row");
    tr.addEventListener("pointerenter", () => focus(row.run));
    return tr;
  }));
  for (const input of document.querySelectorAll("#kinds input")) {
    const values = cell().filter((row) => row.kind === input.value && isChosen(row)).map((row) => row.test_acc);
    const runsOf = `${values.length} run${values.length === 1 ? "" : "s"}`;
    input.parentNode.querySelector("small").textContent =
      values.length ? `${runsOf}, median ${median(values).toFixed(1)} %` : "no run";
  }
  const left = cell().filter((row) => row.test_acc <= AT_CHANCE && document.querySelector(
    `#kinds input[value="${CSS.escape(row.kind)}"]`).checked).length;
  const configs = new Set(rows.map((row) => row.config)).size;
  $("told").textContent = `${rows.length} runs of ${configs} configurations${chosen.size ? " are selected" : ""}.`
    + ($("chance").checked ? ` ${left} at chance are left out.` : "");
}

function heading([column, title]) {
  const th = document.createElement("th"), button = document.createElement("button");
  th.scope = "col";
  th.setAttribute("role", "columnheader");
  button.type = "button";
  button.textContent = title;
  const mark = () => column === order.column && th.setAttribute("aria-sort", order.down ? "descending" : "ascending");
  button.addEventListener("click", () => {
    order.down = order.column === column && !order.down;
    order.column = column;
    for (const other of th.parentNode.cells) other.removeAttribute("aria-sort");
    mark();
    fill();
  });
  mark();
  th.append(button);
  return th;
}

// A run's hyperparameters and results, at its mark in a panel.
function tell(name, row) {
  const { view, x, y } = panels[name], tip = $("tip");
  const facts = [
    `${label[row.kind]}, configuration ${row.config}`,
    `test accuracy ${text(row, ["test_acc", "", 2])} %${row.status === "collapsed" ? ", collapsed" : ""}`,
    `learning rate ${row.lr}, of Wei ${row.lr_wei}, of Wix ${row.lr_wix}`,
    `${row.hidden_width} hidden units per layer, epsilon ${row.epsilon}`,
    `alignment: gradient ${text(row, ["gradient_alignment", "", 3])}, output ${text(row, ["output_alignment", "", 3])}`,
  ];
  tip.replaceChildren(...facts.map((fact) => Object.assign(document.createElement("div"), { textContent: fact })));
  tip.hidden = false;
  const box = $(name).querySelector("svg").getBoundingClientRect(), [left, top] = view.origin();
  const at = [box.left + left + view.scale("x")(row[x()]), box.top + top + view.scale("y")(row[y])];
  tip.style.left = `${window.scrollX + Math.max(4, Math.min(at[0] + 12, window.innerWidth - tip.offsetWidth - 20))}px`;
  tip.style.top = `${window.scrollY + (at[1] > tip.offsetHeight + 20 ? at[1] - tip.offsetHeight - 12 : at[1] + 16)}px`;
  focus(row.run);
}

function hush() {
  $("tip").hidden = true;
  focus(-1);
}

function focus(run) {
  for (const { view } of Object.values(panels)) view?.signal("focus", run).runAsync();
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
function onKey(name, event) {
  const panel = panels[name], { steps } = panel;
  if (!steps?.length || !panel.view) return;
  const at = steps.findIndex((row) => row.run === panel.at);
  if (event.key in STEPS) {
    const next = at < 0 && STEPS[event.key] < 0 ? steps.length - 1 : at + STEPS[event.key];
    const row = steps[Math.max(0, Math.min(next, steps.length - 1))];
    panel.at = row.run;
    tell(name, row);
  } else if (event.key === "Enter" && at >= 0) {
    const { config } = steps[at];
    choose(chosen.has(config) ? [...chosen].filter((other) => other !== config) : [...chosen, config]);
  } else if (event.key === "Escape") {
    hush();
    choose([]);
  } else return;
  event.preventDefault();
}

function redraw() {
  hush();
  for (const name of Object.keys(panels)) draw(name);
  fill();
}

const configs = new Map(runs.map((row) => [row.config, row]));
for (const [config, row] of [...configs].sort(([a], [b]) => a - b)) {
  $("configs").append(new Option(`${config}: rate ${row.lr}, ${row.hidden_width} units`, config));
}
// On a narrow screen every row is a card: its parts keep their roles.
const parts = { table: [$("rows")], rowgroup: [$("rows").tHead, $("rows").tBodies[0]], row: $("rows").tHead.rows };
for (const [role, nodes] of Object.entries(parts)) for (const node of nodes) node.setAttribute("role", role);
$("rows").tHead.rows[0].append(...TABLE.map(heading));
$("configs").addEventListener("change", (event) => choose([...event.target.selectedOptions].map((o) => Number(o.value))));
$("clear").addEventListener("click", () => choose([]));
for (const input of document.querySelectorAll("#kinds input, #epsilon, #task, #variant, #chance")) {
  input.addEventListener("change", redraw);
}
$("controls").addEventListener("submit", (event) => event.preventDefault());
for (const name of Object.keys(panels)) {
  $(`${name}-by`).addEventListener("change", () => draw(name));
  $(name).addEventListener("keydown", (event) => onKey(name, event));
  $(name).addEventListener("blur", hush);
}
redraw();
