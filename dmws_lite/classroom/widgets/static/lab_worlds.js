// The distillation lab's data: points in the plane and thumbnails of phantoms, each task with the related task that its
// teacher learned before; students cut from a teacher; batches. Everything is drawn from seeds.

import { layout } from "./lab_net.js";
import { elementIndices } from "./lab_rules.js";

/** Uniform numbers in [0, 1) from a seed and the number of a stream (mulberry32): whole-number arithmetic, the same in
 *  every browser. */
export function generator(seed, stream = 0) {
  let state = (Math.imul(seed, 0x9e3779b1) + Math.imul(stream, 0x85ebca6b)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** One normal number (Box and Muller). */
const gaussian = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** The numbers 0 .. n - 1 in a random order (Fisher and Yates). */
function shuffled(n, random) {
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// -- points in the plane, within about -2.3 .. 2.3 ---------------------------------------------------------------------

/** The k-th of some arms that wind around the middle. */
function spiral(k, arms, random, turn, spread) {
  const r = 0.15 + 0.85 * random();
  const angle = 2 * Math.PI * (k / arms + 1.2 * r + turn) + (spread * gaussian(random)) / Math.max(r, 0.3);
  return [2 * r * Math.cos(angle), 2 * r * Math.sin(angle)];
}

/** The k-th of some rings around the middle. */
function ring(k, rings, random, stretch, spread) {
  const r = 0.3 + (1.65 * k) / (rings - 1) + spread * gaussian(random), angle = 2 * Math.PI * random();
  return [r * stretch * Math.cos(angle), (r / stretch) * Math.sin(angle)];
}

/** The k-th of some bands with a wavy border, one above the other. */
function wave(k, bands, random, phase, spread) {
  const x = 4.2 * random() - 2.1, y = ((k + 0.5 + 0.7 * (random() - 0.5)) / bands - 0.5) * 4.2;
  return [x, y + 0.55 * Math.sin(2.2 * x + phase) + spread * gaussian(random)];
}

/** The k-th of some crescents around the middle. */
function moon(k, moons, random, turn, spread) {
  const angle = Math.PI * random(), around = 2 * Math.PI * (k / moons + turn);
  const x = 1.1 + 0.75 * Math.cos(angle) + spread * gaussian(random), y = 1.15 * Math.sin(angle) - 0.5 + spread * gaussian(random);
  return [x * Math.cos(around) - y * Math.sin(around), x * Math.sin(around) + y * Math.cos(around)];
}

// -- thumbnails of phantoms --------------------------------------------------------------------------------------------

const SIDE = 12;
const soft = (d) => (d <= -0.5 ? 1 : d >= 0.5 ? 0 : 0.5 - d * (1.5 - 2 * d * d)); // inside a border one pixel wide

/** A head in cross-section as in dmws_lite/images/phantoms/mri.py, far simpler: scalp, skull, brain with its ventricles,
 *  a random pose, bias field and noise. `lesions` is a list of { x, y, r, bright }, in shares of the head's half axes. */
function head(random, lesions) {
  const half = SIDE / 2, a = half * (0.72 + 0.08 * random()), b = half * (0.86 + 0.08 * random());
  const tilt = 0.07 * gaussian(random), shiftX = 0.2 * gaussian(random), shiftY = 0.2 * gaussian(random);
  const brain = 0.5 + 0.06 * gaussian(random), wide = 0.1 + 0.08 * random(), slope = 0.05 * gaussian(random), gain = 1 + 0.06 * gaussian(random);
  const image = new Float64Array(SIDE * SIDE), cos = Math.cos(tilt), sin = Math.sin(tilt);
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const u = column + 0.5 - half - shiftX, v = row + 0.5 - half - shiftY;
      const x = (u * cos + v * sin) / a, y = (v * cos - u * sin) / b, q = Math.sqrt(x * x + y * y);
      let value = 0.75 * soft((q - 1) * half); // scalp, then skull, then brain
      value += (0.1 - value) * soft((q - 0.9) * half);
      value += (brain - value) * soft((q - 0.78) * half);
      for (const side of [-1, 1]) {
        const d = Math.sqrt(((x - side * 0.16) / wide) ** 2 + ((y + 0.02) / 0.3) ** 2);
        value += (0.18 - value) * 0.9 * soft((d - 1) * half * wide);
      }
      for (const { x: at, y: down, r, bright } of lesions) {
        const d = Math.sqrt((x - at) ** 2 + (y - down) ** 2);
        value += (bright - value) * soft((d - r) * half);
      }
      image[row * SIDE + column] = Math.min(1, Math.max(0, value * gain * (1 + slope * x) + 0.03 * gaussian(random)));
    }
  }
  return image;
}

/** A lesion `far` from the middle, even or with a dark core. */
function lesion(random, angle, far, cored) {
  const x = far * Math.sin(angle), y = -far * Math.cos(angle), r = 0.17 + 0.12 * random(), bright = 0.72 + 0.25 * random();
  return cored ? [{ x, y, r: r + 0.1, bright }, { x, y, r: 0.6 * r, bright: 0.2 }] : [{ x, y, r, bright }];
}

/** The four classes of the brain phantoms: a deep lesion with a dark core, an even one at the border, none, one at the
 *  place of the pituitary gland. */
function tumour(k, random) {
  const angle = Math.PI * (0.15 + 0.7 * random()) * (random() < 0.5 ? -1 : 1);
  if (k === 0) return lesion(random, angle, 0.3 + 0.15 * random(), true);
  if (k === 1) return lesion(random, angle, 0.66, false);
  return k === 3 ? lesion(random, Math.PI + 0.1 * gaussian(random), 0.36 + 0.05 * gaussian(random), false) : [];
}

/** What the phantoms' teacher learned: where a lesion is, of six directions, deep or at the border; or that there is none. */
function place(k, random) {
  if (k === 12) return [];
  const angle = (2 * Math.PI * ((k % 6) + 0.8 * (random() - 0.5))) / 6;
  return lesion(random, angle, k < 6 ? 0.3 + 0.15 * random() : 0.62 + 0.08 * random(), random() < 0.5);
}

// -- tasks -------------------------------------------------------------------------------------------------------------

const letters = (n, word) => Array.from({ length: n }, (_, i) => `${word} ${String.fromCharCode(65 + i)}`);
const plane = (names, draw, source) => ({ inputs: 2, side: 0, names, draw, source: { names: letters(6, "class"), draw: source } });

/** Every task: names of the classes, draw(class, random) -> inputs, and the same of the teacher's task (`source`). */
export const TASKS = {
  plane: {
    spirals: plane(letters(3, "arm"), (k, random) => spiral(k, 3, random, 1 / 11, 0.12), (k, random) => spiral(k, 6, random, 0, 0.08)),
    rings: plane(letters(3, "ring"), (k, random) => ring(k, 3, random, 1.1, 0.16), (k, random) => ring(k, 6, random, 1, 0.1)),
    waves: plane(letters(3, "band"), (k, random) => wave(k, 3, random, 0.3, 0.1), (k, random) => wave(k, 6, random, 0, 0.05)),
    moons: plane(letters(3, "moon"), (k, random) => moon(k, 3, random, 0.04, 0.12), (k, random) => moon(k, 6, random, 0, 0.08)),
  },
  phantoms: {
    mri: {
      inputs: SIDE * SIDE, side: SIDE, names: ["glioma-like", "meningioma-like", "no tumour", "pituitary-like"],
      draw: (k, random) => head(random, tumour(k, random)),
      source: { names: letters(13, "place"), draw: (k, random) => head(random, place(k, random)) },
    },
  },
};

/** Draw n inputs of a task, all classes in turn: { x, labels, n }. A longer draw begins with a shorter one. */
export function drawInputs(task, n, random) {
  const x = new Float64Array(n * task.inputs), labels = new Uint8Array(n), classes = task.names.length;
  for (let i = 0; i < n; i++) {
    labels[i] = i % classes;
    x.set(task.draw(labels[i], random), i * task.inputs);
  }
  return { x, labels, n };
}

const TESTS = { plane: 300, phantoms: 200 };
const SHOWN = { plane: 240, phantoms: 25 }; // inputs of the teacher's own task, only to be looked at

/** The inputs of a run, see `lab.data` in lab_engine.js. */
export function drawTask({ world, task: name, labels: perClass, noise, seed }) {
  const task = TASKS[world][name], classes = task.names.length;
  const train = drawInputs(task, perClass * classes, generator(seed, 1));
  const test = drawInputs(task, TESTS[world] - (TESTS[world] % classes), generator(seed, 2));
  train.truth = Uint8Array.from(train.labels);
  const random = generator(seed, 3);
  for (const i of shuffled(train.n, random).slice(0, Math.round(noise * train.n))) {
    train.labels[i] = (train.labels[i] + 1 + Math.floor(random() * (classes - 1))) % classes;
  }
  const source = { ...drawInputs({ ...task.source, inputs: task.inputs }, SHOWN[world], generator(seed, 4)) };
  Object.assign(source, { classes: task.source.names.length, names: task.source.names });
  return { inputs: task.inputs, side: task.side, classes, labels: task.names, train, test, source };
}

// -- students ----------------------------------------------------------------------------------------------------------

/** A student's fresh weights: uniform in ± 1 / sqrt(inputs of the layer), as PyTorch's linear layers begin. The normal
 *  0.02 of timm suits networks with norms; in these it made the random start worse (5 labels of each class, rate 0.001,
 *  30 seeds: 0.395 in place of 0.455), and the lab compares with the better one. */
export function freshStudent(sizes, seed) {
  const { layers, count } = layout(sizes), random = generator(seed, 5), values = new Float64Array(count);
  for (const { from, to, weight, bias } of layers) {
    for (let i = weight; i < bias + to; i++) values[i] = (2 * random() - 1) / Math.sqrt(from);
  }
  return values;
}

/** Read a teacher of data/lab/teachers.json: { sizes, values, accuracy, classes }; its weights lie there as fp16. */
export function decodeTeacher({ sizes, weights, accuracy }) {
  const bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
  const values = Float64Array.from({ length: bytes.length / 2 }, (_, i) => {
    const half = view.getUint16(2 * i, true), power = (half >> 10) & 31, rest = half & 1023;
    return (half & 0x8000 ? -1 : 1) * (power ? 2 ** (power - 15) * (1 + rest / 1024) : (2 ** -14 * rest) / 1024);
  });
  if (values.length !== layout(sizes).count) throw new RangeError(`a teacher of ${sizes.join("-")} has ${layout(sizes).count} weights, not ${values.length}`);
  return { sizes, values, accuracy, classes: sizes.at(-1) };
}

/** Joint norm of all weights of each hidden unit: its row, its bias, its column in the next layer (a classifier, which is
 *  not selected, does not count). */
function norms(teacher, l) {
  const { layers } = layout(teacher.sizes), { from, to, weight, bias } = layers[l], next = layers[l + 1], v = teacher.values;
  return Array.from({ length: to }, (_, o) => {
    let sum = v[bias + o] ** 2;
    for (let i = 0; i < from; i++) sum += v[weight + o * from + i] ** 2;
    if (l + 2 < layers.length) for (let i = 0; i < next.to; i++) sum += v[next.weight + i * next.from + o] ** 2;
    return Math.sqrt(sum);
  });
}

/** Which teacher units each layer of a student takes; layers are named fc1, fc2, ... for the inconsistent rule. */
export function chooseUnits(teacher, sizes, rule, part, seed) {
  return sizes.slice(1, -1).map((size, l) => {
    const choose = (wide, narrow, of, key) =>
      elementIndices({ teacher: wide, student: narrow, rule, part, seed, key, scores: rule === "magnitude" ? norms(teacher, of) : [] });
    const name = `fc${l + 1}`, wide = teacher.sizes[l + 1];
    return {
      rows: choose(wide, size, l, `${name}.weight/0`),
      columns: l ? choose(teacher.sizes[l], sizes[l], l - 1, `${name}.weight/1`) : null,
      bias: choose(wide, size, l, `${name}.bias/0`),
    };
  });
}

/** Weight selection: hidden layers from the teacher's chosen units, the classifier as in `fresh`. */
export function cutStudent(teacher, sizes, units, fresh) {
  const small = layout(sizes).layers, big = layout(teacher.sizes).layers, values = Float64Array.from(fresh);
  units.forEach(({ rows, columns, bias }, l) => {
    const { from, to, weight, bias: offset } = small[l];
    for (let o = 0; o < to; o++) {
      for (let i = 0; i < from; i++) {
        values[weight + o * from + i] = teacher.values[big[l].weight + rows[o] * big[l].from + (columns ? columns[i] : i)];
      }
      values[offset + o] = teacher.values[big[l].bias + bias[o]];
    }
  });
  return values;
}

/** Batches of labelled inputs: every pass is shuffled anew and dealt into batches of nearly equal size, as in
 *  dmws_lite.training.fit. What a step gets depends on seed and step only. */
export class Batches {
  constructor(data, size, seed) {
    Object.assign(this, { data, seed, pass: -1, order: [], chosen: [] });
    this.parts = Math.ceil(data.train.n / size);
    this.x = new Float64Array(size * data.inputs);
    this.labels = new Uint8Array(size);
  }

  /** Put the batch of a step into x and labels, its positions into chosen, and return its size. */
  take(step) {
    const { data: { train, inputs }, parts } = this, pass = Math.floor(step / parts), part = step % parts;
    if (pass !== this.pass) {
      this.order = shuffled(train.n, generator(this.seed, 100 + pass));
      this.pass = pass;
    }
    const least = Math.floor(train.n / parts), longer = train.n % parts, n = least + (part < longer ? 1 : 0);
    const first = part * least + Math.min(part, longer);
    this.chosen.length = n;
    for (let b = 0; b < n; b++) {
      const i = (this.chosen[b] = this.order[first + b]);
      for (let j = 0; j < inputs; j++) this.x[b * inputs + j] = train.x[i * inputs + j];
      this.labels[b] = train.labels[i];
    }
    return n;
  }
}
