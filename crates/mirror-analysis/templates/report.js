"use strict";

// Tables: the button in a heading sorts by its column: numbers in descending order first,
// text in ascending order first. Empty cells are always last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const numbers = heading.classList.contains("number");
    const compare = (one, other) => (numbers ? one - other : one.localeCompare(other));
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

// Plots: drawn after the page has been rendered, in the colours of the page, which change with the colour scheme and in
// print.
const charts = JSON.parse(document.getElementById("figures").textContent);
const paperWidth = 690;

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
  return {
    ...chart.layout,
    ...layout,
    shapes: chart.marks.map(({ x }) => ({
      type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: theme().modebar.color, width: 1, dash: "dot" },
    })),
    annotations: chart.marks.map(({ x, label }) => ({
      x, y: 1, yref: "paper", yanchor: "top", xanchor: "left", text: label, showarrow: false, font: { size: 10 }, textangle: 90,
    })),
    xaxis: { ...chart.layout.xaxis, ...axis },
    yaxis: { ...chart.layout.yaxis, ...axis },
    margin: { l: 56, r: 16, t: 28, b: 48 },
    legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom" },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
}

const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const placeOf = (name) => document.getElementById("plot-" + name);

function drawAll(width) {
  for (const { name, chart } of charts) {
    Plotly.react(placeOf(name), chart.data, { ...layoutOf(chart), width }, config);
  }
}

// The plots are drawn some frames after the page has loaded. A frame callback would never be called for a page that is
// printed or in the background.
addEventListener("load", () => setTimeout(() => {
  const library = document.createElement("script");
  library.textContent = document.getElementById("library").textContent;
  document.head.append(library);
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("beforeprint", () => drawAll(paperWidth));
  addEventListener("afterprint", () => drawAll());
  document.documentElement.dataset.plots = String(charts.length);
}, 50));
