"use strict";

// Which uids are shown: an empty set shows all.
let chosen = new Set();
// Smoothing factor of lines over time: 0 shows the values, 0.9 weighs a value with 0.1.
let smoothing = 0;

// plotly.js reads some tags in texts.
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const byId = (id) => document.getElementById(id);
const say = (text) => { byId("said").textContent = text; };

// --- tables: sorted by a click on a heading, searched, filtered by uid, exported ---

function makeSortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const numbers = heading.classList.contains("number");
    const compare = (one, other) => (numbers ? one - other : one.localeCompare(other));
    // Numbers in descending order first, text in ascending order first. Empty cells are always last.
    button.addEventListener("click", () => {
      const first = numbers ? "descending" : "ascending";
      const second = numbers ? "ascending" : "descending";
      const order = heading.getAttribute("aria-sort") === first ? second : first;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const sorted = [...body.rows].sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        if (a === "" || b === "") return (a === "") - (b === "");
        return sign * compare(a, b);
      });
      body.append(...sorted);
    });
  });
}

const tables = [...document.querySelectorAll("table.sortable")].map((table) => {
  makeSortable(table);
  const toolbar = document.createElement("div");
  toolbar.className = "toolbar";
  const title = table.caption.textContent;
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "search";
  search.setAttribute("aria-label", "Search in " + title);
  const shown = document.createElement("span");
  shown.setAttribute("role", "status");
  const download = document.createElement("button");
  download.type = "button";
  download.className = "tool";
  download.textContent = "CSV";
  download.setAttribute("aria-label", "Export " + title + " as CSV");
  toolbar.append(search, download, shown);
  table.parentElement.before(toolbar);
  const entry = { table, search, shown };
  search.addEventListener("input", () => filterTable(entry));
  download.addEventListener("click", () => exportTable(entry));
  return entry;
});

function filterTable({ table, search, shown }) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...table.tBodies[0].rows];
  let visible = 0;
  for (const row of rows) {
    const uid = row.dataset.uid;
    const hasUid = uid === undefined || chosen.size === 0 || chosen.has(uid);
    const text = row.textContent.toLowerCase();
    row.hidden = !(hasUid && words.every((word) => text.includes(word)));
    row.classList.toggle("selected", uid !== undefined && chosen.has(uid));
    visible += !row.hidden;
  }
  shown.textContent = visible === rows.length ? rows.length + " rows" : visible + " of " + rows.length + " rows";
}

// The CSV of the rows that are shown, in their order. Numbers are exported unformatted.
function csvOf({ table }) {
  // A spreadsheet would execute a text that begins like a formula. A number may begin with a sign.
  const inert = (text) => (/^[=+\-@\t]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text);
  const quoted = (text) => (/[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  const cells = rows.map((row) => [...row.cells].map((cell) => cell.dataset.sort ?? cell.textContent));
  return [headings, ...cells].map((line) => line.map(inert).map(quoted).join(",") + "\r\n").join("");
}

function exportTable(entry) {
  const link = document.createElement("a");
  link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(csvOf(entry));
  link.download = entry.table.dataset.name + ".csv";
  link.click();
  say("exported " + link.download);
}

// --- selection of uids: written, or clicked in a table or a plot ---

// Reads `3, 7-9`. Anything else is marked as invalid and ignored.
function readUids(text) {
  const found = new Set();
  let valid = true;
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    if (!range || Number(range[2] ?? range[1]) < Number(range[1])) {
      valid = false;
      continue;
    }
    const last = Math.min(Number(range[2] ?? range[1]), 65535);
    for (let uid = Number(range[1]); uid <= last; uid++) found.add(String(uid));
  }
  byId("uids").setAttribute("aria-invalid", String(!valid));
  return found;
}

function choose(uids) {
  chosen = uids;
  tables.forEach(filterTable);
  drawAll();
  say(chosen.size === 0 ? "all uids are shown" : chosen.size + " uids are shown");
}

function toggle(uid) {
  const next = new Set(chosen);
  if (!next.delete(uid)) next.add(uid);
  byId("uids").value = [...next].sort((one, other) => one - other).join(", ");
  choose(next);
}

byId("uids").addEventListener("input", (event) => choose(readUids(event.target.value)));
for (const row of document.querySelectorAll("tr[data-uid]")) {
  row.tabIndex = 0;
  row.title = "Select this uid in all tables and plots";
  row.addEventListener("click", () => toggle(row.dataset.uid));
  row.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle(row.dataset.uid);
  });
}
byId("smoothing").addEventListener("input", (event) => {
  smoothing = Number(event.target.value);
  drawAll();
  say("smoothing " + smoothing);
});

// --- navigation: folded on a narrow screen, the current section marked ---

const narrow = matchMedia("(max-width: 74.99rem)");
const sections = document.querySelector("nav details");
const fold = () => { sections.open = !narrow.matches; };
fold();
narrow.addEventListener("change", fold);
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", () => { if (narrow.matches) sections.open = false; });
}
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    document.querySelector("nav a[aria-current]")?.removeAttribute("aria-current");
    document.querySelector(`nav a[href="#${target.id}"]`)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-20% 0px -70% 0px" });
document.querySelectorAll("main > section").forEach((section) => seen.observe(section));

// --- plots: in the colours of the page, which change with the colour scheme and in print ---

// The plots, which are unpacked after the page has been painted.
let charts = [];
const paper = { width: 690, tallest: 420 };

function theme() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue("--" + name).trim();
  const axis = { gridcolor: color("line"), linecolor: color("line"), zerolinecolor: color("line"), tickcolor: color("line") };
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("soft") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: color("surface"),
    hoverlabel: { bgcolor: color("surface"), bordercolor: color("line"), font: { color: color("text") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("soft"), activecolor: color("accent") },
    axis,
  };
}

function layoutOf(chart) {
  const { axis, ...layout } = theme();
  const marked = layout.modebar.color;
  // Spans are below the lines of a plot, but a table of cells would hide them.
  const layer = chart.data.some(({ type }) => type === "heatmap") ? "above" : "below";
  const faults = chart.spans.length > 0 ? { showlegend: true, yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true } } : {};
  return {
    ...chart.layout,
    ...layout,
    ...faults,
    xaxis: { ...chart.layout.xaxis, ...axis },
    yaxis: { ...chart.layout.yaxis, ...axis },
    margin: { l: 56, r: 16, t: 28, b: 48 },
    legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom" },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    shapes: [
      ...chart.spans.map(({ from, to }) => ({
        type: "rect", x0: from, x1: to, y0: 0, y1: 1, yref: "paper", layer, opacity: 0.14, fillcolor: faultColor,
        line: { color: faultColor, width: 1 },
      })),
      ...chart.marks.map(({ x }) => ({
        type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: marked, width: 1, dash: "dot" },
      })),
    ],
    annotations: chart.marks.map(({ x, label }) => ({
      x, y: 1, yref: "paper", yanchor: "top", xanchor: "left", text: label, showarrow: false,
      font: { size: 10 }, textangle: 90,
    })),
  };
}

const faultColor = "#d55e00";

// The legend of the spans and lines, and a point at the top of the beginning of each span, with the name of the fault.
function legendOf({ spans, marks }) {
  if (spans.length === 0) return [];
  const faults = {
    type: "scatter", mode: "markers", name: "fault (shaded)", x: spans.map(({ from }) => from), y: spans.map(() => 1), yaxis: "y2",
    marker: { symbol: "triangle-down", size: 9, color: faultColor }, text: spans.map(({ label }) => label),
    hovertemplate: "%{text}<extra></extra>", cliponaxis: false,
  };
  const incidents = {
    type: "scatter", mode: "lines", name: "incident (dotted)", x: [null], y: [null], line: { color: theme().modebar.color, dash: "dot", width: 1 },
  };
  return marks.length > 0 ? [faults, incidents] : [faults];
}

// The exponentially weighted mean of a line, with its gaps kept.
function smoothed(values) {
  let [mean, weight] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    mean = smoothing * mean + (1 - smoothing) * value;
    weight = smoothing * weight + (1 - smoothing);
    return mean / weight;
  });
}

// A trace with only the chosen uids, wherever the plot has them.
function selected(trace, uids) {
  if (chosen.size === 0 || uids === null) return trace;
  if (uids === "trace") return trace.meta && !chosen.has(String(trace.meta.uid)) ? { ...trace, visible: false } : trace;
  if (uids === "y") {
    const kept = (trace.y ?? []).map((uid, row) => [uid, row]).filter(([uid]) => chosen.has(uid));
    return { ...trace, y: kept.map(([uid]) => uid), z: kept.map(([, row]) => trace.z[row]) };
  }
  const at = uids === "x" ? trace.x : trace.customdata;
  if (!at) return trace;
  const kept = at.map((uid, index) => [String(uid), index]).filter(([uid]) => chosen.has(uid)).map(([, index]) => index);
  const pick = (values) => (Array.isArray(values) ? kept.map((index) => values[index]) : values);
  // A table of pairs of uids has the same uids on both axes.
  if (trace.z) return { ...trace, x: pick(trace.x), y: pick(trace.y), z: kept.map((row) => pick(trace.z[row])) };
  const picked = { ...trace, x: pick(trace.x), y: pick(trace.y), customdata: pick(trace.customdata), text: pick(trace.text) };
  if (trace.error_y) picked.error_y = { ...trace.error_y, array: pick(trace.error_y.array) };
  if (trace.marker) picked.marker = { ...trace.marker, color: pick(trace.marker.color) };
  return picked;
}

function dataOf(chart) {
  const isLine = (trace) => chart.time && trace.mode === "lines" && trace.line.width > 1;
  return chart.data
    .map((trace) => (smoothing > 0 && isLine(trace) ? { ...trace, y: smoothed(trace.y) } : trace))
    .map((trace) => selected(trace, chart.uids));
}

const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const placeOf = (name) => byId("plot-" + name);

function draw({ name, chart }, size) {
  const layout = layoutOf(chart);
  if (layout.yaxis.range && chosen.size > 0) {
    delete layout.yaxis.range;
    layout.yaxis.autorange = "reversed";
  }
  Plotly.react(placeOf(name), [...dataOf(chart), ...legendOf(chart)], { ...layout, ...size }, config);
}

// The uid of a clicked point, if the plot has uids.
function uidOf({ uids }, point) {
  // A fault is no uid.
  if (point.data.yaxis === "y2") return undefined;
  if (uids === "trace") return point.data.meta?.uid;
  if (uids === "point") return point.customdata;
  return uids === "x" ? point.x : uids === "y" ? point.y : undefined;
}

let drawn = false;
let waiting;
// Draws all plots once the input has rested for a moment.
function drawAll() {
  clearTimeout(waiting);
  waiting = setTimeout(() => { if (drawn) charts.forEach((entry) => draw(entry)); }, 120);
}

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

const pause = () => new Promise((resume) => setTimeout(resume, 0));

// The plots are drawn some frames after the page has loaded, one after the other, so that the page reacts meanwhile. A
// frame callback would never be called for a page that is printed or in the background.
async function start() {
  charts = JSON.parse(await unpacked("figures"));
  // A report of a group has no uids.
  const hasUids = document.querySelector("tr[data-uid]") !== null || charts.some(({ chart }) => chart.uids !== null);
  byId("uids").parentElement.hidden = !hasUids;
  document.querySelector(".controls").hidden = false;
  const library = document.createElement("script");
  library.textContent = await unpacked("library");
  document.head.append(library);
  for (const entry of charts) {
    draw(entry);
    placeOf(entry.name).on("plotly_click", ({ points }) => {
      const uid = uidOf(entry.chart, points[0]);
      if (uid !== undefined) toggle(String(uid));
    });
    await pause();
  }
  drawn = true;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("beforeprint", () => {
    for (const entry of charts) {
      const height = Math.min(placeOf(entry.name).clientHeight, paper.tallest);
      draw(entry, { width: paper.width, height });
    }
  });
  addEventListener("afterprint", () => drawAll());
  if (location.hash === "#png") await pictures();
  document.documentElement.dataset.plots = String(charts.length);
}

// Replaces the page by the plots as PNG, for `mirror report --png`.
async function pictures() {
  const all = [];
  for (const { name, chart } of charts) {
    const title = { text: escaped(byId(name + "-heading").textContent) };
    const margin = { l: 56, r: 16, t: 72, b: 48 };
    const layout = { ...layoutOf(chart), title, margin, paper_bgcolor: theme().plot_bgcolor };
    const figure = { data: dataOf(chart), layout, config };
    const picture = await Plotly.toImage(figure, { format: "png", width: 800, height: 450, scale: 2 });
    all.push([name, picture]);
  }
  const text = document.createElement("pre");
  text.id = "pictures";
  text.textContent = all.map(([name, picture]) => name + " " + picture).join("\n");
  document.body.replaceChildren(text);
}

tables.forEach(filterTable);
addEventListener("load", () => setTimeout(start, 50));
