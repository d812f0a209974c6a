// Charts: the specs of this page are drawn by the chart program, which is loaded here and nowhere
// else.  Colours are variables of the page's styles, so that a change of theme needs no new drawing.
//
// Without these options the program would put styles into the page, and make functions of texts.
const OPTIONS = { ast: true, renderer: "svg", actions: false, tooltip: false, defaultStyle: false };
const drawn = new WeakMap();

function load(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.vegaEmbed);
    script.onerror = () => reject(new Error("the chart program could not be loaded"));
    document.head.append(script);
  });
}

function fail(figure) {
  figure.querySelector("[data-chart-problem]").hidden = false;
  figure.querySelector("[data-chart-view]").replaceChildren();
  figure.querySelector("details").open = true;
  figure.dataset.chart = "failed";
}

async function draw(figure, embed) {
  const text = figure.querySelector("[data-chart-spec]").textContent;
  const before = drawn.get(figure);
  if (before?.text === text) return;
  drawn.set(figure, { text, view: before?.view });
  try {
    const { view } = await embed(figure.querySelector("[data-chart-view]"), JSON.parse(text), OPTIONS);
    before?.view?.finalize();
    drawn.set(figure, { text, view });
    figure.dataset.chart = "drawn";
  } catch {
    fail(figure);
  }
}

export async function startCharts(url) {
  const figures = () => document.querySelectorAll("[data-chart]");
  let embed;
  try {
    embed = await load(url);
  } catch {
    for (const figure of figures()) fail(figure);
    return;
  }
  const drawAll = () => { for (const figure of figures()) draw(figure, embed); };
  document.addEventListener("section-changed", drawAll);
  drawAll();
}
