// Element selection: two teacher layers in a row, what main and auxiliary take, and the wires between the layers.

const WHO = { main: "main", aux: "auxiliary" };
const PARTS = ["main", "aux"];
// The axes in the order of the data: rows and columns of layer A, rows and columns of layer B.
const [A_ROWS, A_COLUMNS, B_ROWS, B_COLUMNS] = [0, 1, 2, 3];
const SHADES = 6;

const range = (n) => Array.from({ length: n }, (_, i) => i);
const sorted = (numbers) => [...numbers].sort((a, b) => a - b);

/** Elements of the rule "uniform", in integers: floor(i * r) for main, beside them for the auxiliary. */
function uniform(nTeacher, nStudent, part) {
  const main = range(nStudent).map((i) => Math.floor((i * nTeacher) / nStudent));
  if (part === 0) return main;
  if (nTeacher >= 2 * nStudent) {
    const shift = Math.floor(Math.floor(nTeacher / nStudent) / 2);
    return main.map((i) => i + shift);
  }
  const taken = new Set(main);
  const rest = range(nTeacher).filter((i) => !taken.has(i));
  const shared = nStudent - rest.length;
  return sorted([...rest, ...range(shared).map((i) => main[Math.floor((i * nStudent) / shared)])]);
}

/** Elements of the rule "consecutive": the first block for main, the block behind it for the auxiliary. */
function consecutive(nTeacher, nStudent, part) {
  const start = part === 0 ? 0 : Math.min(nStudent, nTeacher - nStudent);
  return range(nStudent).map((i) => start + i);
}

/** The channels of whole heads. */
const ofHeads = (heads, head) => heads.flatMap((one) => range(head).map((i) => one * head + i));

/** The elements of a part from the text of marks that Python drew: 0 neither, 1 main, 2 auxiliary, 3 both. */
const ofMarks = (text, part) => range(text.length).filter((i) => Number(text[i]) & (part + 1));

/** For each of the four axes the elements of main and of the auxiliary. */
function choose(data, state) {
  const nTeacher = data.weights[0].length;
  if (state.rule === "random") {
    const name = `random${state.consistent ? "" : "_inconsistent"}/${state.heads}`;
    const texts = data.drawn[`${state.nStudent}/${state.seed}`][name];
    return texts.map((text) => ({ main: ofMarks(text, 0), aux: ofMarks(text, 1) }));
  }
  const rule = state.rule === "uniform" ? uniform : consecutive;
  return range(4).map((axis) => {
    const whole = state.heads === "whole" && (axis === A_ROWS || axis === B_COLUMNS);
    // Inconsistent: layer B reads the hidden channels that the other student keeps.
    const own = (part) => (!state.consistent && axis === B_COLUMNS ? 1 - part : part);
    const pick = (part) => (whole
      ? ofHeads(rule(nTeacher / data.head, state.nStudent / data.head, part), data.head)
      : rule(nTeacher, state.nStudent, part));
    return { main: pick(own(0)), aux: pick(own(1)) };
  });
}

/** Shares of the teacher, as coverage() of the package counts them on these two layers. */
function coverage(chosen, nTeacher) {
  const sets = chosen.map((axis) => ({ main: new Set(axis.main), aux: new Set(axis.aux) }));
  const common = sets.map((axis) => [...axis.main].filter((i) => axis.aux.has(i)).length);
  const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length / nTeacher;
  const area = (sizes) => (sizes[0] * sizes[1] + sizes[2] * sizes[3]) / (2 * nTeacher * nTeacher);
  const size = (part) => sets.map((axis) => axis[part].size);
  const union = sets.map((axis, i) => axis.main.size + axis.aux.size - common[i]);
  return {
    channels: { main: mean(size("main")), aux: mean(size("aux")), union: mean(union), shared: mean(common) },
    weights: {
      main: area(size("main")), aux: area(size("aux")), shared: area(common),
      union: area(size("main")) + area(size("aux")) - area(common),
    },
  };
}

/** How many hidden units of a student are one teacher channel on both sides of the wire. */
const matching = (chosen, part) => chosen[A_ROWS][part].filter((c, i) => c === chosen[B_COLUMNS][part][i]).length;

/** How the outputs of a student's cut block correlate with those of the whole block, on average over the outputs.
 *  `covariance` is that of the hidden channels; an output is their sum, weighted with a row of layer B. */
function agreement(data, chosen, part) {
  const c = data.covariance, [computed, read] = [chosen[A_ROWS][part], chosen[B_COLUMNS][part]];
  const product = (a, b) => a.reduce((sum, v, i) => (v === 0 ? sum : sum + v * c[i].reduce((t, u, j) => t + u * b[j], 0)), 0);
  const each = data.weights[1].map((whole) => {
    const cut = whole.map(() => 0);
    computed.forEach((channel, i) => { cut[channel] = whole[read[i]]; });
    return product(whole, cut) / Math.sqrt(product(whole, whole) * product(cut, cut));
  });
  return each.reduce((sum, v) => sum + v, 0) / each.length;
}

/** From how many teacher heads a head of the student is filled, on average. */
function headsMixed(indices, head) {
  const heads = range(Math.ceil(indices.length / head)).map((k) => indices.slice(k * head, (k + 1) * head));
  return heads.reduce((sum, one) => sum + new Set(one.map((i) => Math.floor(i / head))).size, 0) / heads.length;
}

/** Where everything lies: side by side where there is room, else one above the other. A cell is a whole pixel count. */
function layout(width, n) {
  const wide = width >= 600, lane = 7, label = 20, before = label + 2 * lane + 4;
  const cell = Math.max(2, Math.min(wide ? 9 : 7, Math.floor(wide ? (width - 2 * label - 150) / (2 * n) : (width - before - 2) / n)));
  const side = cell * n, lanes = 2 * lane + 4;
  if (wide) {
    const gap = Math.min(220, width - 2 * side - label - 4), x0 = label + Math.floor((width - label - 2 * side - gap) / 2);
    return { wide, cell, side, lane, lanes, gap, height: before + side + 24, at: [[x0, before], [x0 + side + gap, before]] };
  }
  const gap = 130, x0 = before + Math.floor((width - before - side) / 2);
  return { wide, cell, side, lane, lanes, gap, height: 2 * side + gap + 44, at: [[x0, 20], [x0, 20 + side + gap]] };
}

/** Shade of a weight, 0 to SHADES - 1: the root spreads the many small ones. */
const shade = (weight, largest) => Math.min(SHADES - 1, Math.floor(Math.sqrt(Math.abs(weight) / largest) * SHADES));

function render({ model, el }) {
  const data = Object.fromEntries(["names", "weights", "channels", "lengths", "drawn", "head", "covariance"].map((k) => [k, model.get(k)]));
  const n = data.weights[0].length;
  const state = { rule: model.get("rule"), consistent: model.get("consistent"), nStudent: model.get("n_student"),
    part: model.get("part"), heads: model.get("heads"), seed: model.get("seed") };
  const cursor = { layer: 0, hidden: 0, other: 0 };
  const largest = data.weights.map((rows) => Math.max(...rows.flat().map(Math.abs)));
  let chosen = choose(data, state), place = null;

  const shown = () => PARTS.filter((part) => state.part === "both" || state.part === part);
  const axesOf = (layer) => (layer === 0 ? { hidden: A_ROWS, other: A_COLUMNS } : { hidden: B_COLUMNS, other: B_ROWS });
  const weight = (at) => (at.layer === 0 ? data.weights[0][at.hidden][at.other] : data.weights[1][at.other][at.hidden]);
  /** The students that take an entry, as a number: 1 main, 2 auxiliary, 3 both. */
  const takers = (at, parts) => {
    const { hidden, other } = axesOf(at.layer);
    return parts.reduce((sum, part) => sum + (chosen[hidden][part].includes(at.hidden) && chosen[other][part].includes(at.other)
      ? PARTS.indexOf(part) + 1 : 0), 0);
  };
  /** Pixel corner of an entry; the hidden channels run along the strip of wires. */
  const corner = (at) => {
    const [x, y] = place.at[at.layer], [across, down] = place.wide ? [at.other, at.hidden] : [at.hidden, at.other];
    return [x + across * place.cell, y + down * place.cell];
  };

  // -- the drawing ----------------------------------------------------------------------------------------------------

  /** All entries of a layer: one path for each colour and shade. */
  function entries(layer) {
    const { hidden, other } = axesOf(layer), parts = shown(), paths = {};
    const mark = (axis) => range(n).map((i) => parts.map((part) => chosen[axis][part].includes(i)));
    const [alongHidden, alongOther] = [mark(hidden), mark(other)];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const who = parts.filter((_, k) => alongHidden[i][k] && alongOther[j][k]);
        const name = who.length === 2 ? "both" : who[0] || "none";
        const key = `${name} ${shade(weight({ layer, hidden: i, other: j }), largest[layer])}`;
        const [x, y] = place.wide ? [j, i] : [i, j];
        (paths[key] = paths[key] || []).push(`M${x} ${y}h1v1h-1z`);
      }
    }
    const [x, y] = place.at[layer];
    return s("g", { transform: `translate(${x} ${y}) scale(${place.cell})`, "data-layer": layer },
      s("rect", { width: n, height: n, class: "dmws-selection-back" }),
      Object.entries(paths).map(([key, pieces]) => {
        const [name, level] = key.split(" ");
        return s("path", { d: pieces.join(""), class: `dmws-selection-${name}`, "fill-opacity": opacity(name, Number(level)) });
      }));
  }
  const opacity = (name, level) => (name === "none" ? 0.04 + 0.07 * level : 0.3 + 0.14 * level).toFixed(2);

  /** Marks along an axis, a lane for each student: position as well as colour says who takes the channel. */
  function lanes(axis) {
    const layer = axis < 2 ? 0 : 1, alongHidden = axis === A_ROWS || axis === B_COLUMNS;
    const [x, y] = place.at[layer], { cell, side, lane } = place;
    const down = alongHidden === place.wide;  // whether the channels run down
    return shown().map((part) => {
      const away = 3 + lane * PARTS.indexOf(part);
      // Hidden channels are marked on the side of the wires, the others at the left or on top.
      const after = alongHidden && layer === 0;
      const pieces = chosen[axis][part].map((i) => (down
        ? `M${after ? x + side + away : x - away - lane + 2} ${y + i * cell}h${lane - 2}v${cell - 1}h${2 - lane}z`
        : `M${x + i * cell} ${after ? y + side + away : y - away - lane + 2}v${lane - 2}h${cell - 1}v${2 - lane}z`));
      return s("path", { d: pieces.join(""), class: `dmws-selection-${part}`, "data-axis": axis, "data-part": part });
    });
  }

  /** The wires: unit i of a student is its i-th row in layer A and its i-th column in layer B. */
  function wires() {
    const { cell, side, wide, gap } = place, [x, y] = place.at[0];
    const start = (wide ? x : y) + side + place.lanes, end = (wide ? x : y) + side + gap - place.lanes;
    const middle = (i, part) => (wide ? y : x) + (i + 0.5) * cell + (shown().length > 1 ? PARTS.indexOf(part) - 0.5 : 0);
    const lines = shown().flatMap((part) => chosen[A_ROWS][part].map((from, i) => {
      const to = chosen[B_COLUMNS][part][i], here = cursor.hidden === (cursor.layer === 0 ? from : to);
      const [a, b] = [middle(from, part), middle(to, part)];
      return s("line", {
        ...(wide ? { x1: start, x2: end, y1: a, y2: b } : { x1: a, x2: b, y1: start, y2: end }),
        class: `dmws-wire dmws-wire-${from === to ? part : "broken"}${here ? " dmws-wire-here" : ""}`,
        "stroke-dasharray": part === "aux" ? "5 3" : null, "data-part": part, "data-from": from, "data-to": to,
      });
    }));
    const box = wide ? { x: start, y, width: end - start, height: side } : { x, y: start, width: side, height: end - start };
    const broken = shown().some((part) => matching(chosen, part) < state.nStudent);
    return s("g", { "data-wires": broken ? "broken" : "whole" }, s("rect", { ...box, class: `dmws-strip${broken ? " dmws-strip-broken" : ""}` }), lines);
  }

  /** Lines between the heads, where whole heads are taken. */
  function headLines() {
    const { at: [[x, y]], wide, side, gap, cell } = place;
    return range(state.heads === "whole" ? n / data.head - 1 : 0).map((k) => {
      const at = (wide ? y : x) + (k + 1) * data.head * cell, [from, to] = [wide ? x : y, (wide ? x : y) + 2 * side + gap];
      return s("line", { class: "dmws-selection-head", ...(wide ? { x1: from, x2: to, y1: at, y2: at } : { x1: at, x2: at, y1: from, y2: to }) });
    });
  }

  /** Titles and what the axes are. */
  function words() {
    const { at: [[ax, ay], [bx, by]], wide, side, gap, lanes: l } = place;
    const text = (x, y, words, anchor = "middle", turned = false) => s("text", { class: "dmws-tick", "text-anchor": anchor,
      ...(turned ? { transform: `translate(${x} ${y}) rotate(-90)` } : { x, y }) }, words);
    const half = side / 2;
    if (wide) {
      return [text(ax + half, ay - l - 6, "layer A: input channels →"), text(ax - 8, ay + half, "← hidden channels", "middle", true),
        text(bx + half, by - l - 6, "layer B: output channels →"), text(ax + side + gap / 2, ay - 6, "hidden channels"),
        text(ax + half, ay + side + 16, "rows run across"), text(bx + half, by + side + 16, "on its side: columns run down")];
    }
    return [text(ax + half, ay - 6, "layer A on its side: hidden channels →"), text(ax - l - 6, ay + half, "← input channels", "middle", true),
      text(bx - l - 6, by + half, "← output channels", "middle", true), text(bx + half, by + side + 16, "layer B: hidden channels →")];
  }

  const marker = s("rect", { class: "dmws-selection-cursor" });
  const drawing = picture("", (width) => layout(width, n).height, (svg, width) => {
    place = layout(width, n);
    svg.append(entries(0), entries(1), ...range(4).flatMap(lanes), wires(), ...headLines(), ...words(), marker);
    mark();
  });
  function mark() {
    if (!place) return;
    const [x, y] = corner(cursor);
    for (const [key, value] of Object.entries({ x: x - 1.5, y: y - 1.5, width: place.cell + 3, height: place.cell + 3 })) marker.setAttribute(key, value);
    for (const line of drawing.svg.querySelectorAll(".dmws-wire")) {
      line.classList.toggle("dmws-wire-here", Number(cursor.layer === 0 ? line.dataset.from : line.dataset.to) === cursor.hidden);
    }
  }

  // -- the cursor -----------------------------------------------------------------------------------------------------

  const cellWords = h("p", { class: "dmws-selection-cell", "data-name": "cell" });
  const value = number("value", 3);
  function read() {
    const { hidden, other } = axesOf(cursor.layer), letter = "AB"[cursor.layer];
    const teachers = (axis, i) => `${data.channels[axis][i]} of ${data.lengths[axis]} in the teacher`;
    const kind = cursor.layer === 0 ? "input" : "output";
    value.put(weight(cursor));
    const [row, column] = cursor.layer === 0 ? [cursor.hidden, cursor.other] : [cursor.other, cursor.hidden];
    const [rowKind, columnKind] = cursor.layer === 0 ? ["hidden", kind] : [kind, "hidden"];
    const [rows, columns] = cursor.layer === 0 ? [hidden, other] : [other, hidden];
    const taken = PARTS.map((part) => {
      const [i, j] = [chosen[rows][part].indexOf(row), chosen[columns][part].indexOf(column)];
      return i >= 0 && j >= 0 ? `${WHO[part]} takes it as its row ${i}, column ${j}` : null;
    }).filter(Boolean);
    const wired = PARTS.map((part) => {
      const [here, there] = cursor.layer === 0 ? [chosen[A_ROWS], chosen[B_COLUMNS]] : [chosen[B_COLUMNS], chosen[A_ROWS]];
      const i = here[part].indexOf(cursor.hidden);
      if (i < 0) return null;
      const partner = there[part][i], does = cursor.layer === 0 ? "is read by column" : "is fed by row";
      const verdict = partner === cursor.hidden ? "the same channel" : `channel ${partner}: another one`;
      return `In ${WHO[part]}, hidden channel ${cursor.hidden} ${does} ${i} of layer ${"BA"[cursor.layer]}, ${verdict}.`;
    }).filter(Boolean);
    cellWords.replaceChildren(`Layer ${letter}, row ${row} (${rowKind}, ${teachers(rows, row)}), column ${column} (${columnKind}, ${teachers(columns, column)}): weight `,
      value.node, `; ${taken.join("; ") || "neither student takes it"}. ${wired.join(" ")}`);
    Object.assign(cellWords.dataset, { layer: letter, row, column, takers: takers(cursor, PARTS) });
  }
  const go = (next, aloud) => {
    Object.assign(cursor, next);
    cellWords.setAttribute("aria-live", aloud ? "polite" : "off");
    mark();
    read();
  };
  const pointed = (event) => {
    if (!place) return;
    const box = drawing.svg.getBoundingClientRect();
    for (const layer of [0, 1]) {
      const across = Math.floor((event.clientX - box.left - place.at[layer][0]) / place.cell);
      const down = Math.floor((event.clientY - box.top - place.at[layer][1]) / place.cell);
      if (across >= 0 && across < n && down >= 0 && down < n) {
        go({ layer, ...(place.wide ? { hidden: down, other: across } : { hidden: across, other: down }) }, false);
      }
    }
  };
  const pressed = (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") go({ layer: 1 - cursor.layer }, true);
    else if (steps && !event.ctrlKey && !event.altKey && !event.metaKey) {
      const [across, down] = steps.map((v) => v * (event.shiftKey ? data.head : 1));
      const [byHidden, byOther] = place && place.wide ? [down, across] : [across, down];
      const within = (i) => Math.max(0, Math.min(n - 1, i));
      go({ hidden: within(cursor.hidden + byHidden), other: within(cursor.other + byOther) }, true);
    } else return;
    event.preventDefault();
  };
  drawing.svg.addEventListener("pointermove", pointed);
  drawing.svg.addEventListener("pointerdown", pointed);
  const field = h("div", { class: "dmws-selection-field", tabindex: 0, role: "application", "data-name": "field", onkeydown: pressed,
    "aria-label": "Entries of the two layers. Arrow keys move, with Shift by one head; Enter goes to the other layer." }, drawing.node);

  // -- the counters ---------------------------------------------------------------------------------------------------

  const COUNTS = ["main", "aux", "union", "shared"];
  const counts = Object.fromEntries(["channels", "weights"].flatMap((what) => COUNTS.map((who) => [`${what}-${who}`, number(`${what}-${who}`, 1, " %")])));
  const fits = Object.fromEntries(PARTS.map((part) => [part, number(`wired-${part}`, 0)]));
  const outputs = Object.fromEntries(PARTS.map((part) => [part, number(`agreement-${part}`, 2)]));
  const mixed = number("heads-mixed", 2);
  const verdict = h("p", { class: "dmws-verdict", "data-name": "verdict", "aria-live": "polite" });
  const note = h("p", { class: "dmws-quiet", "data-name": "rule-used" });
  const table = h("table", { class: "dmws-selection-table" },
    h("caption", {}, "Share of the two layers shown that is taken"),
    h("thead", {}, h("tr", {}, h("td", {}), ["main", "auxiliary", "either", "both"].map((word) => h("th", { scope: "col" }, word)))),
    h("tbody", {}, ["channels", "weights"].map((what) => h("tr", {}, h("th", { scope: "row" }, what),
      COUNTS.map((who) => h("td", {}, counts[`${what}-${who}`].node))))));

  const update = () => {
    chosen = choose(data, state);
    const covered = coverage(chosen, n);
    for (const what of ["channels", "weights"]) for (const who of COUNTS) counts[`${what}-${who}`].put(100 * covered[what][who]);
    for (const part of PARTS) { fits[part].put(matching(chosen, part)); outputs[part].put(agreement(data, chosen, part)); }
    mixed.put(headsMixed(chosen[A_ROWS].main, data.head));
    const broken = shown().some((part) => matching(chosen, part) < state.nStudent);
    verdict.dataset.state = broken ? "broken" : "whole";
    verdict.replaceChildren(broken ? "✗ Broken wiring. " : "✓ Consistent. ", "Hidden channels that mean the same in both layers: ",
      ...shown().flatMap((part, i) => [`${i ? ", " : ""}${WHO[part]} `, fits[part].node, ` of ${state.nStudent}`]),
      broken ? ". Red wires lead to another teacher channel." : ". Every wire runs straight.",
      " The output of the cut block correlates with that of the whole block: ",
      ...shown().flatMap((part, i) => [`${i ? ", " : ""}${WHO[part]} `, outputs[part].node]), ".");
    const called = state.rule === "random" && !state.consistent ? "random_inconsistent" : state.rule;
    const why = { uniform: "It looks only at the sizes, so both layers agree.", consecutive: "It looks only at the sizes, so both layers agree.",
      random: "One shuffle for each pair of sizes, so both layers agree.", random_inconsistent: "A new shuffle for every axis of every tensor." };
    const mistake = !state.consistent && state.rule !== "random";
    note.replaceChildren("In Python: ", h("code", {}, `rule="${called}", heads="${state.heads}"`), mistake
      ? ", with a mistake that the package does not make: layer B reads the hidden channels of the other student." : `. ${why[called]}`);
    seed.input.disabled = state.rule !== "random";
    root.dataset.rule = called;
    root.dataset.indices = JSON.stringify(chosen);
    drawing.name(`Weights of two layers in a row, ${n} by ${n} entries each, and the wires of the hidden channels between them. ${verdict.textContent}`);
    drawing.redraw();
    read();
  };
  const put = (name, trait, v) => { state[name] = v; keep(model, trait, v); };

  // -- the controls ---------------------------------------------------------------------------------------------------

  const rule = choice({ name: "rule", label: "rule", value: state.rule, choices: ["uniform", "consecutive", "random"].map((r) => [r, r]),
    onchange: (v) => { put("rule", "rule", v); update(); } });
  const consistent = toggle({ name: "consistent", label: "consistent: both layers keep the same hidden channels", value: state.consistent,
    onchange: (v) => { put("consistent", "consistent", v); update(); } });
  const ratio = slider({ name: "ratio", label: "ratio", value: state.nStudent, choices: sorted(model.get("students")).reverse(),
    format: (v) => `${Number((n / v).toFixed(2))}`, onchange: (v) => { put("nStudent", "n_student", v); update(); } });
  const part = choice({ name: "part", label: "show", value: state.part, choices: [["both", "both students"], ["main", "main"], ["aux", "auxiliary"]],
    onchange: (v) => { put("part", "part", v); update(); } });
  const heads = choice({ name: "heads", label: "heads", value: state.heads,
    choices: [["strided", "strided: any channel"], ["whole", `whole: ${n / data.head} heads of ${data.head}`]],
    onchange: (v) => { put("heads", "heads", v); update(); } });
  const seed = slider({ name: "seed", label: "seed", value: state.seed, min: 0, max: model.get("seeds") - 1, step: 1,
    onchange: (v) => { put("seed", "seed", v); update(); } });
  const key = (word, name) => h("span", { class: "dmws-key" }, h("span", { class: `dmws-swatch dmws-selection-swatch-${name}` }), word);
  const ofAxis = (word, axis) => `${word}: ${n} of ${data.lengths[axis]}`;

  const root = frame(el, "element-selection", model.get("title"),
    h("div", { class: "dmws-row" }, rule.node, ratio.node, part.node, heads.node, seed.node, consistent.node),
    verdict,
    field,
    h("div", { class: "dmws-facts" }, key("main", "main"), key("auxiliary (dashed wires)", "aux"), key("both", "both"), key("neither", "none"),
      key("broken wire", "broken"), h("span", { class: "dmws-quiet" }, "stronger colour: larger absolute weight")),
    cellWords, table, h("p", {}, "Teacher heads that one head of main is filled from, on average: ", mixed.node), note,
    h("p", { class: "dmws-quiet" }, `Real weights: layer A is ${data.names[0]}, layer B ${data.names[1]}. Evenly spaced channels are shown and cut as if there were no others (`,
      [ofAxis("hidden", A_ROWS), ofAxis("input", A_COLUMNS), ofAxis("output", B_ROWS)].join("; "),
      `). Heads are attention's; here the hidden channels are read as ${n / data.head} heads of ${data.head}, as between the value and output matrices of attention.`));
  update();
  return () => drawing.stop();
}
export default { render };
