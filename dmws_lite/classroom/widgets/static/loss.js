// Loss playground: logits to drag, equations 1 to 5, and the gradient on main's logits.

/** log softmax(z / tau); the largest logit is taken out first, so that exp never overflows. */
function logSoftmax(logits, tau) {
  const scaled = logits.map((z) => z / tau), top = Math.max(...scaled);
  const rest = Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - top), 0));
  return scaled.map((z) => z - top - rest);
}
const sum = (values) => values.reduce((a, b) => a + b, 0);

/** Equations 1 to 5 and the gradient, as skd_loss in dmws_lite/distill.py: KL from the auxiliary to main, cross-entropy at temperature 1. */
function lossTerms({ main, aux, target, alpha, tau, scaled }) {
  const factor = scaled ? tau ** 2 : 1;
  const logMain = logSoftmax(main, tau), logAux = logSoftmax(aux, tau), logPlain = logSoftmax(main, 1);
  const [pMain, pAux, pPlain] = [logMain, logAux, logPlain].map((logs) => logs.map(Math.exp));
  const kdTerms = pAux.map((q, k) => q * (logAux[k] - logMain[k]));
  // A sum of rounded terms can fall a hair below 0, which the divergence never is.
  const ce = -logPlain[target], kd = Math.max(0, sum(kdTerms));
  const gradCe = pPlain.map((p, k) => alpha * (p - (k === target ? 1 : 0)));
  const gradKd = pMain.map((p, k) => (1 - alpha) * (factor / tau) * (p - pAux[k]));
  return {
    pMain, pAux, pPlain, kdTerms, ce, kd, partCe: alpha * ce, partKd: (1 - alpha) * factor * kd,
    loss: alpha * ce + (1 - alpha) * factor * kd, factor, gradCe, gradKd, grad: gradCe.map((g, k) => g + gradKd[k]),
  };
}

/** A number in words or in a picture: digits, a true minus sign, no minus before zero. */
const digits = (v, n) => v.toFixed(n).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
const signed = (v, n) => (Number(v.toFixed(n)) > 0 ? "+" : "") + digits(v, n);

/** A number inside an SVG, readable by a test like those of number(). */
function drawnNumber(name, n) {
  const node = s("text", { class: "dmws-tick dmws-loss-value", "data-name": name, "text-anchor": "end" });
  const put = (v) => { node.setAttribute("data-number", String(v)); node.textContent = digits(v, n); };
  return { node, put };
}

/** "p_k^S" as text with lowered and raised letters; _{ab} and ^{ab} for more than one. */
function formula(text) {
  const parts = text.split(/([_^](?:\{[^}]*\}|[^\s{}]′?))/);
  return parts.map((part) => {
    if (!/^[_^]./.test(part)) return part;
    return h(part[0] === "_" ? "sub" : "sup", {}, part.slice(1).replace(/[{}]/g, ""));
  });
}

const ROW = 22, HANDLE_ROW = 33, HEAD = 20, FOOT = 40;
// On a phone the handles and what they change are to be seen together, so rows are lower there.
const NARROW = 420, LOW_ROW = 15, LOW_HANDLE_ROW = 26, LOW_HEAD = 16;

/** Horizontal bars, a group per class, a row per series. Elements stay, so that a handle keeps focus while it moves.
 *  series: [{ key, word, colour, square?, outline?, drag? }], span() gives the ends of the axis. */
function bars({ label, axis, classes, series, row, places, span, mark }) {
  const wideRow = row;
  let headRow = HEAD;
  const fit = (w) => {
    const low = w < NARROW;
    [row, headRow] = low ? [wideRow === HANDLE_ROW ? LOW_HANDLE_ROW : LOW_ROW, LOW_HEAD] : [wideRow, HEAD];
    return classes.length * (headRow + series.length * row + (low ? 3 : 6)) + FOOT;
  };
  const rects = series.map((one) => classes.map(() => s("rect", {
    height: Math.min(16, row - 8), rx: 1.5, "data-bar": one.key,
    fill: one.outline ? "none" : one.colour, stroke: one.colour, "stroke-width": one.outline ? 1.5 : 0,
  })));
  const numbers = series.map((one) => classes.map((_, k) => drawnNumber(`drawn-${one.key}-${k}`, places)));
  const heads = classes.map(() => s("text", { class: "dmws-label" }));
  let scale = null, values = null, width = 0, shownSpan = "";

  const drawn = picture(label, fit, (svg, w) => {
    const tall = fit(w), step = headRow + series.length * row + (w < NARROW ? 3 : 6), thick = Math.min(16, Math.max(9, row - 8));
    width = w;
    const focus = svg.getRootNode().activeElement;
    const [low, high] = span(values);
    shownSpan = `${low} ${high}`;
    scale = axes(svg, w, tall, { min: low, max: high, label: axis, ticks: [0, 1, 2, 3, 4].map((i) => low + (i * (high - low)) / 4), format: (v) => String(Number(v.toPrecision(6))).replace("-", "−") },
      { min: 0, max: 1, ticks: [], label: "" }, { left: 62, right: 56, top: headRow, bottom: FOOT });
    svg.append(s("line", { x1: scale.px(0), x2: scale.px(0), y1: headRow, y2: tall - FOOT, stroke: "var(--dmws-text)", "stroke-width": 1.2 }));
    classes.forEach((_, k) => {
      const top = k * step;
      const head = heads[k];
      head.setAttribute("x", 2);
      head.setAttribute("y", top + headRow - 5);
      svg.append(head);
      series.forEach((one, i) => {
        const middle = top + headRow + row * (i + 0.5);
        svg.append(s("text", { class: "dmws-tick", x: 56, y: middle + 4, "text-anchor": "end" }, one.word));
        if (one.drag) svg.append(one.drag.track(k, middle, scale, row));
        rects[i][k].setAttribute("y", middle - thick / 2);
        rects[i][k].setAttribute("height", thick);
        svg.append(rects[i][k]);
        numbers[i][k].node.setAttribute("x", w - 4);
        numbers[i][k].node.setAttribute("y", middle + 4);
        svg.append(numbers[i][k].node);
        if (one.drag) svg.append(one.drag.handle(k, middle, scale));
      });
    });
    if (focus && svg.contains(focus)) focus.focus();
    place();
  });
  const place = () => {
    if (!scale) return;
    const zero = scale.px(0);
    series.forEach((one, i) => classes.forEach((_, k) => {
      const v = values[one.key][k], x = scale.px(v);
      rects[i][k].setAttribute("x", Math.min(zero, x).toFixed(2));
      rects[i][k].setAttribute("width", Math.abs(x - zero).toFixed(2));
      numbers[i][k].put(v);
      if (one.drag) one.drag.place(k, v);
    }));
    heads.forEach((head, k) => { head.textContent = mark(k) ? `${classes[k]} ✓ true class` : classes[k]; head.setAttribute("font-weight", mark(k) ? 700 : 400); });
  };
  /** New values; the axis is drawn anew only where its ends changed. */
  const put = (found) => {
    values = found;
    if (scale && shownSpan !== span(values).join(" ")) drawn.redraw(); else place();
  };
  return { ...drawn, put, width: () => width };
}

/** Handles on the bars of one student: pointer, touch and keys; `change(k, value, done)` is told. */
function handles({ who, word, classes, limit, square, change }) {
  const step = limit / 60, page = limit / 6;
  const snap = (v) => Math.min(limit, Math.max(-limit, Number((Math.round(v / step) * step).toFixed(6))));
  const now = classes.map(() => 0);
  let scale = null, grip = null;
  const valueAt = (node, clientX) => {
    const box = node.ownerSVGElement.getBoundingClientRect();
    const x = ((clientX - box.left) * node.ownerSVGElement.viewBox.baseVal.width) / box.width;
    return ((x - scale.x0) / (scale.x1 - scale.x0)) * 2 * limit - limit;
  };
  const KEYS = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step, PageUp: page, PageDown: -page };
  const nodes = classes.map((name, k) => s("g", {
    class: "dmws-loss-handle", role: "slider", tabindex: 0, "data-name": `${who}-${k}`,
    "aria-label": `${word}, logit of ${name}`, "aria-orientation": "horizontal", "aria-valuemin": -limit, "aria-valuemax": limit,
    onkeydown: (event) => {
      const to = event.key === "Home" ? -limit : event.key === "End" ? limit : event.key in KEYS ? now[k] + KEYS[event.key] : null;
      if (to === null || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      change(k, snap(to), true);
    },
    onpointerdown: (event) => {
      if (event.button) return;
      event.preventDefault();
      nodes[k].focus({ focusVisible: false });
      nodes[k].setPointerCapture(event.pointerId);
      grip = { k, id: event.pointerId, off: valueAt(nodes[k], event.clientX) - now[k] };
    },
    onpointermove: (event) => {
      if (grip && grip.id === event.pointerId) change(k, snap(valueAt(nodes[k], event.clientX) - grip.off), false);
    },
    onlostpointercapture: () => { if (grip) { const held = grip.k; grip = null; change(held, now[held], true); } },
  },
  s("rect", { class: "dmws-loss-reach", x: -17, y: -13, width: 34, height: 26, fill: "transparent" }),
  square ? s("rect", { class: "dmws-loss-knob", x: -8, y: -8, width: 16, height: 16, rx: 2 }) : s("circle", { class: "dmws-loss-knob", r: 9 })));
  return {
    track: (k, middle, s_, row) => s("rect", {
      x: s_.x0, y: middle - row / 2, width: s_.x1 - s_.x0, height: row, fill: "transparent",
      onclick: (event) => change(k, snap(valueAt(nodes[k], event.clientX)), true),
    }),
    handle: (k, middle, to) => { scale = to; nodes[k].dataset.middle = middle; return nodes[k]; },
    place: (k, v) => {
      now[k] = v;
      nodes[k].setAttribute("transform", `translate(${scale.px(v).toFixed(2)} ${nodes[k].dataset.middle})`);
      nodes[k].setAttribute("aria-valuenow", String(v));
      nodes[k].setAttribute("aria-valuetext", digits(v, 1));
    },
  };
}

/** The smallest round axis that holds all values, the same to both sides. */
function evenSpan(lists) {
  const most = Math.max(...lists.flat().map(Math.abs), 0.1);
  const end = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((v) => v >= most - 1e-12) || most;
  return [-end, end];
}

/** What drives the gradient, in one or two sentences. */
function inWords(state, found, classes) {
  const { target, alpha, tau } = state, few = 0.005;
  const size = (g) => sum(g.map(Math.abs)) / 2;
  const label = size(found.gradCe), other = size(found.gradKd), all = size(found.grad);
  let who;
  if (label < few && other < few) who = "Nothing pulls: main is right and agrees with the auxiliary.";
  else if (alpha === 1) who = "Only the label pulls: alpha is 1, the auxiliary has no say.";
  else if (alpha === 0) who = other < few ? "Nothing pulls: alpha is 0 and both students agree." : "Only the auxiliary pulls: alpha is 0, the label has no say.";
  else if (other < few) who = "Only the label pulls: the softened predictions of both students are the same.";
  else if (label < few) who = `Only the auxiliary pulls: main already gives ${classes[target]} nearly all its probability.`;
  else {
    const share = label / (label + other);
    const percent = Math.round(100 * Math.max(share, 1 - share));
    who = percent < 55 ? "Label and auxiliary pull about equally hard."
      : share > 0.5 ? `The label pulls harder: ${percent}% of the two pulls.`
        : `The auxiliary pulls harder: ${percent}% of the two pulls.`;
  }
  if (all < few) {
    const apart = label >= few && other >= few ? " They cancel: a step would hardly move the logits." : "";
    return who + apart;
  }
  const top = found.grad.reduce((best, g, k) => (Math.abs(g) > Math.abs(found.grad[best]) ? k : best), 0);
  const way = found.grad[top] < 0 ? "up" : "down";
  let text = `${who} A step moves main's logit of ${classes[top]} most, ${way} (gradient ${signed(found.grad[top], 2)}).`;
  const torn = classes.map((_, k) => (found.gradCe[k] * found.gradKd[k] < 0 ? Math.min(Math.abs(found.gradCe[k]), Math.abs(found.gradKd[k])) : 0));
  const at = torn.indexOf(Math.max(...torn));
  if (torn[at] >= few) {
    const [l, a] = found.gradCe[at] < 0 ? ["up", "down"] : ["down", "up"];
    text += ` They disagree on ${classes[at]}: the label wants it ${l}, the auxiliary ${a}.`;
  } else if (label >= few && other >= few) text += " They do not oppose each other on any class.";
  if (!state.scaled && tau > 1 && alpha < 1) text += ` Without tau squared the auxiliary's pull is ${digits(tau ** 2, 2).replace(/\.?0+$/, "")} times weaker.`;
  return tau >= 10 ? `${text} At tau ${tau} both softened predictions are nearly flat.` : text;
}

function render({ model, el }) {
  const classes = model.get("classes"), limit = model.get("limit"), K = classes.length;
  const first = { main: [...model.get("main_logits")], aux: [...model.get("aux_logits")], target: model.get("target"), alpha: model.get("alpha"), tau: model.get("tau"), scaled: model.get("scaled") };
  let state = { ...first, main: [...first.main], aux: [...first.aux] };
  const isTrue = (k) => k === state.target;
  const save = () => {
    for (const [name, value] of [["main_logits", [...state.main]], ["aux_logits", [...state.aux]], ["target", state.target], ["alpha", state.alpha], ["tau", state.tau], ["scaled", state.scaled]]) model.set(name, value);
    keep(model, "tau", state.tau);
  };

  // -- pictures ---------------------------------------------------------------------------------------------------
  const dragged = (who, word, square) => handles({ who, word, classes, limit, square, change: (k, v, done) => {
    state[who][k] = v;
    update();
    if (done) save();
  } });
  const MAIN = "var(--dmws-main)", AUX = "var(--dmws-aux)", LABEL = "var(--dmws-good)";
  const logits = bars({
    label: "Logits of main and auxiliary", axis: "logit z: drag, or use the arrow keys", classes, row: HANDLE_ROW, places: 1, span: () => [-limit, limit], mark: isTrue,
    series: [{ key: "z-main", word: "main", colour: MAIN, drag: dragged("main", "main", false) },
      { key: "z-aux", word: "auxiliary", colour: AUX, drag: dragged("aux", "auxiliary", true) }],
  });
  logits.svg.setAttribute("role", "group"); // it holds controls, which an image may not
  const probabilities = bars({
    label: "", axis: "probability", classes, row: ROW, places: 3, span: () => [0, 1], mark: isTrue,
    series: [{ key: "p-main", word: "main, τ", colour: MAIN }, { key: "p-aux", word: "aux., τ", colour: AUX },
      { key: "p-plain", word: "main, 1", colour: MAIN, outline: true }],
  });
  const gradient = bars({
    label: "", axis: "gradient ∂L/∂z: below 0 the step pushes z up", classes, row: ROW, places: 3, mark: isTrue,
    span: (found) => evenSpan([found["g-ce"], found["g-kd"], found.g]),
    series: [{ key: "g-ce", word: "label", colour: LABEL }, { key: "g-kd", word: "auxiliary", colour: AUX }, { key: "g", word: "sum", colour: "var(--dmws-text)" }],
  });

  // -- numbers ----------------------------------------------------------------------------------------------------
  const numbers = {};
  /** A number that stays quiet: the sentence under the controls tells a listener what changed. */
  const shown = (name, n) => {
    numbers[name] = number(name, n);
    numbers[name].node.setAttribute("aria-live", "off");
    return numbers[name].node;
  };
  const again = {};
  /** The same number once more, in another place. */
  const copied = (name, n) => {
    const one = number(`eq-${name}`, n);
    one.node.setAttribute("aria-live", "off");
    (again[name] ||= []).push(one);
    return one.node;
  };
  const sentence = h("p", { class: "dmws-loss-words", "aria-live": "polite" });
  const bar = { ce: h("span", { class: "dmws-loss-share", "data-share": "ce" }), kd: h("span", { class: "dmws-loss-share", "data-share": "kd" }) };
  const line = (text, value, kind = "") => h("div", { class: `dmws-loss-line ${kind}` }, h("span", {}, formula(text)), value);
  const losses = h("div", {},
    line("cross-entropy L_{ce}", shown("ce", 4)), line("KL divergence L_{skd}", shown("kd", 4)),
    line("α · L_{ce}", shown("part-ce", 4), "dmws-loss-ce"), line("(1 − α) · L_{skd}, times τ² where it is on", shown("part-kd", 4), "dmws-loss-kd"),
    line("total L", shown("loss", 4), "dmws-loss-total"),
    h("div", { class: "dmws-loss-bar", "aria-hidden": "true" }, bar.ce, bar.kd),
    h("p", { class: "dmws-quiet" }, "The bar: which part of the total is the label's (left) and which the auxiliary's (right, hatched). A large part of the loss need not be a large part of the gradient."));

  const cells = (key, n) => classes.map((_, k) => h("td", {}, shown(`${key}-${k}`, n)));
  const row = (head, key, n, total) => h("tr", {}, h("th", { scope: "row", class: "dmws-loss-rowhead" }, formula(head)), cells(key, n), h("td", {}, total));
  const group = (title, text, live, where, ...rows) => h("tbody", {},
    h("tr", {}, h("td", { colspan: K + 2, class: "dmws-loss-formula" },
      h("span", { class: "dmws-loss-name" }, title), h("span", { class: "dmws-loss-math" }, formula(text)), live,
      h("span", { class: "dmws-quiet dmws-loss-where" }, formula(where)))), rows);
  const soft = (name) => name.replace("meningioma", "menin\u00ADgioma").replace("pituitary", "pitu\u00ADitary");
  const live = (...parts) => h("span", { class: "dmws-loss-live" }, "= ", parts);
  const table = h("table", { class: "dmws-loss-table" },
    h("thead", {}, h("tr", {}, h("td", {}), classes.map((name) => h("th", { scope: "col" }, soft(name))), h("th", { scope: "col" }, "Σ"))),
    group("(1) main, softened", "p_k^S = exp(z_k^S / τ) / Σ_j exp(z_j^S / τ)", null,
      "z_k^S: main's logit of class k; τ: temperature; j runs over all classes.", row("p^S", "p-main", 3, shown("sum-p-main", 3))),
    group("(2) auxiliary, softened", "p_k^S′ = exp(z_k^S′ / τ) / Σ_j exp(z_j^S′ / τ)", null,
      "z_k^S′: the auxiliary's logit of class k. No gradient goes there.", row("p^S′", "p-aux", 3, shown("sum-p-aux", 3))),
    group("(3) KL divergence", "L_{skd} = Σ_k p_k^S′ · ln(p_k^S′ / p_k^S)", live(copied("kd", 4)),
      "One term per class; some may be negative, the sum is not. Zero when both agree.", row("term", "kd-term", 3, shown("sum-kd-term", 3))),
    group("(4) cross-entropy", "L_{ce} = −Σ_k y_k ln p_k^{S, τ=1}", live("−ln ", copied("p-true", 4), " = ", copied("ce", 4)),
      "y_k: 1 for the true class, else 0. The probabilities are main's at temperature 1.", row("p^{S, τ=1}", "p-plain", 3, shown("sum-p-plain", 3))),
    group("(5) total", "L = α L_{ce} + (1 − α) τ² L_{skd}",
      live(copied("alpha", 2), " · ", copied("ce", 4), " + ", copied("rest", 2), " · ", copied("factor", 2), " · ", copied("kd", 4), " = ", copied("loss", 4)),
      "α: weight of the label. τ² makes up for the gradient that a high temperature shrinks; without it the factor is 1."),
    group("gradient on main's logits", "∂L/∂z_k^S = α (p_k^{S, τ=1} − y_k) + (1 − α) τ (p_k^S − p_k^S′)", null,
      "Each part sums to 0 over the classes: raising all logits alike changes no probability. Without τ² the second part is divided by τ², so τ becomes 1/τ.",
      row("label", "g-ce", 3, shown("sum-g-ce", 3)), row("auxiliary", "g-kd", 3, shown("sum-g-kd", 3)), row("sum", "g", 3, shown("sum-g", 3))));
  const opened = h("details", { class: "dmws-loss-details", open: true }, h("summary", {}, "Equations 1 to 5 with the numbers of now"),
    h("div", { class: "dmws-loss-wide", tabindex: 0, role: "region", "aria-label": "Equations with numbers" }, table));

  // -- controls ---------------------------------------------------------------------------------------------------
  const tau = slider({ name: "tau", label: "temperature τ", value: state.tau, choices: model.get("taus"), onchange: (v) => { state.tau = v; update(); save(); } });
  const alphas = [...new Set([...Array.from({ length: 21 }, (_, i) => i / 20), state.alpha])].sort((a, b) => a - b);
  const alpha = slider({ name: "alpha", label: "label's weight α", value: state.alpha, choices: alphas, onchange: (v) => { state.alpha = v; update(); save(); } });
  const target = choice({ name: "target", label: "true class", value: state.target, choices: classes.map((name, k) => [k, name]), onchange: (v) => { state.target = Number(v); update(); save(); } });
  const scaled = toggle({ name: "scaled", label: "factor τ²", value: state.scaled, onchange: (v) => { state.scaled = v; update(); save(); } });
  const same = (a, b) => a.every((v, i) => v === b[i]);
  const presets = model.get("presets").map((one) => {
    const node = h("button", { type: "button", "data-name": `preset-${one.name.replaceAll(" ", "-")}`, onclick: () => {
      state = { ...state, main: [...one.main], aux: [...one.aux], target: 0 };
      target.put(0);
      update();
      save();
    } }, one.name);
    return { node, mark: () => node.setAttribute("aria-pressed", String(state.target === 0 && same(one.main, state.main) && same(one.aux, state.aux))) };
  });
  const reset = h("button", { type: "button", "data-name": "reset", onclick: () => {
    state = { ...first, main: [...first.main], aux: [...first.aux] };
    tau.put(state.tau);
    alpha.put(state.alpha);
    target.put(state.target);
    scaled.put(state.scaled);
    update();
    save();
  } }, "reset");

  function update() {
    const found = lossTerms(state);
    const perClass = { "p-main": found.pMain, "p-aux": found.pAux, "p-plain": found.pPlain, "kd-term": found.kdTerms, "g-ce": found.gradCe, "g-kd": found.gradKd, g: found.grad };
    for (const [key, values] of Object.entries(perClass)) {
      values.forEach((v, k) => numbers[`${key}-${k}`].put(v));
      numbers[`sum-${key}`].put(sum(values));
    }
    const single = { ce: found.ce, kd: found.kd, "part-ce": found.partCe, "part-kd": found.partKd, loss: found.loss };
    for (const [name, v] of Object.entries(single)) numbers[name].put(v);
    const more = { ...single, "p-true": found.pPlain[state.target], alpha: state.alpha, rest: 1 - state.alpha, factor: found.factor };
    for (const [name, nodes] of Object.entries(again)) nodes.forEach((node) => node.put(more[name]));
    const share = found.loss > 0 ? found.partCe / found.loss : 0;
    bar.ce.style.width = `${100 * share}%`;
    bar.kd.style.width = `${found.loss > 0 ? 100 * (1 - share) : 0}%`;
    sentence.textContent = inWords(state, found, classes);
    const list = (values, n) => classes.map((name, k) => `${name} ${digits(values[k], n)}`).join(", ");
    probabilities.name(`Probabilities at temperature ${state.tau}. Main: ${list(found.pMain, 2)}. Auxiliary: ${list(found.pAux, 2)}. Main at temperature 1: ${list(found.pPlain, 2)}.`);
    gradient.name(`Gradient of the loss on main's logits: ${list(found.grad, 2)}. By the label: ${list(found.gradCe, 2)}. By the auxiliary: ${list(found.gradKd, 2)}.`);
    logits.put({ "z-main": state.main, "z-aux": state.aux });
    probabilities.put(perClass);
    gradient.put(perClass);
    presets.forEach((one) => one.mark());
  }

  const panel = (title, ...parts) => h("div", { class: "dmws-loss-panel" }, h("div", { class: "dmws-loss-name" }, title), parts);
  frame(el, "loss-playground", model.get("title"),
    h("div", { class: "dmws-row" }, tau.node, alpha.node, scaled.node, target.node),
    h("div", { class: "dmws-row dmws-loss-presets", role: "group", "aria-label": "Situations" }, presets.map((one) => one.node), reset),
    h("div", { class: "dmws-loss-grid" },
      panel("Logits, to drag", logits.node), panel("Gradient on main's logits", gradient.node),
      sentence, // below the handles: a line more or less must not move them under the finger
      panel("Probabilities: softened by τ, and at 1", probabilities.node), panel("Loss of this image", losses)),
    opened);
  update();
  return () => { for (const one of [logits, probabilities, gradient]) one.stop(); };
}
export default { render };
