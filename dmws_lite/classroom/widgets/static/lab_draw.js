// The distillation lab's pictures: decision regions, thumbnails, curves, and the spread over seeds. No training here.

/** Fill colours of the classes. They differ in lightness as well as in hue, and none is a method's line colour. */
const CLASS_COLOURS = ["#e8a800", "#4a3aa7", "#1fa39a", "#b3574f", "#7f93a8", "#8a8a1f", "#b57fd0", "#5a2e12"];

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

const ring = (n, r, turn, inner = r) => Array.from({ length: n }, (_, i) => {
  const angle = turn + (2 * Math.PI * i) / n, far = i % 2 ? inner : r;
  return [far * Math.sin(angle), -far * Math.cos(angle)];
});
const closed = (corners) => `${path(corners)}Z`;

/** Outlines by Matplotlib's letters, about (0, 0), as the figures of the book draw the methods. */
const OUTLINES = {
  o: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  D: (r) => closed(ring(4, r * 1.25, 0)),
  "^": (r) => closed(ring(3, r * 1.3, 0)),
  v: (r) => closed(ring(3, r * 1.3, Math.PI)),
  s: (r) => closed(ring(4, r * 1.25, Math.PI / 4)),
  "*": (r) => closed(ring(10, r * 1.45, 0, r * 0.6)),
};

/** Outlines of the classes' points, in their order: a point is told by its shape as well as by its colour. */
const POINT_SHAPES = ["o", "s", "^", "D", "v", "*"];

/** A method's marker on a piece of its line. */
const sample = (method, dashed = false) => s("svg", { class: "lab-sample", width: 26, height: 14, viewBox: "0 0 26 14", "aria-hidden": "true" },
  s("path", { class: "lab-line", d: "M0 7H26", style: `--ink: var(--lab-${method.key})`, "stroke-dasharray": dashed ? "5 4" : null }),
  s("path", { class: "lab-mark", d: OUTLINES[method.marker](4), transform: "translate(13 7)", style: `--ink: var(--lab-${method.key})` }));

// -- what a network makes of its inputs --------------------------------------------------------------------------------

/** A square canvas as wide as its place. draw(context, width) is called with CSS pixels. */
function canvasPanel(name) {
  const canvas = h("canvas", { class: "lab-canvas", role: "img", "data-name": name });
  const context = canvas.getContext("2d");
  let width = 0;
  const fit = () => {
    const now = Math.round(canvas.clientWidth), scale = Math.min(2, window.devicePixelRatio || 1);
    if (!now || now * scale === canvas.width) return Boolean(now);
    width = now;
    canvas.width = canvas.height = now * scale;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    return true;
  };
  return {
    canvas,
    name: (text) => canvas.setAttribute("aria-label", text),
    paint: (draw) => { if (fit()) draw(context, width); },
  };
}

/** Inputs at the middles of an n x n grid over [-half, half] squared, rows from top to bottom. */
function gridInputs(n, half) {
  const x = new Float64Array(2 * n * n);
  for (let row = 0; row < n; row++) {
    for (let column = 0; column < n; column++) {
      x[2 * (row * n + column)] = half * ((2 * column + 1) / n - 1);
      x[2 * (row * n + column) + 1] = half * (1 - (2 * row + 1) / n);
    }
  }
  return x;
}

/** Paints decision regions: the colour is the likeliest class, and it pales where the network is unsure. */
function regionPainter() {
  const small = document.createElement("canvas"), grids = {};
  return (context, width, { probabilities, n, classes, back }) => {
    if (small.width !== n) small.width = small.height = n;
    const brush = small.getContext("2d"), image = (grids[n] ||= brush.createImageData(n, n)), colours = CLASS_COLOURS.map(rgb);
    for (let i = 0; i < n * n; i++) {
      let best = 0;
      for (let k = 1; k < classes; k++) if (probabilities[i * classes + k] > probabilities[i * classes + best]) best = k;
      const sure = (probabilities[i * classes + best] - 1 / classes) / (1 - 1 / classes), share = 0.06 + 0.56 * Math.max(0, sure);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = back[c] + share * (colours[best][c] - back[c]);
      image.data[4 * i + 3] = 255;
    }
    brush.putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, width, width);
  };
}

const OUTLINE_PATHS = {};
const outline = (letter, r) => (OUTLINE_PATHS[`${letter}${r}`] ||= new Path2D(OUTLINES[letter](r)));

function drawOutline(context, x, y, letter, r, fill, stroke, line) {
  context.save();
  context.translate(x, y);
  const shape = outline(letter, r);
  if (stroke) { context.lineWidth = line; context.strokeStyle = stroke; context.stroke(shape); }
  if (fill) { context.fillStyle = fill; context.fill(shape); }
  context.restore();
}

function drawCross(context, x, y, r, colour, line) {
  context.beginPath();
  context.moveTo(x - r, y - r);
  context.lineTo(x + r, y + r);
  context.moveTo(x + r, y - r);
  context.lineTo(x - r, y + r);
  context.lineWidth = line;
  context.strokeStyle = colour;
  context.stroke();
}

/** Small dots: points of the test set or of the teacher's task, at most `most` of them. */
function drawDots(context, width, half, { x, labels, n }, most) {
  context.globalAlpha = 0.75;
  for (let i = 0; i < Math.min(n, most); i++) {
    context.fillStyle = CLASS_COLOURS[labels[i]];
    context.fillRect((width * (1 + x[2 * i] / half)) / 2 - 0.9, (width * (1 - x[2 * i + 1] / half)) / 2 - 0.9, 1.8, 1.8);
  }
  context.globalAlpha = 1;
}

/** Labelled points: ringed, in the colour and shape of their label; a wrong label is crossed; those of the last step
 *  have a second ring. */
function drawLabelled(context, width, half, train, batch, ink, back) {
  const r = Math.max(3, Math.min(5, width / 48));
  for (let i = 0; i < train.n; i++) {
    const x = (width * (1 + train.x[2 * i] / half)) / 2, y = (width * (1 - train.x[2 * i + 1] / half)) / 2, k = train.labels[i];
    context.beginPath();
    context.arc(x, y, r + 2.2, 0, 2 * Math.PI);
    context.fillStyle = back;
    context.fill();
    context.lineWidth = 1.3;
    context.strokeStyle = ink;
    context.stroke();
    drawOutline(context, x, y, POINT_SHAPES[k % POINT_SHAPES.length], r - 0.6, CLASS_COLOURS[k]);
    if (train.truth[i] !== k) drawCross(context, x, y, r + 3.5, ink, 2);
    if (batch && batch.includes(i)) {
      context.beginPath();
      context.arc(x, y, r + 5.5, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.strokeStyle = ink;
      context.stroke();
    }
  }
}

/** Thumbnails in rows of `across`. Each of `items` is { pixels, side, badge, colour, ringed, crossed, share }. */
function drawThumbnails(context, width, across, items, ink, back) {
  const cell = width / across, gap = Math.max(1.5, cell * 0.07), size = cell - 2 * gap, small = document.createElement("canvas");
  context.fillStyle = `rgb(${back.join(" ")})`;
  context.fillRect(0, 0, width, width);
  context.imageSmoothingEnabled = false;
  items.forEach((item, at) => {
    const x = (at % across) * cell + gap, y = Math.floor(at / across) * cell + gap;
    if (y + size > width + 1) return;
    small.width = small.height = item.side;
    const brush = small.getContext("2d"), image = brush.createImageData(item.side, item.side);
    item.pixels.forEach((value, i) => {
      const grey = 255 * Math.min(1, Math.max(0, value));
      image.data.set([grey, grey, grey, 255], 4 * i);
    });
    brush.putImageData(image, 0, 0);
    context.drawImage(small, x, y, size, size);
    const line = Math.max(2, size * 0.09);
    context.lineWidth = line;
    context.strokeStyle = item.colour;
    context.strokeRect(x + line / 2, y + line / 2, size - line, size - line);
    if (item.ringed) {
      context.lineWidth = 1.5;
      context.strokeStyle = ink;
      context.strokeRect(x - 1.2, y - 1.2, size + 2.4, size + 2.4);
    }
    if (item.badge && size > 20) {
      const tall = Math.max(9, Math.round(size * 0.34));
      context.fillStyle = item.colour;
      context.fillRect(x, y + size - tall, tall, tall);
      context.fillStyle = item.light ? "#1f2328" : "#ffffff";
      context.font = `700 ${Math.round(tall * 0.85)}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(item.badge, x + tall / 2, y + size - tall / 2 + 0.5);
    }
    if (item.crossed) {
      const r = Math.max(3, size * 0.15), cx = x + size - r - line, cy = y + r + line;
      drawCross(context, cx, cy, r, "#000000", 4.5);
      drawCross(context, cx, cy, r, "#ffffff", 2.2);
    }
  });
}

/** Whether dark letters read better on a class's colour than white ones. */
const isLight = (k) => { const [r, g, b] = rgb(CLASS_COLOURS[k]); return 0.3 * r + 0.59 * g + 0.11 * b > 140; };

// -- curves ------------------------------------------------------------------------------------------------------------

/** Move labels apart that would stand on each other: each keeps at least `gap` from the next, inside [top, bottom]. */
function spread(labels, gap, top, bottom) {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  let free = top;
  for (const one of sorted) { one.y = Math.max(one.y, free); free = one.y + gap; }
  free = bottom;
  for (const one of sorted.reverse()) { one.y = Math.min(one.y, free); free = one.y - gap; }
  return labels;
}

/** A chart of curves over optimiser steps with names at their ends, and a line at the step that is shown.
 *  state() returns { steps, at, lines: [{ key, words, marker, points: [[step, value]], dashed, thick }], y, floor }. */
function curveChart({ label, height, right, state, title }) {
  let place = null, cursor = null;
  const chart = picture(label, height, (svg, width, tall) => {
    const { steps, lines, y, floor } = state();
    const margin = { left: 34, right: right(width), top: 20, bottom: 20 };
    const x = { min: 0, max: steps, label: "", format: (v) => (v === 0 ? "0" : String(v)) };
    place = axes(svg, width, tall, x, { label: "", ...y }, margin);
    svg.append(s("text", { class: "lab-chart-title", x: 2, y: 12 }, title(width)));
    if (floor) {
      const at = place.py(floor.value);
      svg.append(s("line", { class: "lab-floor", x1: place.x0, x2: place.x1, y1: at, y2: at }),
        s("text", { class: "dmws-tick", x: place.x1 - 2, y: at - 4, "text-anchor": "end" }, floor.words));
    }
    const ends = [];
    for (const one of lines) {
      if (!one.points.length) continue;
      const style = `--ink: var(--lab-${one.key})`, at = one.points.map(([step, value]) => [place.px(step), place.py(value)]);
      const [x1, y1] = at[at.length - 1];
      const group = s("g", { class: one.thick ? "lab-curve lab-chosen" : "lab-curve", style, "data-curve": one.name, "data-last": one.points.at(-1)[1], "data-points": at.length },
        s("path", { class: "lab-line", d: path(at), "stroke-dasharray": one.dashed ? "5 4" : null }));
      if (one.marker) group.append(s("path", { class: "lab-mark", d: OUTLINES[one.marker](4), transform: `translate(${x1.toFixed(2)} ${y1.toFixed(2)})` }));
      svg.append(group);
      if (one.words) ends.push({ ...one, x: x1 + 12, y: y1, style });
    }
    // Each name has its line's mark before it: names that moved apart are still told from each other.
    for (const one of spread(ends, 14, place.y1 + 6, place.y0 - 4)) {
      const y = one.y.toFixed(1);
      svg.append(s("g", { style: one.style },
        one.marker ? s("path", { class: "lab-mark", d: OUTLINES[one.marker](3.6), transform: `translate(${one.x.toFixed(1)} ${y})` })
          : s("line", { class: "lab-line", x1: one.x - 5, x2: one.x + 6, y1: y, y2: y, "stroke-dasharray": "3 2.5" }),
        s("text", { class: one.thick ? "lab-end lab-strong" : "lab-end", x: (one.x + 9).toFixed(1), y: (one.y + 4).toFixed(1) }, one.words)));
    }
    cursor = s("line", { class: "lab-cursor", y1: place.y0, y2: place.y1 });
    svg.append(cursor);
    chart.move(state().at);
  });
  chart.move = (step) => {
    if (!place || !cursor) return;
    const x = place.px(step);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
  };
  return chart;
}

// -- seeds -------------------------------------------------------------------------------------------------------------

const average = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
const signed2 = (v, n = 3) => `${v < 0 ? "−" : "+"}${Math.abs(v).toFixed(n)}`;

/** The spread of every method over seeds, and the paired differences with their intervals, in one picture. */
function seedChart({ methods, state, pairedOf }) {
  const rowOf = (width) => (width < 480 ? 23 : 28);
  const chart = picture("", (width) => 88 + rowOf(width) * (methods.length + state().pairs.length), (svg, width) => {
    const { results, pairs, floor } = state(), small = width < 480, left = small ? 104 : 124, right = small ? 56 : 62, ROW = rowOf(width);
    const text = (attributes, words) => svg.append(s("text", attributes, words));
    const values = methods.map((method) => results[method.key].main);
    const all = values.flat(), low = Math.min(floor, ...all) - 0.01, high = Math.max(...all) + 0.01;
    const head = (y, words) => text({ class: "lab-chart-title", x: 2, y }, words);
    head(12, small ? "a dot is a seed" : "test accuracy at the end: a dot is a seed, the bar is the mean");
    const first = 26, last = first + ROW * methods.length;
    const px = (v) => left + ((v - low) / (high - low)) * (width - left - right);
    for (const v of nice(low, high, Math.max(2, Math.floor((width - left - right) / (small ? 44 : 70))))) {
      svg.append(s("line", { class: "dmws-grid", x1: px(v), x2: px(v), y1: first, y2: last }));
      text({ class: "dmws-tick", x: px(v), y: last + 13, "text-anchor": "middle" }, String(v));
    }
    methods.forEach((method, row) => {
      const y = first + ROW * (row + 0.5), mean = average(values[row]);
      const group = s("g", { class: "lab-curve", style: `--ink: var(--lab-${method.key})`, "data-seeds": method.key, "data-n": values[row].length, "data-mean": mean });
      values[row].forEach((v, i) => group.append(s("circle", { class: "lab-seed", cx: px(v).toFixed(1), cy: (y + ((i * 0.618034) % 1 - 0.5) * (ROW - 10)).toFixed(1), r: 2.6 })));
      group.append(s("line", { class: "lab-mean", x1: px(mean), x2: px(mean), y1: y - 10, y2: y + 10 }),
        s("path", { class: "lab-mark", d: OUTLINES[method.marker](4), transform: `translate(8 ${y})` }));
      svg.append(group);
      text({ class: "lab-end lab-strong", x: 18, y: y + 4 }, method.short);
      text({ class: "lab-end", x: width - right + 6, y: y + 4 }, mean.toFixed(3));
    });
    const rows = pairs.map(([a, b]) => ({ a, b, ...pairedOf(results[a.key].main, results[b.key].main) }));
    const reach = 1.1 * Math.max(0.01, ...rows.flatMap((d) => [Math.abs(d.low), Math.abs(d.high)]).filter(Number.isFinite), ...rows.map((d) => Math.abs(d.mean)));
    const begin = last + 40, end = begin + ROW * rows.length;
    const dx = (v) => left + ((v + reach) / (2 * reach)) * (width - left - right);
    head(begin - 8, small ? "paired differences, 95% interval" : "paired differences over the seeds, 95% interval");
    for (const v of nice(-reach, reach, Math.max(2, Math.floor((width - left - right) / (small ? 36 : 80))))) {
      svg.append(s("line", { class: v === 0 ? "lab-zero" : "dmws-grid", x1: dx(v), x2: dx(v), y1: begin, y2: end }));
      text({ class: "dmws-tick", x: dx(v), y: end + 13, "text-anchor": "middle" }, v === 0 ? "0" : signed2(v, 2));
    }
    rows.forEach((d, row) => {
      const y = begin + ROW * (row + 0.5), clear = d.low > 0 || d.high < 0;
      text({ class: clear ? "lab-end lab-strong" : "lab-end", x: 2, y: y + 4 }, `${d.a.short} − ${d.b.short}`);
      if (Number.isFinite(d.low)) svg.append(s("line", { class: clear ? "lab-interval lab-clear" : "lab-interval", x1: dx(d.low), x2: dx(d.high), y1: y, y2: y }));
      svg.append(s("circle", { class: clear ? "lab-middle lab-clear" : "lab-middle", cx: dx(d.mean), cy: y, r: 4.5, "data-pair": `${d.a.key}-${d.b.key}`, "data-mean": d.mean, "data-low": d.low, "data-high": d.high }));
      text({ class: clear ? "lab-end lab-strong" : "lab-end", x: width - right + 6, y: y + 4 }, signed2(d.mean));
    });
  });
  return chart;
}
