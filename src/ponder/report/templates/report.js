"use strict";
// The page is complete without this: each chart is already there as SVG. Here it becomes one that
// answers to the pointer. Expressions run in Vega's interpreter, so the page's policy can forbid eval.
const charts = JSON.parse(document.getElementById("charts").textContent);
for (const holder of document.querySelectorAll(".chart")) {
  const live = document.createElement("div");
  vegaEmbed(live, charts[holder.dataset.chart], {
    mode: "vega", renderer: "svg", ast: true, actions: false, defaultStyle: false, tooltip: false,
  }).then((result) => {
    const svg = live.querySelector("svg");
    // Let the layout set the size, as it does for the SVG that was there.
    svg.removeAttribute("width");
    svg.removeAttribute("height");
    svg.style.removeProperty("width");
    svg.style.removeProperty("height");
    holder.replaceChildren(live);
    holder.dataset.live = "true";
  }).catch((error) => console.error("The chart stays as it is:", error));
}
