// The curves of the training playground: the run that is training, and the pinned ones. The kernel sends, this draws.

/** The lines of a chart: main full, auxiliary dashed. */
const STUDENTS = [["main", null], ["aux", "7 5"]];
const PIN_COLOURS = { A: "main", B: "aux", C: "both", D: "good" };

/** Draw one line with its dots; `key` names it for tests. */
function line(svg, a, points, colour, dash, key, wide = 2.5) {
  if (!points || !points.length) return;
  const at = points.map(([step, v]) => [a.px(step), a.py(v)]);
  svg.append(s("path", { d: path(at), fill: "none", stroke: `var(--dmws-${colour})`, "stroke-width": wide, "stroke-dasharray": dash, "data-curve": key, "data-points": points.length }));
  for (const [x, y] of at) if (at.length < 40) svg.append(s("circle", { cx: x, cy: y, r: wide, fill: `var(--dmws-${colour})` }));
}

/** The highest of some points, at least 0.1, with room above. */
const top = (lists) => 1.05 * Math.max(0.1, ...lists.flat().map(([, v]) => v));
const lastOf = (points) => (points && points.length ? points[points.length - 1][1] : NaN);

function render({ model, el }) {
  const shown = { main: number("main-accuracy"), aux: number("aux-accuracy"), step: number("step", 0), left: number("remaining", 4) };
  const status = h("p", { class: "dmws-quiet", "aria-live": "polite", "data-name": "status" });
  const steps = (run) => ({ min: 0, max: run.steps || 80, label: "optimiser steps" });
  const share = { min: 0, max: 1, label: "test accuracy" };

  const accuracy = picture("", 220, (svg, width, height) => {
    const run = model.get("run");
    const a = axes(svg, width, height, steps(run), share);
    for (const [who, dash] of STUDENTS) line(svg, a, run[`${who}_accuracy`], who, dash, `${who}-accuracy`);
  });
  const loss = picture("", 220, (svg, width, height) => {
    const run = model.get("run");
    const lists = ["loss", "test_loss", "aux_test_loss"].map((name) => run[name] || []);
    const a = axes(svg, width, height, steps(run), { min: 0, max: top(lists), label: "loss (nats)" });
    line(svg, a, run.loss, "quiet", "2 3", "loss", 1.5);
    const tested = { main: run.test_loss, aux: run.aux_test_loss };
    for (const [who, dash] of STUDENTS) line(svg, a, tested[who], who, dash, `${who}-loss`);
  });
  const pins = picture("", 240, (svg, width, height) => {
    const pinned = model.get("pinned");
    const last = { steps: Math.max(...pinned.map((run) => run.loss[run.loss.length - 1][0])) };
    const a = axes(svg, width, height, steps(last), share, { left: 52, right: 26, top: 12, bottom: 42 });
    // Letters stand beside the ends of main's lines, apart from each other where lines end together.
    let free = Infinity;
    const ends = pinned.map((run) => ({ run, y: a.py(lastOf(run.main_accuracy)) })).sort((x, y) => y.y - x.y);
    for (const { run, y } of ends) {
      const colour = PIN_COLOURS[run.name];
      for (const [who, dash] of STUDENTS) line(svg, a, run[`${who}_accuracy`], colour, dash, `${run.name}-${who}`, 2);
      free = Math.min(y + 4, free - 14);
      const x = a.px(run.main_accuracy[run.main_accuracy.length - 1][0]) + 8;
      svg.append(s("text", { x, y: free, fill: `var(--dmws-${colour})`, "font-size": 14, "font-weight": 700 }, run.name));
    }
  });

  const swatch = (who, dash) => s("svg", { width: 30, height: 10, "aria-hidden": "true" },
    s("line", { x1: 0, x2: 30, y1: 5, y2: 5, stroke: `var(--dmws-${who})`, "stroke-width": 3, "stroke-dasharray": dash }));
  const key = (word, who, dash) => h("span", { class: "dmws-key" }, swatch(who, dash), word);
  const compared = h("div", {}, h("div", { class: "dmws-title" }, "Pinned runs"),
    h("div", { class: "dmws-facts dmws-quiet" }, "main: full lines; auxiliary: dashed"), pins.node);

  const update = () => {
    const run = model.get("run"), pinned = model.get("pinned");
    shown.main.put(lastOf(run.main_accuracy));
    shown.aux.put(lastOf(run.aux_accuracy));
    shown.left.put(lastOf(run.remaining));
    const count = (run.loss || []).length;
    shown.step.put(count ? run.loss[count - 1][0] : 0);
    const say = (v) => (Number.isFinite(v) ? v.toFixed(2) : "none");
    const ends = (column) => `main ${say(lastOf(run[`main_${column}`]))}, auxiliary ${say(lastOf(run[`aux_${column}`]))}`;
    accuracy.name(`Accuracy on the test images over optimiser steps; last: ${ends("accuracy")}.`);
    loss.name(`Loss over optimiser steps; last cross-entropy on the test images: ${ends("loss")}; equation 5 on the training images: ${say(lastOf(run.loss))}.`);
    compared.hidden = !pinned.length;
    pins.name(`Accuracy of the pinned runs; at the end, main: ${pinned.map((p) => `${p.name} ${say(lastOf(p.main_accuracy))}`).join(", ")}.`);
    accuracy.redraw();
    loss.redraw();
    if (pinned.length) pins.redraw();
  };
  const tell = () => { status.textContent = model.get("status"); };

  frame(el, "training-playground", model.get("title"), status,
    h("div", { class: "dmws-facts" },
      h("span", {}, "step ", shown.step.node),
      h("span", {}, "accuracy of main ", shown.main.node),
      h("span", {}, "of the auxiliary ", shown.aux.node),
      h("span", {}, "left of the auxiliary's start, βⁿ: ", shown.left.node)),
    h("div", { class: "dmws-facts" }, key("main", "main"), key("auxiliary", "aux", "7 5"),
      key("loss of main while training (equation 5)", "quiet", "2 3")),
    h("div", { class: "dmws-pair" }, accuracy.node, loss.node), compared);
  model.on("change:run", update);
  model.on("change:pinned", update);
  model.on("change:status", tell);
  tell();
  update();
  return () => {
    model.off("change:run", update);
    model.off("change:pinned", update);
    model.off("change:status", tell);
    for (const each of [accuracy, loss, pins]) each.stop();
  };
}
export default { render };
