// Draws the page's charts with the chart library beside this file, in the theme's ink.
(() => {
  const refuse = () => Promise.reject(new Error("A chart loads nothing: its data are in the page."));
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
  const inked = (ink) => ({
    background: null, view: { stroke: null }, text: { color: ink }, rule: { color: ink },
    axis: { labelColor: ink, titleColor: ink, domainColor: ink, tickColor: ink, gridOpacity: 0.3 },
    legend: { labelColor: ink, titleColor: ink }, header: { labelColor: ink, titleColor: ink },
    title: { color: ink, subtitleColor: ink },
  });
  async function draw(chart) {
    const spec = JSON.parse(chart.querySelector("script").textContent);
    const bound = (spec.params || []).filter((param) => param.bind).map((param) => param.name);
    const kept = bound.map((name) => [name, chart.drawn?.view.signal(name)]);  // sliders stay put
    chart.drawn?.finalize();
    chart.dataset.state = "drawing";
    try {
      const config = inked(getComputedStyle(chart).color);
      const options = { actions: false, config, defaultStyle: false, loader, renderer: "svg" };
      chart.drawn = await vegaEmbed(chart.querySelector(".iaca-chart-view"), spec, options);
      kept.filter(([, value]) => value !== undefined).forEach((pair) => chart.drawn.view.signal(...pair));
      await chart.drawn.view.runAsync();
      chart.dataset.state = "drawn";
    } catch (error) {
      chart.dataset.state = "error";
      chart.querySelector(".iaca-chart-view").textContent = `This chart could not be drawn: ${error.message}`;
    }
  }
  let last = Promise.resolve();
  const drawAll = () => (last = last.then(() => Promise.all([...document.querySelectorAll(".iaca-chart")].map(draw))));
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  drawAll();
})();
