// What all widgets share. Plain functions, put before each widget's own module by widgets/base.py.

const FOCUSABLE = ["input", "select", "button", "summary", "textarea"];

/** Make an element: tag, attributes (functions become listeners), children (text or elements). */
function make(space, tag, attributes, children) {
  const node = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.replace(/^on/, ""), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  // JupyterLab takes arrow keys and letters for its own commands, unless the element in focus asks it not to.
  if (FOCUSABLE.includes(tag) || node.hasAttribute("tabindex")) node.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const h = (tag, attributes, ...children) => make(null, tag, attributes, children);
const s = (tag, attributes, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);

let lastId = 0;
const newId = (word) => `dmws-${word}-${Date.now().toString(36)}-${++lastId}`;

/** A labelled slider. `choices` (a list) makes it step through those values; else min, max, step count. */
function slider({ name, label, value, min, max, step, choices, format, onchange }) {
  const id = newId(name);
  const show = format || ((v) => String(v));
  const at = (input) => (choices ? choices[Number(input.value)] : Number(input.value));
  const range = choices ? { min: 0, max: choices.length - 1, step: 1 } : { min, max, step };
  const input = h("input", { type: "range", id, "data-name": name, ...range });
  const nearest = (v) => choices.reduce((best, c, i) => (Math.abs(c - v) < Math.abs(choices[best] - v) ? i : best), 0);
  const put = (v) => { input.value = choices ? nearest(v) : v; say(); };
  const output = h("output", { for: id, "data-name": `${name}-shown` });
  const say = () => { output.textContent = show(at(input)); input.setAttribute("aria-valuetext", show(at(input))); };
  input.addEventListener("input", () => { say(); onchange(at(input)); });
  put(value);
  const node = h("div", { class: "dmws-control" }, h("label", { for: id }, label), input, output);
  return { node, input, put, value: () => at(input) };
}

/** A labelled drop-down list: `choices` is a list of [value, text]. */
function choice({ name, label, value, choices, onchange }) {
  const id = newId(name);
  const input = h("select", { id, "data-name": name, onchange: () => onchange(input.value) },
    choices.map(([v, text]) => h("option", { value: v, selected: String(v) === String(value) }, text)));
  const node = h("div", { class: "dmws-control" }, h("label", { for: id }, label), input);
  return { node, input, put: (v) => { input.value = v; }, value: () => input.value };
}

/** A labelled check box. */
function toggle({ name, label, value, onchange }) {
  const id = newId(name);
  const input = h("input", { type: "checkbox", id, "data-name": name, onchange: () => onchange(input.checked) });
  input.checked = Boolean(value);
  const node = h("div", { class: "dmws-control dmws-check" }, input, h("label", { for: id }, label));
  return { node, input, put: (v) => { input.checked = v; }, value: () => input.checked };
}

/** A number in the text, for eyes and tests (data-number has all its digits); what is read out is the widget's sentence. */
function number(name, digits = 3, unit = "") {
  const node = h("output", { class: "dmws-number", "data-name": name, "aria-live": "off" });
  const put = (v) => {
    node.dataset.number = String(v);
    node.textContent = Number.isFinite(v) ? `${v.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−")}${unit}` : "–";
  };
  return { node, put };
}

/** A picture with a title for screen readers, drawn anew for every width: draw(svg, width, height) fills an empty <svg>.
 *  `height` is a number, or a function of the width. */
function picture(label, height, draw) {
  const svg = s("svg", { role: "img", "aria-label": label, class: "dmws-picture", height: typeof height === "function" ? null : height });
  const node = h("div", { class: "dmws-frame" }, svg);
  let width = 0;
  const redraw = () => {
    if (!width) return;
    const tall = typeof height === "function" ? height(width) : height;
    svg.replaceChildren();
    svg.setAttribute("width", width);
    svg.setAttribute("height", tall);
    svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    draw(svg, width, tall);
  };
  const watch = new ResizeObserver(() => {
    const now = Math.floor(node.clientWidth);
    if (now > 0 && now !== width) { width = now; redraw(); }
  });
  watch.observe(node);
  return { node, svg, redraw, name: (text) => svg.setAttribute("aria-label", text), stop: () => watch.disconnect() };
}

/** Axes for a chart: x and y are {min, max, label, ticks?, log?, format?}; returns functions to pixels. */
function axes(svg, width, height, x, y, margin = { left: 52, right: 12, top: 12, bottom: 42 }) {
  const inner = { x0: margin.left, x1: width - margin.right, y0: height - margin.bottom, y1: margin.top };
  const part = (axis, v) => axis.log
    ? (Math.log(v) - Math.log(axis.min)) / (Math.log(axis.max) - Math.log(axis.min))
    : (v - axis.min) / (axis.max - axis.min);
  const px = (v) => inner.x0 + part(x, v) * (inner.x1 - inner.x0);
  const py = (v) => inner.y0 + part(y, v) * (inner.y1 - inner.y0);
  const text = (axis, v) => (axis.format ? axis.format(v) : String(v));
  for (const v of x.ticks || nice(x.min, x.max, Math.max(2, Math.floor(width / 90)))) {
    svg.append(s("line", { class: "dmws-grid", x1: px(v), x2: px(v), y1: inner.y0, y2: inner.y1 }));
    svg.append(s("text", { class: "dmws-tick", x: px(v), y: inner.y0 + 16, "text-anchor": "middle" }, text(x, v)));
  }
  for (const v of y.ticks || nice(y.min, y.max, Math.max(2, Math.floor(height / 50)))) {
    svg.append(s("line", { class: "dmws-grid", x1: inner.x0, x2: inner.x1, y1: py(v), y2: py(v) }));
    svg.append(s("text", { class: "dmws-tick", x: inner.x0 - 6, y: py(v) + 4, "text-anchor": "end" }, text(y, v)));
  }
  svg.append(s("text", { class: "dmws-label", x: (inner.x0 + inner.x1) / 2, y: height - 6, "text-anchor": "middle" }, x.label));
  svg.append(s("text", { class: "dmws-label", "text-anchor": "middle",
    transform: `translate(13 ${(inner.y0 + inner.y1) / 2}) rotate(-90)` }, y.label));
  return { px, py, ...inner };
}

/** About n round numbers between low and high. */
function nice(low, high, n) {
  const raw = (high - low) / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= raw) || raw;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

/** An SVG path through points [[x, y], ...] in pixels. */
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");

/** Remember a value in the model; on a page without a kernel there is no one to tell. */
function keep(model, name, value) {
  model.set(name, value);
  try { model.save_changes(); } catch (error) { if (!/comm|kernel|live/i.test(String(error))) throw error; }
}

/** Fill `el` with a titled widget and hide the static figure that stands for it. Call once the parts are drawn. */
function frame(el, name, title, ...parts) {
  const id = newId("title");
  const root = h("section", { class: "dmws-widget", "data-widget": name, "data-lm-suppress-shortcuts": "true", role: "group", "aria-labelledby": id },
    h("div", { class: "dmws-title", id }, title), ...parts);
  el.classList.add("dmws-host");
  el.append(root);
  for (const figure of document.querySelectorAll(`.dmws-fallback[data-stands-for="${name}"]`)) figure.hidden = true;
  return root;
}
