// Draws a chart as bars beside their numbers, whatever its type, so that each value can be read.

import { h } from "../dom.js";

export function chart(block) {
  const drawn = block.chart;
  const series = drawn.type === "pie" ? [{ name: block.title, data: drawn.segments }] : drawn.series;
  const categories = drawn.axis_config?.categories ?? drawn.segments.map((segment) => segment.label);
  const most = Math.max(1, ...series.flatMap((one) => one.data.map((point) => point.value)));
  return h(
    "figure",
    { class: "block-chart", "aria-label": block.title },
    h("figcaption", null, block.title),
    series.length > 1 && h("div", { class: "chart-legend" }, series.map((one, number) => h("span", { class: `chart-name series-${number}` }, one.name))),
    categories.map((category) =>
      h(
        "div",
        { class: "chart-row" },
        h("span", { class: "chart-label" }, category),
        h("div", { class: "chart-bars" }, series.map((one, number) => bar(one, category, number, most))),
      ),
    ),
  );
}

function bar(series, category, number, most) {
  const value = series.data.find((point) => point.label === category)?.value ?? 0;
  const filled = h("span", { class: `chart-bar series-${number}` });
  filled.style.inlineSize = `${(100 * Math.max(value, 0)) / most}%`;
  return h("div", { class: "chart-value", title: `${series.name}: ${value}` }, filled, h("span", null, value.toLocaleString("en")));
}
