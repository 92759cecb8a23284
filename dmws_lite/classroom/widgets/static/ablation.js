// Ablation explorer: what the records say at one point of method, rule, alpha, beta and tau. It draws and names
// measured points only; where there is no record it says "not measured" and names the nearest settings that have one.

const PARTS = ["alpha", "beta", "tau"];
const LETTER = { alpha: "α", beta: "β", tau: "τ" };

// -- statistics: as in dmws_lite/evaluation.py and dmws_lite/results.py ------------------------------------------------

/** Mean, sample sd and 95% t interval of a list of numbers; for one number sd and interval are NaN. */
function summarise(values, quantiles) {
  const n = values.length;
  const mean = values.reduce((sum, v) => sum + v, 0) / n;
  if (n === 1) return { n, mean, sd: NaN, low: NaN, high: NaN };
  const sd = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1));
  const half = (quantiles[n - 2] * sd) / Math.sqrt(n);
  return { n, mean, sd, low: mean - half, high: mean + half };
}

/** Seeds of a variant, ascending. */
const seedsOf = (variant) => Object.keys(variant.values).sort((a, b) => a - b);

/** First minus second over the seeds that both have; null where they share none. */
function pairedDifference(first, second, quantiles) {
  const seeds = seedsOf(first).filter((seed) => seed in second.values);
  return seeds.length ? summarise(seeds.map((seed) => first.values[seed] - second.values[seed]), quantiles) : null;
}

/** As Difference.verdict in results.py; equal differences have no spread to judge by. */
const verdictOf = (d, words) =>
  d.n < 2 ? words.one : d.sd < 1e-12 ? words.open : d.low > 0 ? words.higher : d.high < 0 ? words.lower : words.open;

// -- drawing -----------------------------------------------------------------------------------------------------------

const polygon = (x, y, r, n, turn, inner = null) => {
  const corners = Array.from({ length: inner === null ? n : 2 * n }, (_, i) => {
    const angle = turn + (i * 2 * Math.PI) / (inner === null ? n : 2 * n);
    const far = inner === null || i % 2 === 0 ? r : inner;
    return [x + far * Math.sin(angle), y - far * Math.cos(angle)];
  });
  return `${path(corners)}Z`;
};

/** A plus (turned by 45 degrees: a cross) with thick arms. */
const plus = (x, y, r, turned) => {
  const a = r / 2.6;
  const corners = [[-a, -r], [a, -r], [a, -a], [r, -a], [r, a], [a, a], [a, r], [-a, r], [-a, a], [-r, a], [-r, -a], [-a, -a]];
  const c = Math.SQRT1_2;
  return `${path(corners.map(([u, v]) => (turned ? [x + c * (u - v), y + c * (u + v)] : [x + u, y + v])))}Z`;
};

/** The marker shapes that plots.py uses, by Matplotlib's letters. */
const SHAPES = {
  o: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  s: (x, y, r) => polygon(x, y, r * 1.2, 4, Math.PI / 4),
  D: (x, y, r) => polygon(x, y, r * 1.2, 4, 0),
  "^": (x, y, r) => polygon(x, y, r * 1.25, 3, 0),
  v: (x, y, r) => polygon(x, y, r * 1.25, 3, Math.PI),
  P: (x, y, r) => plus(x, y, r * 1.1, false),
  X: (x, y, r) => plus(x, y, r * 1.1, true),
  "*": (x, y, r) => polygon(x, y, r * 1.4, 5, 0, r * 0.6),
  "<": (x, y, r) => polygon(x, y, r * 1.25, 3, -Math.PI / 2),
  h: (x, y, r) => polygon(x, y, r * 1.2, 6, 0),
};
const shapeOf = (style) => SHAPES[style.marker] || SHAPES.o;

/** One variant at a place of an upright chart: every seed, the mean, the interval. */
function column(svg, { x, py, values, summary, style, strong, attributes = {} }) {
  const group = s("g", { class: "abl-ink", style: `--ink:${style.colour}`, ...attributes });
  if (summary.n > 1) {
    group.append(s("path", { class: "abl-bar", "data-bar": "", d:
      `M${x} ${py(summary.low)}V${py(summary.high)}M${x - 4} ${py(summary.low)}h8M${x - 4} ${py(summary.high)}h8` }));
  }
  for (const v of values) group.append(s("path", { class: "abl-seed", "data-seed": "", d: shapeOf(style)(x + 7, py(v), 2.6) }));
  group.append(s("path", { class: "abl-mean", d: shapeOf(style)(x, py(summary.mean), strong ? 7 : 5) }));
  svg.append(group);
}

/** Range that holds all numbers, a little wider, inside [0, 1]. */
function rangeOf(numbers) {
  const known = numbers.filter(Number.isFinite);
  if (!known.length) return { min: 0, max: 1 };
  const low = Math.min(...known), high = Math.max(...known), space = Math.max(0.01, (high - low) * 0.06);
  return { min: Math.max(0, low - space), max: Math.min(1, high + space) };
}
const reach = (summary) => [summary.low, summary.high, summary.mean];

/** A number with its sign in front. */
function signed(name) {
  const one = number(name);
  const put = (v) => { one.put(v); if (v > 0) one.node.textContent = `+${one.node.textContent}`; };
  return { node: one.node, put };
}

function render({ model, el }) {
  const tasks = model.get("tasks"), ways = model.get("ways"), levels = model.get("levels");
  const quantiles = model.get("quantiles"), words = model.get("verdicts"), series = model.get("series");
  if (!tasks.length) {
    frame(el, "ablation-explorer", model.get("title"), h("p", { class: "abl-none" }, "not measured: there is no record"));
    return () => {};
  }
  const at = { way: model.get("way") in ways ? model.get("way") : "ours", rule: model.get("rule") };
  for (const part of PARTS) {
    const asked = model.get(part);
    at[part] = levels[part].reduce((best, v) => (Math.abs(v - asked) < Math.abs(best - asked) ? v : best));
  }
  let task = tasks.find((t) => t.label === model.get("task")) || tasks[0];
  let allMethods = false;

  // -- what is measured ------------------------------------------------------------------------------------------------
  const uses = (settings, part) => ways[settings.way].uses.includes(part);
  const fits = (variant, settings) => variant.way === settings.way
    && (!uses(settings, "rule") || variant.rule === settings.rule)
    && PARTS.every((part) => !uses(settings, part) || variant[part] === settings[part]);
  const lookup = (settings, where = task) => where.variants.find((variant) => fits(variant, settings));
  const cm1Of = (where = task) => lookup({ way: "cm1", rule: "uniform" }, where);
  const paperOf = (where = task) => lookup(where.paper, where);
  const summaryOf = (variant) => summarise(seedsOf(variant).map((seed) => variant.values[seed]), quantiles);
  const valuesOf = (variant) => seedsOf(variant).map((seed) => variant.values[seed]);
  const tell = (settings) => [ways[settings.way].label,
    ...(uses(settings, "rule") && settings.rule ? [`rule ${settings.rule.replace("_", " ")}`] : []),
    ...PARTS.filter((part) => uses(settings, part)).map((part) => `${LETTER[part]} ${settings[part]}`)].join(", ");
  const places = (part, value) => levels[part].indexOf(value);
  /** How many changes lead from the chosen point to a variant: another method counts most, then the rule, then steps. */
  const distance = (variant) => (variant.way === at.way ? 0 : 1000)
    + (uses(variant, "rule") && variant.rule !== at.rule ? 100 : 0)
    + PARTS.reduce((sum, part) => sum + (uses(variant, part) ? Math.abs(places(part, variant[part]) - places(part, at[part])) : 0), 0);
  const gap = (variant) => PARTS.reduce((sum, part) => sum + (uses(variant, part) ? Math.abs(variant[part] - at[part]) : 0), 0);
  const nearest = () => [...task.variants].sort((a, b) => distance(a) - distance(b) || gap(a) - gap(b)).slice(0, 4);

  // -- controls --------------------------------------------------------------------------------------------------------
  const change = (part, value) => { at[part] = value; keep(model, part, value); update(); };
  const jump = (settings) => {
    at.way = settings.way;
    if (uses(settings, "rule")) at.rule = settings.rule;
    for (const part of PARTS) if (uses(settings, part)) at[part] = settings[part];
    for (const part of ["way", "rule", ...PARTS]) keep(model, part, at[part]);
    update();
    headline.focus();
  };
  const taskChoice = choice({ name: "task", label: "task", value: task.label,
    choices: tasks.map((t) => [t.label, `${t.label}: ${t.runs} run${t.runs === 1 ? "" : "s"}`]),
    onchange: (label) => {
      const before = task;
      task = tasks.find((t) => t.label === label);
      // Who stands at the paper's choice stays there, though tau may have another value for another pair.
      if (["way", "rule", ...PARTS].every((part) => at[part] === before.paper[part])) {
        for (const part of PARTS) { at[part] = task.paper[part]; keep(model, part, at[part]); }
      }
      keep(model, "task", label);
      update();
    } });
  const wayChoice = choice({ name: "way", label: "method", value: at.way, choices: Object.entries(ways).map(([way, one]) => [way, one.label]),
    onchange: (way) => change("way", way) });
  const ruleChoice = choice({ name: "rule", label: "rule", value: at.rule, choices: model.get("rules").map((rule) => [rule, rule]),
    onchange: (rule) => change("rule", rule) });
  const sliders = {}, tracks = {};
  for (const part of PARTS) {
    const one = slider({ name: part, label: `${part} (${LETTER[part]})`, value: at[part], choices: levels[part], onchange: (v) => change(part, v) });
    const ticks = h("div", { class: "abl-ticks", "aria-hidden": "true" });
    const last = levels[part].length - 1;
    const marks = levels[part].map((value, i) => h("span", { class: "abl-tick", style: `--at:${last ? i / last : 0}`, "data-level": value }));
    ticks.append(...marks);
    const track = h("div", { class: "abl-track" });
    one.input.replaceWith(track);
    track.append(one.input, ticks);
    sliders[part] = one;
    tracks[part] = marks;
  }
  const button = (text, settings) => h("button", { type: "button", onclick: () => jump(settings) }, text);
  const toPaper = h("button", { type: "button", "data-name": "to-paper", onclick: () => jump(task.paper) }, "Go to the paper’s choice");
  const toCm1 = h("button", { type: "button", "data-name": "to-cm1", onclick: () => jump({ way: "cm1", rule: "uniform" }) }, "Go to CM1");

  // -- the chosen point in numbers ---------------------------------------------------------------------------------------
  const headline = h("div", { class: "abl-headline", tabindex: -1 });
  const shown = Object.fromEntries(["mean", "sd", "low", "high"].map((what) => [what, number(what)]));
  const count = number("n", 0);
  const spread = h("span", {}, "± ", shown.sd.node, " (sd), 95% interval ", shown.low.node, " to ", shown.high.node, ",");
  const repeats = h("span");
  const result = h("div", { class: "abl-value" }, h("span", { class: "abl-big" }, shown.mean.node), spread, h("span", {}, count.node, repeats));
  const none = h("div", { class: "abl-none", "data-name": "none" }, "not measured");
  const near = h("div", { class: "dmws-row" });
  const nearBox = h("div", {}, h("div", { class: "dmws-quiet" }, "No run was made with these settings. Nearest measured settings:"), near);
  const about = h("div", { class: "dmws-quiet" });
  const rows = Object.fromEntries([["cm1", "chosen − CM1"], ["paper", "chosen − paper’s choice"]].map(([who, title]) => {
    const one = { mean: signed(`${who}-mean`), low: signed(`${who}-low`), high: signed(`${who}-high`), n: number(`${who}-n`, 0),
      verdict: h("strong", { "data-name": `${who}-verdict` }), why: h("span", { "data-name": `${who}-why` }) };
    one.interval = h("span", {}, " [", one.low.node, ", ", one.high.node, "]");
    one.seeds = h("span");
    one.numbers = h("span", {}, one.mean.node, one.interval, ", ", one.verdict, ", ", one.n.node, one.seeds);
    one.node = h("div", { class: "abl-compare" }, h("span", { class: "abl-what" }, title), one.numbers, one.why);
    return [who, one];
  }));
  const sentence = h("p", { class: "dmws-quiet", "aria-live": "polite", "data-name": "summary" });

  const compare = (who, variant, other) => {
    const row = rows[who];
    const name = who === "cm1" ? "CM1" : "the paper’s choice";
    const difference = variant && other && variant !== other ? pairedDifference(variant, other, quantiles) : null;
    row.numbers.hidden = !difference;
    row.why.hidden = Boolean(difference);
    row.interval.hidden = !difference || difference.n < 2;
    row.seeds.textContent = difference && difference.n === 1 ? " seed" : " seeds";
    for (const what of ["mean", "low", "high", "n"]) row[what].put(difference ? difference[what] : NaN);
    row.verdict.textContent = difference ? verdictOf(difference, words) : "";
    row.why.textContent = difference ? "" : !other ? `${name}: not measured` : !variant ? "not measured"
      : variant === other ? `this is ${name}` : "no seed in common";
    return difference
      ? `Minus ${name}: ${difference.mean.toFixed(3).replace("-", "minus ")}, ${row.verdict.textContent}, ${difference.n} seed${difference.n === 1 ? "" : "s"}.`
      : `${who === "cm1" ? "CM1" : "The paper’s choice"}: ${row.why.textContent.replace(/^.*: /, "")}.`;
  };

  // -- sensitivity -------------------------------------------------------------------------------------------------------
  /** The measured variants that differ from the chosen settings in one number at most, ascending in it. */
  const line = (part) => (uses(at, part)
    ? task.variants.filter((variant) => fits(variant, { ...at, [part]: variant[part] })).sort((a, b) => a[part] - b[part]) : []);
  const sensitivityRange = () => {
    const shownVariants = [...PARTS.flatMap(line), cm1Of(), paperOf(), lookup(at)].filter(Boolean);
    return rangeOf(shownVariants.flatMap((variant) => [...reach(summaryOf(variant)), ...valuesOf(variant)]));
  };
  /** Which levels get their number written: the chosen, the measured, the paper's, the others, as far as there is room. */
  const labelled = (part, room) => {
    const all = levels[part], pitch = room / (all.length + 0.2);
    const order = [at[part], ...line(part).map((v) => v[part]), task.paper[part], ...all].map((v) => places(part, v));
    const wide = (i) => 7 * String(all[i]).length + 4;
    const clear = (i, k) => i !== k && Math.abs(i - k) * pitch >= (wide(i) + wide(k)) / 2;
    return order.reduce((kept, i) => (kept.every((k) => clear(i, k)) ? [...kept, i] : kept), []);
  };
  const sensitivity = Object.fromEntries(PARTS.map((part) => [part, picture("", 250, (svg, width, height) => {
    const style = ways[at.way];
    svg.setAttribute("height", uses(at, part) ? height : 40);
    svg.setAttribute("viewBox", `0 0 ${width} ${uses(at, part) ? height : 40}`);
    if (!uses(at, part)) {
      svg.append(s("text", { class: "dmws-label", x: width / 2, y: 24, "text-anchor": "middle" }, `${part} does not count for this method`));
      return;
    }
    const a = axes(svg, width, height,
      { min: -0.6, max: levels[part].length - 0.4, ticks: labelled(part, width - 64), format: (i) => String(levels[part][i]), label: `${part} (${LETTER[part]}), steps of the slider` },
      { ...sensitivityRange(), label: "test accuracy" });
    const here = a.px(places(part, at[part])), found = line(part), cm1 = cm1Of();
    svg.append(s("rect", { class: "abl-here", x: here - 10, width: 20, y: a.y1, height: a.y0 - a.y1 }));
    if (cm1) {
      const one = summaryOf(cm1);
      const band = s("g", { class: "abl-ink", style: `--ink:${ways.cm1.colour}`, "data-band": "cm1" });
      if (one.n > 1) band.append(s("rect", { class: "abl-band", x: a.x0, width: a.x1 - a.x0, y: a.py(one.high), height: a.py(one.low) - a.py(one.high) }));
      band.append(s("path", { class: "abl-cm1", d: `M${a.x0} ${a.py(one.mean)}H${a.x1}` }));
      svg.append(band);
    }
    const paper = a.px(places(part, task.paper[part])), right = paper > (a.x0 + a.x1) / 2;
    svg.append(s("path", { class: "abl-paper", d: `M${paper} ${a.y0}V${a.y1}` }),
      s("text", { class: "dmws-tick", x: paper + (right ? -4 : 4), y: a.y1 + 10, "text-anchor": right ? "end" : "start" }, "paper"));
    levels[part].forEach((value, i) => svg.append(s("circle", { class: found.some((v) => v[part] === value) ? "abl-dot abl-has" : "abl-dot",
      cx: a.px(i), cy: a.y0, r: 3 })));
    svg.append(s("path", { class: "abl-guide abl-ink", style: `--ink:${style.colour}`,
      d: path(found.map((variant) => [a.px(places(part, variant[part])), a.py(summaryOf(variant).mean)])) }));
    for (const variant of found) {
      const x = a.px(places(part, variant[part])), summary = summaryOf(variant), chosen = variant[part] === at[part];
      column(svg, { x, py: a.py, values: valuesOf(variant), summary, style, strong: chosen, attributes: { "data-point": variant[part], "data-number": summary.mean } });
      if (chosen) svg.append(s("circle", { class: "abl-ring", "data-mark": "chosen", cx: x, cy: a.py(summary.mean), r: 11 }));
    }
    if (!found.some((variant) => variant[part] === at[part])) {
      svg.append(s("text", { class: "abl-missing", "data-mark": "missing", "text-anchor": "middle",
        transform: `translate(${here + 4} ${(a.y0 + a.y1) / 2}) rotate(-90)` }, "not measured"));
    }
  })]));

  // -- all methods -------------------------------------------------------------------------------------------------------
  /** One variant of each method, the paper's settings where they are measured, and the chosen one. */
  const methodRows = () => {
    const chosen = lookup(at), found = [];
    for (const way of Object.keys(ways)) {
      const measured = task.variants.filter((variant) => variant.way === way);
      const usual = measured.find((variant) => fits(variant, { ...task.paper, way }));
      found.push(...(usual ? [usual] : measured.slice(0, 1)));
      if (chosen && chosen.way === way && !found.includes(chosen)) found.push(chosen);
    }
    return found;
  };
  const dots = picture("", 200, (svg, width) => {
    const shownRows = methodRows(), chosen = lookup(at), narrow = width < 560;
    const pitch = narrow ? 44 : 28, left = narrow ? 8 : 292, top = 8, bottom = 46, height = top + bottom + pitch * shownRows.length;
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const chance = 1 / task.classes;
    const range = rangeOf(shownRows.flatMap((variant) => [...reach(summaryOf(variant)), ...valuesOf(variant)]));
    const x0 = left, x1 = width - 52, px = (v) => x0 + ((v - range.min) / (range.max - range.min)) * (x1 - x0);
    const end = height - bottom;
    for (const v of nice(range.min, range.max, Math.max(2, Math.floor((x1 - x0) / 80)))) {
      svg.append(s("line", { class: "dmws-grid", x1: px(v), x2: px(v), y1: top, y2: end }),
        s("text", { class: "dmws-tick", x: px(v), y: end + 16, "text-anchor": "middle" }, String(v)));
    }
    svg.append(s("text", { class: "dmws-label", x: (x0 + x1) / 2, y: height - 8, "text-anchor": "middle" }, "test accuracy"));
    if (chance > range.min && chance < range.max) {
      svg.append(s("path", { class: "abl-paper", d: `M${px(chance)} ${top}V${end}` }), s("text", { class: "dmws-tick", x: px(chance) + 4, y: end - 4 }, "chance"));
    }
    shownRows.forEach((variant, i) => {
      const y = top + pitch * i + (narrow ? 30 : pitch / 2), style = ways[variant.way], summary = summaryOf(variant);
      if (variant === chosen) svg.append(s("rect", { class: "abl-here", x: 0, width, y: top + pitch * i, height: pitch, "data-mark": "chosen-row" }));
      const name = (variant === chosen ? "▸ " : "") + (variant === chosen && variant !== paperOf() ? tell(variant) : style.label);
      svg.append(s("text", { class: variant === chosen ? "dmws-tick abl-strong" : "dmws-tick", x: narrow ? 4 : left - 12, y: narrow ? top + pitch * i + 15 : y + 4,
        "text-anchor": narrow ? "start" : "end" }, name));
      const group = s("g", { class: "abl-ink", style: `--ink:${style.colour}`, "data-row": variant.key, "data-number": summary.mean });
      if (summary.n > 1) group.append(s("path", { class: "abl-bar", d: `M${px(summary.low)} ${y + 7}H${px(summary.high)}` }));
      group.append(s("path", { class: "abl-bar abl-thick", d: `M${px(summary.mean)} ${y + 2}v10` }));
      for (const v of valuesOf(variant)) group.append(s("path", { class: "abl-seed", d: shapeOf(style)(px(v), y - 4, 4) }));
      svg.append(group, s("text", { class: "dmws-tick", x: width - 4, y: y + 4, "text-anchor": "end" }, summary.mean.toFixed(3)));
    });
  });

  // -- labelled share ----------------------------------------------------------------------------------------------------
  const friends = () => (series[task.label] || []).map((label) => tasks.find((t) => t.label === label));
  /** What is drawn over the labelled share: label, style and the variant of each task, or undefined. */
  const fractionLines = () => {
    const all = friends(), found = [];
    const add = (label, way, pick, note = "") => {
      const variants = all.map(pick);
      if (variants.some(Boolean) && !found.some((one) => one.variants.every((v, i) => v === variants[i]))) found.push({ label, note, style: ways[way], variants });
    };
    add(`chosen: ${tell(at)}`, at.way, (t) => lookup(at, t), "chosen");
    add("the paper’s choice", "ours", paperOf, "paper");
    add(ways.cm1.label, "cm1", cm1Of, "CM1");
    if (allMethods) for (const way of Object.keys(ways)) add(ways[way].label, way, (t) => lookup({ ...t.paper, way }, t));
    return found;
  };
  const fractionKey = h("div", { class: "dmws-facts" });
  const fractions = picture("", 280, (svg, width, height) => {
    const all = friends();
    if (!all.length) return;
    const lines = fractionLines();
    const range = rangeOf(lines.flatMap((one) => one.variants.filter(Boolean)).flatMap((v) => [...reach(summaryOf(v)), ...valuesOf(v)]));
    const a = axes(svg, width, height,
      { min: -0.5, max: all.length - 0.5, ticks: all.map((_, i) => i), format: (i) => `${Number((100 * all[i].fraction).toPrecision(6))}%`, label: "labelled share and training" },
      { ...range, label: "test accuracy" }, { left: 52, right: 12, top: 12, bottom: 58 });
    all.forEach((t, i) => svg.append(s("text", { class: "dmws-tick", x: a.px(i), y: a.y0 + 30, "text-anchor": "middle" },
      t.steps ? `${t.steps} steps` : `${t.epochs} epochs`)));
    const measured = all.indexOf(task), wide = (a.x1 - a.x0) / all.length;
    svg.append(s("rect", { class: "abl-here", x: a.px(measured) - wide * 0.46, width: wide * 0.92, y: a.y1, height: a.y0 - a.y1 }));
    lines.forEach((one, k) => {
      const shift = lines.length > 1 ? (k / (lines.length - 1) - 0.5) * Math.min(wide * 0.7, 40 * (lines.length - 1)) : 0;
      const points = one.variants.map((variant, i) => variant && { variant, x: a.px(i) + shift, summary: summaryOf(variant) }).filter(Boolean);
      svg.append(s("path", { class: "abl-guide abl-ink", style: `--ink:${one.style.colour}`, d: path(points.map((p) => [p.x, a.py(p.summary.mean)])) }));
      if (one.note) one.variants.forEach((variant, i) => variant || svg.append(s("text", { class: "dmws-tick", "text-anchor": "middle",
        "data-mark": "missing", transform: `translate(${a.px(i) + shift + 4} ${(a.y0 + a.y1) / 2}) rotate(-90)` }, `${one.note}: not measured`)));
      for (const p of points) column(svg, { x: p.x, py: a.py, values: valuesOf(p.variant), summary: p.summary, style: one.style, strong: k === 0, attributes: { "data-share": p.variant.key, "data-number": p.summary.mean } });
    });
  });
  const everyMethod = toggle({ name: "all-methods", label: "all methods", value: false, onchange: (on) => { allMethods = on; update(); } });
  const fractionBox = h("div", { "data-name": "fractions" }, h("div", { class: "abl-head" }, "Over the labelled share"), everyMethod.node, fractionKey, fractions.node);

  // -- the numbers as a table --------------------------------------------------------------------------------------------
  const body = h("tbody");
  const table = h("details", {}, h("summary", {}, "All measured settings of this task, as a table"),
    h("div", { class: "abl-scroll", tabindex: 0, role: "region", "aria-label": "All measured settings of this task" },
      h("table", { class: "abl-table" }, h("thead", {}, h("tr", {}, ["settings (choose)", "mean", "95% interval", "seeds"].map((t) => h("th", { scope: "col" }, t)))), body)));
  const fillTable = () => {
    body.replaceChildren(...task.variants.map((variant) => {
      const summary = summaryOf(variant), cells = Object.fromEntries(["mean", "low", "high"].map((what) => [what, number(`${what} of ${variant.key}`)]));
      for (const what of Object.keys(cells)) cells[what].put(summary[what]);
      return h("tr", { "data-key": variant.key }, h("th", { scope: "row" }, button(tell(variant), variant)), h("td", {}, cells.mean.node),
        h("td", {}, cells.low.node, " to ", cells.high.node), h("td", {}, String(summary.n)));
    }));
  };

  // -- keys --------------------------------------------------------------------------------------------------------------
  const sign = (draw, word) => {
    const svg = s("svg", { width: 26, height: 18, "aria-hidden": "true", focusable: "false" });
    draw(svg);
    return h("span", { class: "dmws-key" }, svg, word);
  };
  const markKey = (style, word, size = 5) => sign((svg) => svg.append(s("g", { class: "abl-ink", style: `--ink:${style.colour}` },
    s("path", { class: "abl-mean", d: shapeOf(style)(13, 9, size) }))), word);
  const chartKey = h("div", { class: "dmws-facts dmws-quiet" });
  const fillKeys = () => {
    const style = ways[at.way], ink = `--ink:${style.colour}`;
    chartKey.replaceChildren(
      markKey(style, "mean; bar: 95% interval", 5),
      sign((svg) => svg.append(s("g", { class: "abl-ink", style: ink }, [4, 9, 14].map((y) => s("path", { class: "abl-seed", d: shapeOf(style)(13, y, 2.6) })))), "each seed"),
      sign((svg) => svg.append(s("circle", { class: "abl-ring", cx: 13, cy: 9, r: 7 })), "chosen"),
      sign((svg) => svg.append(s("path", { class: "abl-guide abl-ink", style: ink, d: "M1 9H25" })), "line only guides the eye"),
      sign((svg) => svg.append(s("g", { class: "abl-ink", style: `--ink:${ways.cm1.colour}` },
        s("rect", { class: "abl-band", x: 1, y: 3, width: 24, height: 12 }), s("path", { class: "abl-cm1", d: "M1 9H25" }))),
      cm1Of() ? "CM1, mean and interval" : "CM1: not measured"),
      sign((svg) => svg.append(s("path", { class: "abl-paper", d: "M13 1V17" })), "the paper’s value"));
  };

  function update() {
    const variant = lookup(at), summary = variant ? summaryOf(variant) : null;
    const options = { way: wayChoice, rule: ruleChoice };
    for (const option of wayChoice.input.options) {
      const has = task.variants.some((v) => v.way === option.value);
      option.textContent = ways[option.value].label + (has ? "" : ": not measured");
    }
    for (const option of ruleChoice.input.options) {
      option.textContent = option.value.replace("_", " ") + (!uses(at, "rule") || lookup({ ...at, rule: option.value }) ? "" : ": not measured");
    }
    for (const [part, one] of Object.entries(options)) one.put(at[part]);
    ruleChoice.input.disabled = !uses(at, "rule");
    for (const part of PARTS) {
      const counts = uses(at, part);
      sliders[part].put(at[part]);
      sliders[part].input.disabled = !counts;
      if (counts) sliders[part].input.setAttribute("aria-valuetext", `${at[part]}${variant ? "" : ", not measured"}`);
      tracks[part].forEach((mark, i) => {
        mark.classList.toggle("abl-has", counts && Boolean(lookup({ ...at, [part]: levels[part][i] })));
        mark.classList.toggle("abl-off", !counts);
      });
    }
    headline.textContent = tell(at);
    result.hidden = !variant;
    none.hidden = nearBox.hidden = Boolean(variant);
    for (const what of ["mean", "sd", "low", "high"]) shown[what].put(summary ? summary[what] : NaN);
    count.put(summary ? summary.n : NaN);
    spread.hidden = !summary || summary.n < 2;
    repeats.textContent = summary && summary.n === 1 ? " seed: no interval" : " seeds";
    near.replaceChildren(...(variant ? [] : nearest().map((v) => button(tell(v), v))));
    const span = (pair) => (pair[0] === pair[1] ? String(pair[0]) : `${pair[0]} to ${pair[1]}`);
    about.textContent = `${task.data}, ${task.pair}, ${task.size} px, ${task.steps ? `${task.steps} steps` : `${task.epochs} epochs`}: `
      + `${span(task.train)} training images, ${span(task.test)} test images, one split per seed`
      + `${task.split_rule === "grouped" ? ", copies of an image kept on one side." : task.split_rule === "random" ? ", at random: copies of an image may lie on both sides." : "."}`;
    const cm1Words = compare("cm1", variant, cm1Of());
    const paperWords = compare("paper", variant, paperOf());
    const point = summary ? `mean accuracy ${summary.mean.toFixed(3)} over ${summary.n} seed${summary.n === 1 ? "" : "s"}` : "not measured";
    sentence.textContent = `${tell(at)}: ${point}. ${variant ? `${cm1Words} ${paperWords}` : `Nearest measured: ${tell(nearest()[0])}.`}`;
    for (const part of PARTS) {
      const found = line(part);
      sensitivity[part].name(!uses(at, part) ? `${part} does not count for ${ways[at.way].label}.`
        : `Accuracy over ${part}, the other settings as chosen: ${found.map((v) => `${v[part]}: ${summaryOf(v).mean.toFixed(3)}`).join("; ") || "not measured"}.`);
      sensitivity[part].redraw();
    }
    dots.name(`Mean accuracy of the methods: ${methodRows().map((v) => `${ways[v.way].label}: ${summaryOf(v).mean.toFixed(3)}`).join("; ")}.`);
    dots.redraw();
    fractionBox.hidden = friends().length === 0;
    fractionKey.replaceChildren(...fractionLines().map((one) => markKey(one.style, one.label)));
    fractions.name(`Accuracy over the labelled share: ${fractionLines().map((one) => `${one.label}: ${friends().map((t, i) =>
      `${Number((100 * t.fraction).toPrecision(6))}% ${one.variants[i] ? summaryOf(one.variants[i]).mean.toFixed(3) : "not measured"}`).join(", ")}`).join("; ")}.`);
    fractions.redraw();
    fillKeys();
    fillTable();
  }

  frame(el, "ablation-explorer", model.get("title"),
    h("div", { class: "dmws-row" }, taskChoice.node),
    h("div", { class: "dmws-row" }, wayChoice.node, ruleChoice.node),
    h("div", { class: "dmws-row" }, PARTS.map((part) => sliders[part].node)),
    h("div", { class: "dmws-facts dmws-quiet" },
      h("span", { class: "dmws-key" }, h("span", { class: "abl-tick abl-has abl-sample" }), "measured at the other choices"),
      h("span", { class: "dmws-key" }, h("span", { class: "abl-tick abl-sample" }), "not measured")),
    h("div", { class: "dmws-row" }, toPaper, toCm1),
    h("div", { class: "abl-result" }, headline, result, none, nearBox, rows.cm1.node, rows.paper.node, about),
    sentence,
    h("div", { class: "abl-head" }, "One number at a time, the others as chosen"),
    chartKey,
    h("div", { class: "abl-charts" }, PARTS.map((part) => sensitivity[part].node)),
    h("div", { class: "abl-head" }, "All methods of this task"),
    dots.node, fractionBox, table,
    h("p", { class: "dmws-quiet" }, "Intervals are over seeds, not adjusted for how many points you try: the best of many noisy points looks good by chance. Accuracy axes do not start at 0."));
  update();
  return () => { for (const one of [...Object.values(sensitivity), dots, fractions]) one.stop(); };
}
export default { render };
