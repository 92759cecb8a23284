// The six widgets of chapter 0. Each asks first; then one slider moves a small computation that runs in the page.
// The functions of the first part are those of dmws_lite/classroom/small_models.py.

// -- small models -----------------------------------------------------------------------------------------------------
const CENTRES = Array.from({ length: 49 }, (_, i) => [-2.1 + 0.7 * (i % 7), -1.8 + 0.6 * Math.floor(i / 7)]);
const BUMP = 2 * 0.35 ** 2;

/** 1, and how near a point is to each of 49 centres. */
const bumps = ([x, y]) => [1, ...CENTRES.map(([a, b]) => Math.exp(-((x - a) ** 2 + (y - b) ** 2) / BUMP))];

/** Sum of products of two lists of numbers. */
function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Solve A x = b for a symmetric positive matrix (Cholesky); A and b are overwritten. */
function solve(A, b) {
  const n = b.length;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = A[i][j];
      for (let k = 0; k < j; k++) sum -= A[i][k] * A[j][k];
      A[i][j] = i === j ? Math.sqrt(sum) : sum / A[j][j];
    }
  }
  for (let i = 0; i < n; i++) { for (let k = 0; k < i; k++) b[i] -= A[i][k] * b[k]; b[i] /= A[i][i]; }
  for (let i = n - 1; i >= 0; i--) { for (let k = i + 1; k < n; k++) b[i] -= A[k][i] * b[k]; b[i] /= A[i][i]; }
  return b;
}

/** Logistic regression with two classes by Newton's method. */
function fitTwoClasses(features, classes, ridge = 1e-3, steps = 15) {
  const d = features[0].length;
  const weights = new Array(d).fill(0);
  for (let step = 0; step < steps; step++) {
    const slope = weights.map((w) => ridge * w);
    const bend = weights.map((_, i) => { const row = new Float64Array(d); row[i] = ridge; return row; });
    features.forEach((f, n) => {
      const p = 1 / (1 + Math.exp(-dot(f, weights)));
      for (let i = 0; i < d; i++) {
        slope[i] += f[i] * (p - classes[n]);
        const bent = f[i] * p * (1 - p);
        for (let j = 0; j <= i; j++) bend[i][j] += bent * f[j];
      }
    });
    solve(bend, slope).forEach((s, i) => { weights[i] -= s; });
  }
  return weights;
}

/** Probabilities of one row of logits at temperature tau. */
function softmax(logits, tau = 1) {
  const top = Math.max(...logits);
  const powers = logits.map((z) => Math.exp((z - top) / tau));
  const all = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / all);
}

/** Logistic regression with K classes by gradient descent with momentum. `features` are rows (Float64Array with a 1 at the
 *  end), `targets` rows of K probabilities; returns K weight vectors. Flat arrays and plain loops: here goes the time. */
function fitClasses(features, targets, steps = 100, rate = 0.5, momentum = 0.9, ridge = 1e-3) {
  const d = features[0].length, K = targets[0].length, n = features.length;
  const x = Float64Array.from({ length: n * d }, (_, i) => features[Math.floor(i / d)][i % d]);
  const y = Float64Array.from({ length: n * K }, (_, i) => targets[Math.floor(i / K)][i % K]);
  const weights = new Float64Array(K * d), step = new Float64Array(K * d), slope = new Float64Array(K * d), p = new Float64Array(K);
  for (let t = 0; t < steps; t++) {
    slope.fill(0);
    for (let i = 0; i < n; i++) {
      const at = i * d;
      let top = -Infinity, all = 0;
      for (let k = 0; k < K; k++) {
        let sum = 0;
        for (let j = 0, w = k * d; j < d; j++) sum += x[at + j] * weights[w + j];
        p[k] = sum;
        if (sum > top) top = sum;
      }
      for (let k = 0; k < K; k++) { p[k] = Math.exp(p[k] - top); all += p[k]; }
      for (let k = 0; k < K; k++) {
        const pull = (p[k] / all - y[i * K + k]) / n;
        for (let j = 0, w = k * d; j < d; j++) slope[w + j] += pull * x[at + j];
      }
    }
    for (let j = 0; j < K * d; j++) {
      step[j] = momentum * step[j] - rate * (slope[j] + ridge * weights[j]);
      weights[j] += step[j];
    }
  }
  return Array.from({ length: K }, (_, k) => weights.subarray(k * d, (k + 1) * d));
}

const largest = (row) => row.reduce((best, v, i) => (v > row[best] ? i : best), 0);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const share = (items, test) => items.filter(test).length / items.length;

/** Mean cross-entropy of a logistic regression with two weights. */
const logisticLoss = (points, classes, w) => mean(points.map((p, i) => Math.log1p(Math.exp(-(classes[i] ? 1 : -1) * dot(p, w)))));

/** Weights before the first and after each step of stochastic gradient descent, one point a step. */
function noisyPath(points, classes, order, start, rate) {
  const path = [start];
  for (const i of order) {
    const w = path[path.length - 1], pull = 1 / (1 + Math.exp(-dot(points[i], w))) - classes[i];
    path.push([w[0] - rate * pull * points[i][0], w[1] - rate * pull * points[i][1]]);
  }
  return path;
}

/** The moving average of a path; it starts where the path starts. */
function averageAlong(path, beta) {
  const average = [path[0]];
  for (const w of path.slice(1)) average.push(average[average.length - 1].map((a, i) => beta * a + (1 - beta) * w[i]));
  return average;
}

/** Logits of a network with one hidden layer of tanh units, [first, firstBias, second, secondBias]. */
function networkLogits([first, firstBias, second, secondBias], [x, y]) {
  const hidden = firstBias.map((b, i) => Math.tanh(x * first[0][i] + y * first[1][i] + b));
  return secondBias.map((b, k) => hidden.reduce((sum, h, i) => sum + h * second[i][k], 0) + b);
}
const everySecond = ([first, firstBias, second, secondBias], part) => {
  const cut = (list) => list.filter((_, i) => i % 2 === part);
  return [first.map(cut), cut(firstBias), cut(second), secondBias];
};
const blend = (a, b, s) => (Array.isArray(a) ? a.map((one, i) => blend(one, b[i], s)) : s * a + (1 - s) * b);

// -- what the widgets share -------------------------------------------------------------------------------------------
const percent = (v) => `${(100 * v).toFixed(0)}%`;

/** Signed bytes from base64 as rows of features: standard deviations times 3 / sqrt(columns), and a 1 at the end. */
function featureRows(text, rows, levels) {
  const bytes = Int8Array.from(atob(text), (c) => c.charCodeAt(0));
  const d = bytes.length / rows, scale = 3 / (levels * Math.sqrt(d));
  return Array.from({ length: rows }, (_, i) => {
    const row = new Float64Array(d + 1);
    for (let j = 0; j < d; j++) row[j] = scale * bytes[i * d + j];
    row[d] = 1;
    return row;
  });
}

/** Do jobs in slices of about 12 ms, so that the page stays quick, and call `show` after each group of them; returns a
 *  function that stops. */
function inSlices(groups, show) {
  let timer = null, group = 0, at = 0;
  const slice = () => {
    const end = performance.now() + 12;
    let finished = false;
    while (group < groups.length && performance.now() < end) {
      if (at < groups[group].length) groups[group][at++]();
      else { group += 1; at = 0; finished = true; }
    }
    if (finished) show();
    if (group < groups.length) timer = setTimeout(slice, 0);
  };
  timer = setTimeout(slice, 0);
  return () => clearTimeout(timer);
}

/** A question to answer before looking: three options, and a button for those who have no idea. */
function question(model, onanswer) {
  const asked = model.get("question"), group = newId("guess");
  const said = h("p", { class: "dmws-start-said", role: "status", "data-name": "said" });
  const inputs = asked.options.map((_, i) => h("input", { type: "radio", name: group, value: i, "data-name": `option-${i}` }));
  const options = asked.options.map((text, i) => h("label", { class: "dmws-start-option" }, inputs[i], h("span", {}, text)));
  const tell = (i) => {
    const head = i < 0 || i >= inputs.length ? "" : i === asked.right ? "Yes. " : "Not quite. ";
    said.replaceChildren(h("strong", {}, head), asked.explanation);
    node.dataset.answered = "true";
    options.forEach((option, k) => {
      inputs[k].checked = k === i;
      inputs[k].disabled = true;
      option.dataset.state = k === asked.right ? "right" : k === i ? "wrong" : "other";
      option.prepend(h("span", { class: "dmws-start-mark" }, k === asked.right ? "✓" : k === i ? "✗" : ""));
    });
  };
  const answer = (i) => { keep(model, "answer", i); tell(i); onanswer(); };
  const submit = (event) => {
    event.preventDefault();
    const i = inputs.findIndex((input) => input.checked);
    if (i < 0) said.textContent = "Choose an answer first, or press “No idea, show me”.";
    else answer(i);
  };
  const node = h("form", { class: "dmws-start-question", onsubmit: submit },
    h("fieldset", {}, h("legend", {}, asked.text),
      options),
    h("div", { class: "dmws-start-buttons" },
      h("button", { type: "submit", "data-name": "answer" }, "That is my answer"),
      h("button", { type: "button", "data-name": "show", onclick: () => answer(inputs.length) }, "No idea, show me")),
    said);
  if (model.get("answer") >= 0) tell(model.get("answer"));
  return node;
}

/** A section of chapter 0: title, question, slider (locked until there is an answer), pictures, a sentence.
 *  `control` makes the slider; `update(answered)` draws everything and returns the sentence. */
function section({ model, el, control, parts, pictures, update }) {
  const answered = () => model.get("answer") >= 0;
  const words = h("p", { class: "dmws-start-words", "aria-live": "polite", "data-name": "words" });
  let slide = null, root = null;
  const refresh = () => {
    slide.input.disabled = !answered();
    if (root) root.dataset.open = String(answered());
    words.textContent = update(answered()) || "";
    for (const one of pictures) one.redraw();
  };
  slide = control((name, value) => { keep(model, name, value); refresh(); });
  // The button that was pressed goes away; the slider is what comes next.
  const asked = question(model, () => { refresh(); slide.input.focus({ preventScroll: true }); });
  root = frame(el, model.get("part"), model.get("title"), asked, h("div", { class: "dmws-row dmws-start-slider" }, slide.node), ...parts, words);
  refresh();
  return { refresh, answered };
}

/** Small squares of a plane, coloured by `value(x, y)` (a fill and an opacity); neighbours of one look are one rectangle. */
function plane(svg, a, x, y, value, columns = 56, rows = 44) {
  const at = (axis, i, n) => axis.min + ((i + 0.5) * (axis.max - axis.min)) / n;
  const wide = (a.x1 - a.x0) / columns, tall = (a.y0 - a.y1) / rows;
  for (let r = 0; r < rows; r++) {
    for (let c = 0, next; c < columns; c = next) {
      const look = value(at(x, c, columns), at(y, r, rows));
      next = c + 1;
      while (next < columns && String(value(at(x, next, columns), at(y, r, rows))) === String(look)) next += 1;
      svg.append(s("rect", { x: a.x0 + c * wide, y: a.y0 - (r + 1) * tall, width: (next - c) * wide + 0.3, height: tall + 0.3, fill: look[0], opacity: look[1] }));
    }
  }
}

const mark = (x, y, r, square, attributes) => (square
  ? s("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, ...attributes })
  : s("circle", { cx: x, cy: y, r, ...attributes }));

/** A line with points: values over positions, with a name at the line's end in the key below. */
function curve(svg, a, points, { colour, dash = null, square = false, name }) {
  const pixels = points.map(([x, y]) => [a.px(x), a.py(y)]);
  svg.append(s("path", { d: path(pixels), fill: "none", stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash, "data-curve": name }));
  for (const [x, y] of pixels) svg.append(mark(x, y, 3.2, square, { fill: colour }));
}
const upright = (svg, a, x) => svg.append(s("line", { x1: a.px(x), x2: a.px(x), y1: a.y0, y2: a.y1, stroke: "var(--dmws-quiet)", "stroke-dasharray": "4 3", "data-mark": "now" }));
const key = (word, colour, look = "solid") => h("span", { class: "dmws-key" }, h("span", { class: "dmws-start-line", style: `border-top: 3px ${look} ${colour}` }), word);
const panel = (title, ...parts) => h("div", { class: "dmws-start-panel" }, h("div", { class: "dmws-start-name" }, title), parts);
const later = (node) => { node.classList.add("dmws-start-later"); return node; }; // not seen before the answer
const grid = (...panels) => h("div", { class: "dmws-start-grid" }, panels);
const fact = (words, one) => h("span", {}, words, one.node);

// -- 1: few labels ----------------------------------------------------------------------------------------------------
function fewLabels({ model, el }) {
  const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
  const draws = model.get("draws").map(pairs), test = pairs(model.get("test")), counts = model.get("counts");
  const testFeatures = test.map(bumps), side = (i) => i % 2;
  const right = (features, w) => share(features.map((f, i) => (dot(f, w) > 0) === Boolean(side(i))), Boolean);
  const fits = new Map();
  const fit = (d, n) => {
    if (!fits.has(`${d}/${n}`)) {
      const features = draws[d].slice(0, 2 * n).map(bumps), weights = fitTwoClasses(features, features.map((_, i) => side(i)));
      fits.set(`${d}/${n}`, { weights, train: right(features, weights), test: right(testFeatures, weights) });
    }
    return fits.get(`${d}/${n}`);
  };
  const over = (n, part) => mean(draws.map((_, d) => fit(d, n)[part]));
  const numbers = { train: number("train", 3), test: number("test", 3), meanTest: number("mean-test", 3) };
  const COLOURS = ["var(--dmws-both)", "var(--dmws-good)"];
  const x = { min: -2.3, max: 2.3, label: "first measurement" }, y = { min: -2.1, max: 2.1, label: "second measurement" };
  let n = model.get("count"), open = false;

  const map = picture("", (width) => Math.min(360, Math.round(width * 0.86)), (svg, width, height) => {
    const a = axes(svg, width, height, x, y), { weights } = fit(0, n);
    plane(svg, a, x, y, (u, v) => [COLOURS[Number(dot(bumps([u, v]), weights) > 0)], 0.2]);
    const dots = (points, r, attributes) => points.forEach(([u, v], i) => {
      if (Math.abs(u) < 2.3 && Math.abs(v) < 2.1) svg.append(mark(a.px(u), a.py(v), r, side(i), { fill: COLOURS[side(i)], ...attributes }));
    });
    if (open) dots(test, 2, { opacity: 0.75 });
    dots(draws[0].slice(0, 2 * n), 5, { stroke: "var(--dmws-text)", "stroke-width": 1.8, "data-mark": "labelled" });
  });
  const chart = picture("", 260, (svg, width, height) => {
    const a = axes(svg, width, height, { min: counts[0], max: counts[counts.length - 1], log: true, ticks: counts, label: "labels per class" },
      { min: 0.5, max: 1, label: "accuracy" }, { left: 52, right: 16, top: 12, bottom: 42 });
    if (!open) return;
    upright(svg, a, n);
    for (const c of counts) draws.forEach((_, d) => svg.append(mark(a.px(c), a.py(fit(d, c).test), 2.5, true, { fill: "var(--dmws-aux)", opacity: 0.45 })));
    curve(svg, a, counts.map((c) => [c, over(c, "train")]), { colour: "var(--dmws-main)", name: "train" });
    curve(svg, a, counts.map((c) => [c, over(c, "test")]), { colour: "var(--dmws-aux)", dash: "7 5", square: true, name: "test" });
  });
  section({ model, el, pictures: [map, chart],
    control: (set) => slider({ name: "count", label: "labels per class", value: n, choices: counts, onchange: (v) => { n = v; set("count", v); } }),
    parts: [
      h("div", { class: "dmws-facts" }, fact("accuracy on the labelled points: ", numbers.train), later(fact("on new points: ", numbers.test)), later(fact(`on new points, mean of ${draws.length} draws: `, numbers.meanTest))),
      grid(panel("What the model has learned", map.node), later(panel(`Accuracy, mean of ${draws.length} draws`, chart.node,
        h("div", { class: "dmws-facts" }, key("labelled points", "var(--dmws-main)"), key("new points", "var(--dmws-aux)", "dashed")))))],
    update: (answered) => {
      open = answered;
      const one = fit(0, n);
      numbers.train.put(one.train);
      numbers.test.put(open ? one.test : NaN);
      numbers.meanTest.put(open ? over(n, "test") : NaN);
      const known = `With ${n} labels per class the model gets ${percent(one.train)} of the labelled points right`;
      map.name(`The plane, divided by the model into two classes, with ${2 * n} labelled points${open ? ` and ${test.length} new ones` : ""}.`);
      chart.name(open ? `Accuracy over labels per class, means of ${draws.length} draws. ${counts.map((c) => `${c}: labelled ${percent(over(c, "train"))}, new ${percent(over(c, "test"))}`).join("; ")}.` : "Empty until you answer.");
      return open ? `${known}, and ${percent(one.test)} of ${test.length} new points. The gap is ${(100 * (one.train - one.test)).toFixed(0)} percentage points.` : `${known}. The new points appear when you have answered.`;
    } });
  return [map, chart];
}

// -- 2 and 3: soft targets, label smoothing ---------------------------------------------------------------------------
/** What sections 2 and 3 share: students that learn from thumbnails, one per draw, from targets of some kind. */
function students(model) {
  const labels = model.get("labels"), nPool = model.get("n_pool"), draws = model.get("draws"), logits = model.get("logits");
  const rows = featureRows(model.get("thumbnails"), labels.length, model.get("levels"));
  const K = model.get("classes").length, found = new Map();
  const hard = (i) => Array.from({ length: K }, (_, k) => Number(k === labels[i]));
  const kinds = {
    hard,
    soft: (i, tau) => softmax(logits[i], tau),
    smooth: (i, epsilon) => hard(i).map((p) => (1 - epsilon) * p + epsilon / K),
  };
  const one = (kind, value, d) => {
    const name = `${kind}/${value}/${d}`;
    if (!found.has(name)) {
      const weights = fitClasses(draws[d].map((i) => rows[i]), draws[d].map((i) => kinds[kind](i, value)));
      let right = 0;
      for (let i = nPool; i < labels.length; i++) right += Number(largest(weights.map((w) => dot(rows[i], w))) === labels[i]);
      found.set(name, right / (labels.length - nPool));
    }
    return found.get(name);
  };
  const ready = (kind, value) => draws.every((_, d) => found.has(`${kind}/${value}/${d}`));
  const all = (kind, value) => (ready(kind, value) ? draws.map((_, d) => one(kind, value, d)) : null);
  const accuracy = (kind, value) => (ready(kind, value) ? mean(all(kind, value)) : NaN);
  const jobs = (list) => list.map(([kind, value]) => draws.map((_, d) => () => one(kind, value, d)));
  return { all, accuracy, jobs, n: draws.length };
}

/** Bars for the classes of one image: `sets` are {name, colour, hatch}; put(list of K probabilities per set). */
function bars(image, classes, sets) {
  const rows = classes.map((name) => sets.map((one) => {
    const bar = h("span", { class: `dmws-start-bar${one.hatch ? " dmws-start-hatch" : ""}`, style: `--bar: ${one.colour}` });
    const value = h("span", { class: "dmws-start-value" });
    return { bar, value, node: h("div", { class: "dmws-start-track" }, h("span", { class: "dmws-start-rail" }, bar), value) };
  }));
  const node = h("div", { class: "dmws-start-example" },
    h("img", { src: image.picture, alt: image.alt, width: 72, height: 72 }),
    h("div", { class: "dmws-start-bars" }, h("div", { class: "dmws-start-caption" }, image.caption),
      classes.map((name, k) => h("div", { class: "dmws-start-class" }, h("span", {}, name), h("div", {}, rows[k].map((one) => one.node))))));
  const put = (values) => rows.forEach((row, k) => row.forEach((one, set) => {
    const p = values[set] ? values[set][k] : null;
    one.node.hidden = p === null;
    one.bar.style.width = `${100 * (p || 0)}%`;
    one.value.textContent = p === null ? "" : p.toFixed(3);
    if (p !== null) one.value.dataset.number = String(p);
    one.value.dataset.name = `p-${set}-${k}`;
  }));
  return { node, put };
}

/** Accuracy of the students over the slider's value, with the level of plain labels. */
function studentChart(learn, { kind, values, label, open, now, format }) {
  return picture("", 240, (svg, width, height) => {
    const known = values.filter((v) => Number.isFinite(learn.accuracy(kind, v)));
    const low = 0.25, high = 0.55, at = (v) => values.indexOf(v);
    const a = axes(svg, width, height, { min: 0, max: values.length - 1, ticks: values.map((_, i) => i), format: (i) => format(values[i]), label },
      { min: low, max: high, label: "test accuracy" }, { left: 52, right: 16, top: 12, bottom: 42 });
    if (!open()) return;
    upright(svg, a, at(now()));
    const level = learn.accuracy("hard", 0);
    if (Number.isFinite(level)) svg.append(s("path", { d: path([[a.x0, a.py(level)], [a.x1, a.py(level)]]), stroke: "var(--dmws-quiet)", "stroke-width": 2, "stroke-dasharray": "2 4", fill: "none", "data-curve": "hard" }));
    for (const v of known) for (const one of learn.all(kind, v)) svg.append(mark(a.px(at(v)), a.py(one), 2, false, { fill: "var(--dmws-main)", opacity: 0.35 }));
    curve(svg, a, known.map((v) => [at(v), learn.accuracy(kind, v)]), { colour: "var(--dmws-main)", name: kind });
  });
}

function softTargets({ model, el }) {
  const classes = model.get("classes"), taus = model.get("taus"), examples = model.get("examples");
  const learn = students(model), shown = examples.map((e) => bars(e, classes, [{ colour: "var(--dmws-aux)" }]));
  const numbers = { hard: number("hard", 3), soft: number("soft", 3) };
  let tau = model.get("tau"), open = false, stop = () => {};
  const chart = studentChart(learn, { kind: "soft", values: taus, label: "temperature τ", open: () => open, now: () => tau, format: String });
  let begun = false;
  const one = section({ model, el, pictures: [chart],
    control: (set) => slider({ name: "tau", label: "temperature τ", value: tau, choices: taus, onchange: (v) => { tau = v; set("tau", v); } }),
    parts: [h("div", { class: "dmws-start-examples" }, shown.map((b) => b.node)),
      later(h("div", { class: "dmws-facts" }, fact("student from plain labels: ", numbers.hard), fact("from soft targets at this τ: ", numbers.soft))),
      later(panel("A small student learns from the teacher's targets", chart.node, h("div", { class: "dmws-facts" }, key("soft targets", "var(--dmws-main)"), key("plain labels", "var(--dmws-quiet)", "dotted"))))],
    update: (answered) => {
      open = answered;
      if (open && !begun) {
        begun = true;
        stop = inSlices(learn.jobs([["hard", 0], ["soft", tau], ...taus.map((t) => ["soft", t])]), () => one.refresh());
      }
      const softened = examples.map((e) => softmax(e.logits, tau));
      shown.forEach((b, i) => b.put([softened[i]]));
      const [hard, soft] = [learn.accuracy("hard", 0), open ? learn.accuracy("soft", tau) : NaN];
      numbers.hard.put(hard);
      numbers.soft.put(soft);
      const first = softened[0], top = largest(first), rest = classes.map((c, k) => [c, first[k], k]).filter(([, , k]) => k !== top).sort((p, q) => q[1] - p[1]);
      const picture = `First image at τ = ${tau}: ${classes[top]} ${percent(first[top])}; of the rest, ${rest[0][0]} gets ${(rest[0][1] / rest[2][1]).toFixed(0)} times as much as ${rest[2][0]}.`;
      chart.name(open ? `Test accuracy of small students over the temperature. Plain labels: ${hard.toFixed(3)}. ${taus.filter((t) => Number.isFinite(learn.accuracy("soft", t))).map((t) => `τ ${t}: ${learn.accuracy("soft", t).toFixed(3)}`).join(", ")}.` : "Empty until you answer.");
      return Number.isFinite(soft) ? `${picture} Students: ${hard.toFixed(3)} from plain labels, ${soft.toFixed(3)} from soft targets, mean of ${learn.n} draws.` : open ? `${picture} The students are learning …` : picture;
    } });
  return [chart, { stop: () => stop() }];
}

function labelSmoothing({ model, el }) {
  const classes = model.get("classes"), epsilons = model.get("epsilons"), examples = model.get("examples"), tau = model.get("tau"), K = classes.length;
  const learn = students(model);
  const shown = examples.map((e) => bars(e, classes, [{ colour: "var(--dmws-good)" }, { colour: "var(--dmws-aux)", hatch: true }]));
  const numbers = { hard: number("hard", 3), smooth: number("smooth", 3), soft: number("soft", 3) };
  let epsilon = model.get("epsilon"), open = false, begun = false, stop = () => {};
  const chart = studentChart(learn, { kind: "smooth", values: epsilons, label: "ε", open: () => open, now: () => epsilon, format: String });
  const one = section({ model, el, pictures: [chart],
    control: (set) => slider({ name: "epsilon", label: "smoothing ε", value: epsilon, choices: epsilons, onchange: (v) => { epsilon = v; set("epsilon", v); } }),
    parts: [h("div", { class: "dmws-facts" }, key("smoothed label", "var(--dmws-good)"), later(key(`teacher at τ = ${tau}`, "var(--dmws-aux)", "dashed"))),
      h("div", { class: "dmws-start-examples" }, shown.map((b) => b.node)),
      later(h("div", { class: "dmws-facts" }, fact("student from plain labels: ", numbers.hard), fact("from smoothed labels: ", numbers.smooth), fact(`from the teacher at τ = ${tau}: `, numbers.soft))),
      later(panel("A small student learns from smoothed labels", chart.node, h("div", { class: "dmws-facts" }, key("smoothed labels", "var(--dmws-main)"), key("plain labels", "var(--dmws-quiet)", "dotted"))))],
    update: (answered) => {
      open = answered;
      if (open && !begun) {
        begun = true;
        stop = inSlices(learn.jobs([["hard", 0], ["smooth", epsilon], ["soft", tau], ...epsilons.map((e) => ["smooth", e])]), () => one.refresh());
      }
      shown.forEach((b, i) => b.put([classes.map((_, k) => (1 - epsilon) * Number(k === examples[i].label) + epsilon / K), open ? softmax(examples[i].logits, tau) : null]));
      const [hard, smooth, soft] = [learn.accuracy("hard", 0), learn.accuracy("smooth", epsilon), learn.accuracy("soft", tau)];
      numbers.hard.put(open ? hard : NaN);
      numbers.smooth.put(open ? smooth : NaN);
      numbers.soft.put(open ? soft : NaN);
      chart.name(open ? `Test accuracy of small students over the smoothing. Plain labels: ${hard.toFixed(3)}. ${epsilons.filter((e) => Number.isFinite(learn.accuracy("smooth", e))).map((e) => `ε ${e}: ${learn.accuracy("smooth", e).toFixed(3)}`).join(", ")}.` : "Empty until you answer.");
      const picture = `At ε = ${epsilon} the true class gets ${(1 - epsilon + epsilon / K).toFixed(3)} and each other class ${(epsilon / K).toFixed(3)}, in both images.`;
      return !open ? picture : Number.isFinite(soft) && Number.isFinite(smooth) ? `${picture} Students: ${hard.toFixed(3)} from plain labels, ${smooth.toFixed(3)} from smoothed ones, ${soft.toFixed(3)} from the teacher.` : `${picture} The students are learning …`;
    } });
  return [chart, { stop: () => stop() }];
}

// -- 4: averages of weights -------------------------------------------------------------------------------------------
function averages({ model, el }) {
  const points = model.get("points"), classes = model.get("classes"), orders = model.get("orders"), betas = model.get("betas");
  const start = model.get("start"), rate = model.get("rate"), least = model.get("least"), last = model.get("last");
  const paths = orders.map((order) => noisyPath(points, classes, order, start, rate));
  const excess = (path) => mean(path.slice(-last).map((w) => logisticLoss(points, classes, w) - least));
  const found = new Map();
  const level = (beta) => {
    if (!found.has(beta)) found.set(beta, mean(paths.map((p) => excess(averageAlong(p, beta)))));
    return found.get(beta);
  };
  const numbers = { loss: number("loss", 4), main: number("main-loss", 4), half: number("half-life", 1) };
  let beta = model.get("beta"), open = false;
  const x = { min: -3, max: 5, label: "first weight" }, y = { min: -3, max: 4, label: "second weight" };
  const map = picture("", (width) => Math.min(340, Math.round(width * 0.86)), (svg, width, height) => {
    const a = axes(svg, width, height, x, y);
    plane(svg, a, x, y, (u, v) => ["var(--dmws-text)", Math.min(0.3, 0.05 * Math.floor(Math.log2(1 + 20 * (logisticLoss(points, classes, [u, v]) - least))))], 44, 36);
    const pixels = (p) => p.map(([u, v]) => [a.px(u), a.py(v)]);
    const [best] = pixels([model.get("best")]);
    svg.append(s("path", { d: path(pixels(paths[0])), fill: "none", stroke: "var(--dmws-main)", "stroke-width": 1.2, opacity: 0.85, "data-curve": "path" }));
    if (open) {
      const line = pixels(averageAlong(paths[0], beta)), [ex, ey] = line[line.length - 1];
      svg.append(s("path", { d: path(line), fill: "none", stroke: "var(--dmws-aux)", "stroke-width": 3, "data-curve": "average" }));
      svg.append(mark(ex, ey, 6, true, { fill: "var(--dmws-aux)", stroke: "var(--dmws-back)", "stroke-width": 1.5, "data-mark": "average" }));
    }
    svg.append(s("path", { d: `M${best[0] - 7} ${best[1]}h14M${best[0]} ${best[1] - 7}v14`, stroke: "var(--dmws-good)", "stroke-width": 3 }));
  });
  const chart = picture("", 260, (svg, width, height) => {
    const a = axes(svg, width, height, { min: 0, max: betas.length - 1, ticks: betas.map((_, i) => i), format: (i) => String(betas[i]).replace(/^0\./, "."), label: "β" },
      { min: 0.005, max: 2.5, log: true, ticks: [0.01, 0.03, 0.1, 0.3, 1], label: "loss above the minimum" }, { left: 52, right: 16, top: 12, bottom: 42 });
    if (!open) return;
    upright(svg, a, betas.indexOf(beta));
    curve(svg, a, betas.map((b, i) => [i, level(b)]), { colour: "var(--dmws-aux)", square: true, name: "loss" });
  });
  section({ model, el, pictures: [map, chart],
    control: (set) => slider({ name: "beta", label: "beta (β)", value: beta, choices: betas, onchange: (v) => { beta = v; set("beta", v); } }),
    parts: [
      h("div", { class: "dmws-facts" }, fact("loss of the path above the minimum: ", numbers.main), later(fact("of its average: ", numbers.loss)), later(h("span", {}, "half of the start is gone after ", numbers.half.node, " steps"))),
      grid(panel("One path, in the plane of the two weights", map.node, h("div", { class: "dmws-facts" }, key("the weights, step by step", "var(--dmws-main)"), later(key("their average", "var(--dmws-aux)")), h("span", { class: "dmws-key" }, h("strong", { class: "dmws-start-plus", "aria-hidden": "true" }, "+"), "minimum of the loss"))),
        later(panel(`Mean of ${orders.length} paths, last ${last} steps`, chart.node)))],
    update: (answered) => {
      open = answered;
      const half = beta === 0 ? 0 : Math.log(2) / -Math.log(beta);
      numbers.main.put(level(0));
      numbers.loss.put(open ? level(beta) : NaN);
      numbers.half.put(open ? half : NaN);
      map.name(`Weights after each of ${orders[0].length} noisy steps: they come from the upper left and then jump about the minimum.${open ? ` Their average at β = ${beta}.` : ""}`);
      chart.name(open ? `Loss above the minimum over β: ${betas.map((b) => `${b}: ${level(b).toFixed(3)}`).join(", ")}.` : "Empty until you answer.");
      if (!open) return `${orders[0].length} steps, each with one training point. The weights never come to rest.`;
      if (beta === 0) return "At β = 0 the average is the path itself.";
      return `At β = ${beta} the average forgets half of its start in ${half.toFixed(1)} steps (ln 2 / (1 − β) = ${(Math.LN2 / (1 - beta)).toFixed(1)}). Its loss lies ${level(beta).toFixed(3)} above the minimum; the path's, ${level(0).toFixed(3)}.`;
    } });
  return [map, chart];
}

// -- 5: pretrained channels -------------------------------------------------------------------------------------------
function pretrainedChannels({ model, el }) {
  const labels = model.get("labels"), nPool = model.get("n_pool"), counts = model.get("counts"), draws = model.get("draws"), levels = model.get("levels");
  const K = model.get("classes").length, rows = {}, found = new Map();
  for (const who of ["pretrained", "untrained"]) rows[who] = featureRows(model.get(who), labels.length, levels);
  const nTest = labels.length - nPool;
  const one = (who, n, d) => {
    const name = `${who}/${n}/${d}`;
    if (!found.has(name)) {
      const index = draws[d].flatMap((ofClass) => ofClass.slice(0, n));
      const weights = fitClasses(index.map((i) => rows[who][i]), index.map((i) => Array.from({ length: K }, (_, k) => Number(k === labels[i]))));
      let right = 0;
      for (let i = nPool; i < labels.length; i++) right += Number(largest(weights.map((w) => dot(rows[who][i], w))) === labels[i]);
      found.set(name, right / nTest);
    }
    return found.get(name);
  };
  const ready = (who, n) => draws.every((_, d) => found.has(`${who}/${n}/${d}`));
  const accuracy = (who, n) => (ready(who, n) ? mean(draws.map((_, d) => one(who, n, d))) : NaN);
  const LOOKS = { pretrained: { colour: "var(--dmws-main)", dash: null, square: false }, untrained: { colour: "var(--dmws-aux)", dash: "7 5", square: true } };
  const numbers = { pretrained: number("pretrained", 3), untrained: number("untrained", 3) };
  let n = model.get("count"), open = false, begun = false, stop = () => {};
  const chart = picture("", 280, (svg, width, height) => {
    const a = axes(svg, width, height, { min: counts[0], max: counts[counts.length - 1], log: true, ticks: counts, label: "labels per class" },
      { min: 0.2, max: 0.6, label: "test accuracy" }, { left: 52, right: 16, top: 12, bottom: 42 });
    svg.append(s("path", { d: path([[a.x0, a.py(1 / K)], [a.x1, a.py(1 / K)]]), stroke: "var(--dmws-quiet)", "stroke-width": 2, "stroke-dasharray": "2 4", fill: "none", "data-curve": "chance" }));
    for (const who of open ? ["pretrained", "untrained"] : ["untrained"]) {
      const known = counts.filter((c) => ready(who, c)), { colour, dash, square } = LOOKS[who];
      for (const c of known) draws.forEach((_, d) => svg.append(mark(a.px(c), a.py(one(who, c, d)), 2.2, square, { fill: colour, opacity: 0.35 })));
      curve(svg, a, known.map((c) => [c, accuracy(who, c)]), { colour, dash, square, name: who });
    }
    if (open) upright(svg, a, n);
  });
  const jobs = (who) => counts.map((c) => draws.map((_, d) => () => one(who, c, d)));
  const view = section({ model, el, pictures: [chart],
    control: (set) => slider({ name: "count", label: "labels per class", value: n, choices: counts, onchange: (v) => { n = v; set("count", v); } }),
    parts: [h("div", { class: "dmws-facts" }, later(fact("pretrained channels: ", numbers.pretrained)), fact("untrained channels: ", numbers.untrained)),
      panel(`Logistic regression on the channels, ${draws.length} draws of labels`, chart.node, h("div", { class: "dmws-facts" }, later(key("pretrained channels", "var(--dmws-main)")), key("untrained channels", "var(--dmws-aux)", "dashed"), key("chance", "var(--dmws-quiet)", "dotted")))],
    update: (answered) => {
      open = answered;
      if (open && !begun) {
        begun = true;
        stop();
        stop = inSlices([...jobs("untrained"), ...jobs("pretrained")], () => view.refresh());
      }
      const now = { pretrained: open ? accuracy("pretrained", n) : NaN, untrained: accuracy("untrained", n) };
      for (const who of ["pretrained", "untrained"]) numbers[who].put(now[who]);
      const list = (who) => counts.filter((c) => ready(who, c)).map((c) => `${c}: ${accuracy(who, c).toFixed(3)}`).join(", ");
      chart.name(`Test accuracy over labels per class. Untrained channels: ${list("untrained")}.${open ? ` Pretrained channels: ${list("pretrained")}.` : ""}`);
      if (!open) return Number.isFinite(now.untrained) ? `Untrained channels reach ${now.untrained.toFixed(3)} with ${n} labels per class. Chance is ${(1 / K).toFixed(2)}.` : "";
      if (!Number.isFinite(now.pretrained)) return "The classifiers are learning …";
      const top = counts[counts.length - 1], enough = counts.find((c) => ready("untrained", c) && accuracy("untrained", c) >= now.pretrained);
      return `With ${n} labels per class: ${now.pretrained.toFixed(3)} on pretrained channels, ${now.untrained.toFixed(3)} on untrained ones. ${enough ? `Untrained channels reach as much with ${enough} labels per class.` : `Untrained channels do not reach that even with ${top}.`}`;
    } });
  if (!begun) stop = inSlices(jobs("untrained"), () => view.refresh());
  return [chart, { stop: () => stop() }];
}

// -- 6: complementary students ----------------------------------------------------------------------------------------
function complementary({ model, el }) {
  const networks = model.get("networks"), points = model.get("points"), beta = model.get("beta"), steps = model.get("steps"), H = model.get("hidden");
  const truth = points.map((_, i) => i % 3), mains = networks.map((n) => everySecond(n, 0)), others = networks.map((n) => everySecond(n, 1));
  const score = (outputs) => share(outputs.map((row, i) => largest(row) === truth[i]), Boolean);
  const outputs = (network) => points.map((p) => networkLogits(network, p));
  const opinion = (network) => outputs(network).map((row) => softmax(row));
  const fixed = {
    teacher: mean(networks.map((n) => score(outputs(n)))), main: mean(mains.map((n) => score(outputs(n)))),
    opinions: mean(mains.map((m, i) => { const b = opinion(others[i]); return score(opinion(m).map((row, r) => row.map((p, k) => p + b[r][k]))); })),
  };
  const found = new Map();
  const auxiliary = (n) => {
    if (!found.has(n)) found.set(n, mean(mains.map((m, i) => score(outputs(blend(others[i], m, n ? beta ** n : 1))))));
    return found.get(n);
  };
  const numbers = { left: number("left", 3), main: number("main", 3), aux: number("auxiliary", 3), opinions: number("opinions", 3), teacher: number("teacher", 3) };
  let n = model.get("step"), open = false;
  const top = steps[steps.length - 1];
  const strip = picture("", 118, (svg, width) => {
    const left = 66, wide = (width - left - 2) / H, kept = n ? beta ** n : 1;
    const cell = (i, row, colour, part = 1) => svg.append(s("rect", { x: left + i * wide + 0.5, y: row + 24 * (1 - part), width: wide - 1, height: 24 * part, fill: colour }));
    ["teacher", "main", "auxiliary"].forEach((word, r) => svg.append(s("text", { class: "dmws-tick", x: 0, y: 18 + 40 * r }, word)));
    for (let i = 0; i < H; i++) {
      const own = i % 2 ? "var(--dmws-aux)" : "var(--dmws-main)";
      cell(i, 2, own);
      if (i % 2) { cell(i, 82, "var(--dmws-main)"); cell(i, 82, "var(--dmws-aux)", kept); } else cell(i, 42, own);
    }
  });
  const chart = picture("", 270, (svg, width, height) => {
    const a = axes(svg, width, height, { min: 0, max: top, label: `averaging steps n, at β = ${beta}` }, { min: 0.5, max: 1, label: "test accuracy" });
    const level = (v, colour, dash, name) => svg.append(s("path", { d: path([[a.x0, a.py(v)], [a.x1, a.py(v)]]), stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash, fill: "none", "data-curve": name }));
    level(fixed.main, "var(--dmws-main)", null, "main");
    if (!open) return svg.append(mark(a.px(0), a.py(auxiliary(0)), 5, true, { fill: "var(--dmws-aux)" }));
    level(fixed.opinions, "var(--dmws-good)", "2 4", "opinions");
    svg.append(s("path", { d: path(steps.map((i) => [a.px(i), a.py(auxiliary(i))])), fill: "none", stroke: "var(--dmws-aux)", "stroke-width": 2.5, "stroke-dasharray": "7 5", "data-curve": "auxiliary" }));
    upright(svg, a, n);
    svg.append(mark(a.px(n), a.py(auxiliary(n)), 5, true, { fill: "var(--dmws-aux)", stroke: "var(--dmws-back)", "data-mark": "auxiliary" }));
  });
  section({ model, el, pictures: [strip, chart],
    control: (set) => slider({ name: "step", label: "steps n", value: n, choices: steps, onchange: (v) => { n = v; set("step", v); } }),
    parts: [panel(`Who has which of the teacher's ${H} channels`, strip.node),
      h("div", { class: "dmws-facts" }, h("span", {}, "overlap at the start: 0 channels"), fact("auxiliary's own start left, βⁿ: ", numbers.left)),
      h("div", { class: "dmws-facts" }, fact("main: ", numbers.main), fact("auxiliary: ", numbers.aux), later(fact("both predictions averaged: ", numbers.opinions)), fact("teacher: ", numbers.teacher)),
      panel(`Mean of ${networks.length} teachers`, chart.node, h("div", { class: "dmws-facts" }, key("main", "var(--dmws-main)"), key("auxiliary: average of the weights", "var(--dmws-aux)", "dashed"), later(key("average of the two first predictions", "var(--dmws-good)", "dotted"))))],
    update: (answered) => {
      open = answered;
      const left = n ? beta ** n : 1;
      numbers.left.put(left);
      numbers.main.put(fixed.main);
      numbers.aux.put(auxiliary(open ? n : 0));
      numbers.opinions.put(open ? fixed.opinions : NaN);
      numbers.teacher.put(fixed.teacher);
      strip.name(`The teacher's ${H} channels: main has the even ones, the auxiliary the odd ones, none in common. After ${n} averaging steps ${percent(left)} of the auxiliary is its own start; the rest has come from main.`);
      chart.name(open ? `Test accuracy. Main ${fixed.main.toFixed(3)}, both predictions averaged ${fixed.opinions.toFixed(3)}, auxiliary after n averaging steps: ${steps.filter((i) => i % 5 === 0).map((i) => `${i}: ${auxiliary(i).toFixed(3)}`).join(", ")}.` : `Main ${fixed.main.toFixed(3)}, auxiliary ${auxiliary(0).toFixed(3)}.`);
      return open ? `After ${n} steps ${percent(left)} of the auxiliary is its own start. It reaches ${auxiliary(n).toFixed(3)}; main has ${fixed.main.toFixed(3)}, and their two first predictions averaged ${fixed.opinions.toFixed(3)}.`
        : `Each has half of the teacher's channels, and none in common. Main reaches ${fixed.main.toFixed(3)}, the auxiliary ${auxiliary(0).toFixed(3)}, the whole teacher ${fixed.teacher.toFixed(3)}.`;
    } });
  return [strip, chart];
}

const SECTIONS = { "start-labels": fewLabels, "start-soft": softTargets, "start-smoothing": labelSmoothing, "start-average": averages, "start-channels": pretrainedChannels, "start-halves": complementary };

function render(context) {
  const parts = SECTIONS[context.model.get("part")](context);
  return () => { for (const one of parts) one.stop(); };
}
export default { render };
