// Auxiliary memory: beta^n, half-life, and measured accuracies where there are records.

const BETAS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9995, 1];
const STEPS = [...Array.from({ length: 101 }, (_, i) => i), 150, 200, 250, 300, 400, 500, 700, 1000, 1500, 2000, 2700, 3000];

/** Share of its own start that the auxiliary keeps after n steps (equation 7 applied n times). */
const remaining = (beta, n) => (n === 0 ? 1 : beta ** n);
/** Steps until this share is left; 0 at beta 0, infinite at beta 1. */
const stepsUntil = (share, beta) => (beta === 0 ? 0 : beta === 1 ? Infinity : Math.log(share) / Math.log(beta));

const FIRST = 100; // steps: where the start fades, and where a run spends little of its time

const inPercent = (v) => (v === 0 ? "nothing" : v < 0.001 ? "less than 0.1%" : `${(100 * v).toFixed(1)}%`);
const ordered = (values) => [...new Set(values)].sort((a, b) => a - b);

function render({ model, el }) {
  const measured = model.get("measured");
  let beta = model.get("beta"), step = model.get("step"), whole = false;
  // The start values come from Python; where they lie between the slider's steps, the slider gets one more.
  const betas = ordered([...BETAS, ...measured.map((m) => m.beta), beta]), steps = ordered([...STEPS, step]);
  const summary = h("p", { class: "dmws-memory-words", "aria-live": "polite" });
  const numbers = { share: number("share", 4), half: number("half-life", 1), rare: number("one-percent", 1), main: number("main-end", 3), aux: number("aux-end", 3), first: number("share-first", 4) };
  for (const one of Object.values(numbers)) one.node.setAttribute("aria-live", "off"); // the sentence is read out, not each number
  const found = () => measured.find((m) => m.beta === beta);
  const span = () => Math.max(step, beta < 0.95 ? 100 : beta < 0.995 ? 500 : 3000);
  const shareCurve = (a, last) => path(Array.from({ length: 201 }, (_, i) => (last * i) / 200).map((n) => [a.px(n), a.py(remaining(beta, n))]));
  const square = (x, y, r) => ({ x: x - r, y: y - r, width: 2 * r, height: 2 * r });

  const curve = picture("", 250, (svg, width, height) => {
    const last = span(), half = stepsUntil(0.5, beta);
    const a = axes(svg, width, height, { min: 0, max: last, label: "optimiser steps n" }, { min: 0, max: 1, label: "share left, βⁿ" });
    if (half > 0 && half <= last) {
      svg.append(s("path", { d: path([[a.x0, a.py(0.5)], [a.px(half), a.py(0.5)], [a.px(half), a.y0]]), fill: "none", stroke: "var(--dmws-text)", "stroke-dasharray": "2 4", "data-mark": "half" }));
      const right = a.px(half) > (a.x0 + a.x1) / 2;
      svg.append(s("text", { class: "dmws-tick", x: a.px(half) + (right ? -6 : 6), y: a.py(0.5) - 6, "text-anchor": right ? "end" : "start" }, "half"));
    }
    svg.append(s("path", { d: shareCurve(a, last), fill: "none", stroke: "var(--dmws-aux)", "stroke-width": 2.5, "data-curve": "share" }));
    svg.append(s("line", { x1: a.px(step), x2: a.px(step), y1: a.y0, y2: a.py(remaining(beta, step)), stroke: "var(--dmws-quiet)", "stroke-dasharray": "4 3" }));
    svg.append(s("circle", { cx: a.px(step), cy: a.py(remaining(beta, step)), r: 6, fill: "var(--dmws-aux)", stroke: "var(--dmws-back)", "stroke-width": 1.5, "data-mark": "step" }));
  });

  const chart = picture("", 250, (svg, width, height) => {
    const here = found();
    if (!here) {
      svg.append(s("rect", { x: 1, y: 8, width: width - 2, height: height - 16, rx: 6, fill: "var(--dmws-soft)" }));
      svg.append(s("text", { class: "dmws-label", x: width / 2, y: height / 2, "text-anchor": "middle" }, `beta = ${beta}: not measured`));
      return;
    }
    const last = whole ? Math.max(...here.steps) : Math.min(FIRST, Math.max(...here.steps));
    const within = here.steps.filter((n) => n <= last);
    const a = axes(svg, width, height, { min: 0, max: last, label: "optimiser steps" }, { min: 0, max: 1, label: "test accuracy; share left" });
    svg.append(s("path", { d: shareCurve(a, last), fill: "none", stroke: "var(--dmws-quiet)", "stroke-width": 1.5, "stroke-dasharray": "2 3", "data-curve": "share-beside" }));
    if (step <= last) svg.append(s("line", { x1: a.px(step), x2: a.px(step), y1: a.y0, y2: a.y1, stroke: "var(--dmws-quiet)", "stroke-dasharray": "4 3" }));
    for (const [who, dash] of [["main", null], ["aux", "7 5"]]) {
      const colour = `var(--dmws-${who})`;
      for (const row of here[who]) {
        row.forEach((v, i) => {
          if (here.steps[i] > last) return;
          const [x, y] = [a.px(here.steps[i]), a.py(v)];
          svg.append(who === "main" ? s("circle", { cx: x, cy: y, r: 3, fill: colour, opacity: 0.6 }) : s("rect", { ...square(x, y, 3), fill: colour, opacity: 0.6 }));
        });
      }
      const means = within.map((n, i) => [a.px(n), a.py(mean(here[who], i))]);
      svg.append(s("path", { d: path(means), fill: "none", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash, "data-curve": who }));
    }
  });
  const mean = (rows, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length;
  const end = (who) => mean(found()[who], found()[who][0].length - 1);

  /** What the auxiliary can do by the time that its start is gone: the answer to the question in the title. */
  const whenRare = (here) => {
    const rare = stepsUntil(0.01, beta), i = here.steps.findIndex((n) => n >= rare);
    return i < 0 ? "" : `At the first measurement with 1% or less left, after ${here.steps[i]} steps, the auxiliary has an accuracy of ${mean(here.aux, i).toFixed(3)}. `;
  };

  const runs = h("div", { class: "dmws-facts", "data-name": "runs" },
    h("span", {}, "main at the end: ", numbers.main.node), h("span", {}, "auxiliary at the end: ", numbers.aux.node),
    h("span", {}, "share left when first measured: ", numbers.first.node));
  const jumps = measured.map((m) => h("button", { type: "button", "data-name": `measured-${m.beta}`, onclick: () => { betaSlider.put(m.beta); chosen(m.beta); } }, String(m.beta)));

  const update = () => {
    const half = stepsUntil(0.5, beta), here = found();
    const now = [["share", remaining(beta, step)], ["half", half], ["rare", stepsUntil(0.01, beta)]];
    if (here) now.push(["main", end("main")], ["aux", end("aux")], ["first", remaining(beta, here.steps[0])]);
    for (const [name, v] of now) {
      numbers[name].put(v);
      if (v === Infinity) numbers[name].node.textContent = "∞";
    }
    runs.hidden = !here;
    const kept = beta === 1 ? "At beta 1 the auxiliary is never updated: all of its own start is left."
      : beta === 0 ? "At beta 0 main is copied over the auxiliary at every step: nothing of its own start is left after the first."
        : `At beta ${beta}, ${inPercent(remaining(beta, step))} of its own start is left after ${step} steps; it has halved after ${half.toFixed(1)} steps.`;
    const known = measured.length ? `measured values: ${measured.map((m) => m.beta).join(", ")}` : "there are no records";
    const runWords = here
      ? `${whenRare(here)}Measured (${here.main.length} ${here.main.length === 1 ? "seed" : "seeds"}): final accuracy of main ${end("main").toFixed(3)}, of the auxiliary ${end("aux").toFixed(3)}. At the first measurement, after ${here.steps[0]} steps, ${inPercent(remaining(beta, here.steps[0]))} of the start was left.`
      : `No run was made at beta ${beta}; ${known}.`;
    summary.textContent = `${kept} ${runWords}`;
    curve.name(`Share of its own start that the auxiliary has left, over optimiser steps. ${kept}`);
    chart.name(`Test accuracy of main and auxiliary over optimiser steps. ${runWords}`);
    jumps.forEach((node, i) => node.setAttribute("aria-pressed", String(measured[i].beta === beta)));
    curve.redraw();
    chart.redraw();
  };
  const chosen = (v) => { beta = v; keep(model, "beta", v); update(); };
  const betaSlider = slider({ name: "beta", label: "beta (β)", value: beta, choices: betas, onchange: chosen });
  const stepSlider = slider({ name: "step", label: "steps n", value: step, choices: steps, onchange: (v) => { step = v; keep(model, "step", v); update(); } });
  const range = toggle({ name: "whole", label: "show the whole run, not its first 100 steps", value: whole, onchange: (v) => { whole = v; update(); } });
  const key = (word, look) => h("span", { class: "dmws-key" }, h("span", { class: `dmws-memory-line ${look}` }), word);
  const panel = (title, ...parts) => h("div", { class: "dmws-memory-panel" }, h("div", { class: "dmws-memory-name" }, title), parts);

  frame(el, "auxiliary-memory", model.get("title"),
    h("div", { class: "dmws-row" }, betaSlider.node, stepSlider.node),
    measured.length ? h("div", { class: "dmws-row dmws-memory-jumps", role: "group", "aria-label": "Values of beta that were measured" }, h("span", {}, "measured at β ="), jumps) : null,
    h("div", { class: "dmws-facts" },
      h("span", {}, "left of its start, βⁿ: ", numbers.share.node),
      h("span", {}, "half left after: ", numbers.half.node, " steps"),
      h("span", {}, "1% left after: ", numbers.rare.node, " steps")),
    h("div", { class: "dmws-memory-grid" },
      panel("Arithmetic: what is left of the start", curve.node),
      panel("Measured: accuracy while it fades", chart.node, range.node,
        h("div", { class: "dmws-facts" }, key("main", "dmws-memory-main"), key("auxiliary", "dmws-memory-aux"), key("share left", "dmws-memory-share")))),
    runs, summary, h("p", { class: "dmws-quiet" }, `Records: ${model.get("source")}. Dots are single seeds, lines their mean.`));
  update();
  return () => { curve.stop(); chart.stop(); };
}
export default { render };
