// Ablation explorer: what the records say at one point of method, rule, alpha, beta and tau. It offers measured points
// only: a choice that no run was made with leads to the nearest one that has a record.

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
  const tasks = model.get("tasks"), ways = model.get("ways");
  const quantiles = model.get("quantiles"), words = model.get("verdicts"), series = model.get("series");
  if (!tasks.length) {
    frame(el, "ablation-explorer", model.get("title"), h("p", {}, "There is no record."));
    return () => {};
  }
  const at = Object.fromEntries(["way", "rule", ...PARTS].map((part) => [part, model.get(part)]));
  let task = tasks.find((t) => t.label === model.get("task")) || tasks[0];
  let allMethods = false;

  // -- what is measured ------------------------------------------------------------------------------------------------
  const uses = (settings, part) => settings.way in ways && ways[settings.way].uses.includes(part);
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
  const ordered = (values) => [...new Set(values)].sort((a, b) => a - b);
  /** What is measured of one setting in this task, with the chosen method. */
  const offered = (part) => ordered(task.variants.filter((v) => v.way === at.way).map((v) => v[part]));
  /** How far a variant is from the chosen settings: another method counts most, then the rule, then each other number. */
  const distance = (variant) => (variant.way === at.way ? 0 : 1000) + (uses(variant, "rule") && variant.rule !== at.rule ? 100 : 0)
    + PARTS.reduce((sum, part) => sum + (uses(variant, part) && variant[part] !== at[part] ? 10 : 0), 0);
  const gap = (variant) => PARTS.reduce((sum, part) => sum + (uses(variant, part) ? Math.abs(variant[part] - at[part]) : 0), 0);
  const nearest = (variants) => [...variants].sort((a, b) => distance(a) - distance(b) || gap(a) - gap(b))[0];
  let note = "";
  /** Stand at a measured variant; say which settings had to change besides the one that was asked for. */
  const settle = (variants, asked) => {
    const found = nearest(variants), moved = [];
    for (const part of ["way", "rule", ...PARTS]) {
      if (part !== "way" && !uses(found, part)) continue;
      if (found[part] !== at[part] && part !== asked) moved.push(part === "way" ? ways[found.way].label : `${LETTER[part] || "rule"} ${found[part]}`);
      at[part] = found[part];
    }
    note = moved.length ? `No run was made with the other settings as they were; now ${moved.join(", ")}.` : "";
    for (const part of ["way", "rule", ...PARTS]) keep(model, part, at[part]);
  };
  settle(task.variants);
  note = "";

  // -- controls --------------------------------------------------------------------------------------------------------
  const change = (part, value) => {
    at[part] = value;
    settle(task.variants.filter((v) => v[part] === value && (part === "way" || v.way === at.way)), part);
    update();
  };
  const jump = (settings) => {
    Object.assign(at, Object.fromEntries(["way", "rule", ...PARTS].filter((part) => part === "way" || uses(settings, part)).map((part) => [part, settings[part]])));
    settle(task.variants);
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
      settle(task.variants);
      update();
    } });
  const wayChoice = choice({ name: "way", label: "method", value: at.way, choices: [],
    onchange: (way) => change("way", way) });
  const ruleChoice = choice({ name: "rule", label: "rule", value: at.rule, choices: [],
    onchange: (rule) => change("rule", rule) });
  const lists = Object.fromEntries(PARTS.map((part) => [part, choice({ name: part, label: `${part} (${LETTER[part]})`, value: at[part], choices: [],
    onchange: (v) => change(part, Number(v)) })]));
  /** Fill a list with what is measured; where a setting has no effect it is empty. */
  const fill = (list, options, value, name) => {
    list.input.replaceChildren(...options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)));
    list.input.disabled = !options.length;
    if (!options.length) list.input.append(h("option", {}, `no ${name} in this method`));
    else list.put(value);
  };
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
  const moved = h("p", { class: "dmws-quiet", "data-name": "moved", "aria-live": "polite" });
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
    row.why.textContent = difference ? "" : !other ? `${name}: no run in this task` : variant === other ? `this is ${name}` : "no seed in common";
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
  const sensitivity = Object.fromEntries(PARTS.map((part) => [part, picture("", 250, (svg, width, height) => {
    const style = ways[at.way];
    svg.setAttribute("height", uses(at, part) ? height : 40);
    svg.setAttribute("viewBox", `0 0 ${width} ${uses(at, part) ? height : 40}`);
    if (!uses(at, part)) {
      svg.append(s("text", { class: "dmws-label", x: width / 2, y: 24, "text-anchor": "middle" }, `${part} does not count for this method`));
      return;
    }
    const found = line(part), values = found.map((v) => v[part]), cm1 = cm1Of();
    const a = axes(svg, width, height,
      { min: -0.6, max: values.length - 0.4, ticks: values.map((_, i) => i), format: (i) => String(values[i]), label: `${part} (${LETTER[part]}), the values measured` },
      { ...sensitivityRange(), label: "test accuracy" });
    const here = a.px(values.indexOf(at[part]));
    svg.append(s("rect", { class: "abl-here", x: here - 10, width: 20, y: a.y1, height: a.y0 - a.y1 }));
    if (cm1) {
      const one = summaryOf(cm1);
      const band = s("g", { class: "abl-ink", style: `--ink:${ways.cm1.colour}`, "data-band": "cm1" });
      if (one.n > 1) band.append(s("rect", { class: "abl-band", x: a.x0, width: a.x1 - a.x0, y: a.py(one.high), height: a.py(one.low) - a.py(one.high) }));
      band.append(s("path", { class: "abl-cm1", d: `M${a.x0} ${a.py(one.mean)}H${a.x1}` }));
      svg.append(band);
    }
    if (values.includes(task.paper[part])) {
      const paper = a.px(values.indexOf(task.paper[part])), right = paper > (a.x0 + a.x1) / 2;
      svg.append(s("path", { class: "abl-paper", d: `M${paper} ${a.y0}V${a.y1}` }),
        s("text", { class: "dmws-tick", x: paper + (right ? -4 : 4), y: a.y1 + 10, "text-anchor": right ? "end" : "start" }, "paper"));
    }
    svg.append(s("path", { class: "abl-guide abl-ink", style: `--ink:${style.colour}`,
      d: path(found.map((variant) => [a.px(values.indexOf(variant[part])), a.py(summaryOf(variant).mean)])) }));
    for (const variant of found) {
      const x = a.px(values.indexOf(variant[part])), summary = summaryOf(variant), chosen = variant[part] === at[part];
      column(svg, { x, py: a.py, values: valuesOf(variant), summary, style, strong: chosen, attributes: { "data-point": variant[part], "data-number": summary.mean } });
      if (chosen) svg.append(s("circle", { class: "abl-ring", "data-mark": "chosen", cx: x, cy: a.py(summary.mean), r: 11 }));
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
      cm1Of() ? "CM1, mean and interval" : "CM1: no run in this task"),
      sign((svg) => svg.append(s("path", { class: "abl-paper", d: "M13 1V17" })), "the paper’s value"));
  };

  function update() {
    const variant = lookup(at), summary = summaryOf(variant);
    fill(wayChoice, Object.keys(ways).filter((way) => task.variants.some((v) => v.way === way)).map((way) => [way, ways[way].label]), at.way);
    const rules = [...new Set(task.variants.filter((v) => v.way === at.way).map((v) => v.rule))];
    fill(ruleChoice, uses(at, "rule") ? rules.map((rule) => [rule, rule.replace("_", " ")]) : [], at.rule, "rule");
    for (const part of PARTS) fill(lists[part], uses(at, part) ? offered(part).map((v) => [v, String(v)]) : [], at[part], part);
    toPaper.hidden = !paperOf();
    toCm1.hidden = !cm1Of();
    moved.textContent = note;
    moved.hidden = !note;
    headline.textContent = tell(at);
    for (const what of ["mean", "sd", "low", "high"]) shown[what].put(summary[what]);
    count.put(summary.n);
    spread.hidden = summary.n < 2;
    repeats.textContent = summary.n === 1 ? " seed: no interval" : " seeds";
    const span = (pair) => (pair[0] === pair[1] ? String(pair[0]) : `${pair[0]} to ${pair[1]}`);
    about.textContent = `${task.data}, ${task.pair}, ${task.size} px, ${task.steps ? `${task.steps} steps` : `${task.epochs} epochs`}: `
      + `${span(task.train)} training images, ${span(task.test)} test images, one split per seed`
      + `${task.split_rule === "grouped" ? ", copies of an image kept on one side." : task.split_rule === "random" ? ", at random: copies of an image may lie on both sides." : "."}`;
    const cm1Words = compare("cm1", variant, cm1Of());
    const paperWords = compare("paper", variant, paperOf());
    const point = `mean accuracy ${summary.mean.toFixed(3)} over ${summary.n} seed${summary.n === 1 ? "" : "s"}`;
    sentence.textContent = `${tell(at)}: ${point}. ${cm1Words} ${paperWords}`;
    for (const part of PARTS) {
      const found = line(part);
      sensitivity[part].name(!uses(at, part) ? `${part} does not count for ${ways[at.way].label}.`
        : `Accuracy over ${part}, the other settings as chosen: ${found.map((v) => `${v[part]}: ${summaryOf(v).mean.toFixed(3)}`).join("; ")}.`);
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
    h("div", { class: "dmws-row" }, PARTS.map((part) => lists[part].node)),
    h("div", { class: "dmws-row" }, toPaper, toCm1),
    h("div", { class: "abl-result" }, headline, result, moved, rows.cm1.node, rows.paper.node, about),
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
