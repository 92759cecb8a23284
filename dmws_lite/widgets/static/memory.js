// Auxiliary memory: beta^n, half-life, and measured accuracies where there are records.

const BETAS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9995, 1];

const STEPS = [...Array.from({ length: 101 }, (_, i) => i), ...[150, 200, 250, 300, 400, 500, 700, 1000, 1500, 2000, 2700, 3000]];

/** Share of its own start that the auxiliary keeps after n steps (equation 7 applied n times). */
const remaining = (beta, n) => (n === 0 ? 1 : beta ** n);
/** Steps until half is left; 0 at beta 0, infinite at beta 1. */
const halfLife = (beta) => (beta === 0 ? 0 : beta === 1 ? Infinity : Math.log(0.5) / Math.log(beta));

function render({ model, el }) {
  const measured = model.get("measured");
  const all = [...new Set([...BETAS, ...measured.map((m) => m.beta)])].sort((a, b) => a - b);
  let beta = model.get("beta"), step = model.get("step");
  const share = number("share", 4), half = number("half-life", 1), told = h("p", { class: "dmws-quiet", "aria-live": "polite" });
  const span = () => Math.max(step, beta < 0.95 ? 100 : beta < 0.995 ? 500 : 3000);

  const curve = picture("", 230, (svg, width, height) => {
    const last = span();
    const a = axes(svg, width, height, { min: 0, max: last, label: "optimiser steps n" },
      { min: 0, max: 1, label: "share left" });
    const points = Array.from({ length: 201 }, (_, i) => (last * i) / 200).map((n) => [a.px(n), a.py(remaining(beta, n))]);
    svg.append(s("path", { d: path(points), fill: "none", stroke: "var(--dmws-aux)", "stroke-width": 2.5, "data-curve": "share" }));
    svg.append(s("line", { x1: a.px(step), x2: a.px(step), y1: a.y0, y2: a.py(remaining(beta, step)), stroke: "var(--dmws-quiet)", "stroke-dasharray": "4 3" }));
    svg.append(s("circle", { cx: a.px(step), cy: a.py(remaining(beta, step)), r: 6, fill: "var(--dmws-aux)", "data-mark": "step" }));
  });

  const chart = picture("", 250, (svg, width, height) => {
    const found = measured.find((m) => m.beta === beta);
    if (!found) {
      svg.append(s("text", { class: "dmws-label", x: width / 2, y: height / 2, "text-anchor": "middle" },
        `beta = ${beta}: not measured`));
      return;
    }
    const steps = found.steps;
    const a = axes(svg, width, height, { min: 0, max: Math.max(...steps), label: "optimiser steps" },
      { min: 0, max: 1, label: "test accuracy" });
    const mean = (rows, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length;
    for (const [who, dash] of [["main", null], ["aux", "6 4"]]) {
      const colour = `var(--dmws-${who})`;
      for (const row of found[who]) row.forEach((v, i) => svg.append(s("circle", { cx: a.px(steps[i]), cy: a.py(v), r: 2.5, fill: colour, opacity: 0.55 })));
      svg.append(s("path", { d: path(steps.map((n, i) => [a.px(n), a.py(mean(found[who], i))])), fill: "none", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash, "data-curve": who }));
    }
  });

  const update = () => {
    share.put(remaining(beta, step));
    half.put(halfLife(beta));
    curve.name(`Share of its start that the auxiliary keeps at beta ${beta}: ${remaining(beta, step).toFixed(3)} after ${step} steps.`);
    const found = measured.find((m) => m.beta === beta);
    const end = (who) => (found[who].reduce((sum, row) => sum + row[row.length - 1], 0) / found[who].length).toFixed(3);
    const words = found
      ? `Measured at beta ${beta}, ${found.main.length} seeds: at the end main ${end("main")}, auxiliary ${end("aux")}.`
      : `No run was made at beta ${beta}; measured are ${measured.map((m) => m.beta).join(", ")}.`;
    told.textContent = words;
    chart.name(words);
    curve.redraw();
    chart.redraw();
  };
  const betaSlider = slider({ name: "beta", label: "beta (β)", value: beta, choices: all, onchange: (v) => { beta = v; keep(model, "beta", v); update(); } });
  const stepSlider = slider({ name: "step", label: "steps n", value: step, choices: STEPS, onchange: (v) => { step = v; keep(model, "step", v); update(); } });
  const key = (word, who) => h("span", { class: "dmws-key" }, h("span", { class: "dmws-swatch", style: `background:var(--dmws-${who})` }), word);

  frame(el, "auxiliary-memory", model.get("title"),
    h("div", { class: "dmws-row" }, betaSlider.node, stepSlider.node),
    h("div", { class: "dmws-facts" },
      h("span", {}, "left of its start, βⁿ: ", share.node),
      h("span", {}, "half-life: ", half.node, " steps")),
    curve.node,
    h("div", { class: "dmws-facts" }, key("main", "main"), key("auxiliary (dashed)", "aux"), h("span", { class: "dmws-quiet" }, model.get("source"))),
    chart.node, told);
  update();
  return () => { curve.stop(); chart.stop(); };
}
export default { render };
