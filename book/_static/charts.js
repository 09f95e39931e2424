// Draws the page's charts with the chart library beside this file.
(() => {
  const refuse = () => Promise.reject(new Error("A chart loads nothing: its data are in the page."));
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
  async function draw(chart) {
    const view = chart.querySelector(".iaca-chart-view");
    try {
      const spec = JSON.parse(chart.querySelector("script").textContent);
      await vegaEmbed(view, spec, { actions: false, defaultStyle: false, loader, mode: "vega", renderer: "svg" });
      chart.dataset.state = "drawn";
    } catch (error) {
      chart.dataset.state = "error";
      view.textContent = `This chart could not be drawn: ${error.message}`;
    }
  }
  document.querySelectorAll(".iaca-chart").forEach(draw);
})();
