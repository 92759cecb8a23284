// The distillation lab without its page: four methods that learn side by side, in the page, in a worker or in node.
//
// Files: lab_net.js (networks), lab_rules.js (index rules), lab_worlds.js (data), this one. They import each other by
// plain lines `import ... from "./lab_x.js"`; dmws_lite.classroom.lab_presets.engine_script() gives all of them as one
// ES module without imports, for a widget's script or for a worker made from a Blob URL ({ type: "module" }).
//
// What the page uses (kept stable):
//
//   METHODS                  ["random", "single", "same", "dual"]: CM2, CM1, same start, ours
//   new Lab(settings, assets)
//       settings             what DEFAULTS lists; what is missing is taken from there. RangeError where out of range.
//       assets               data/lab/teachers.json, parsed: dmws_lite.classroom.lab_presets.lab_assets()
//   lab.settings             as they are now
//   lab.change({ beta: .9 }) alpha, beta, tau, tauSquared, rate, while it runs; anything else needs a new Lab
//   lab.step(n = 1)          n steps of all methods on the same batches; stops at settings.steps; returns the steps done
//   lab.now, lab.latest      steps done; the furthest that was reached (they differ after rewind)
//   lab.finished             now === settings.steps
//   lab.rewind(k)            back (or forward again, up to latest) to exactly step k, weights, optimiser, order, settings
//                            of that time; history is cut there only when a step follows
//   lab.keep()               remember this moment; done by itself every few steps
//   lab.history.steps        measured steps: 0, every `settings.every`, the last
//   lab.history[method]      { main, auxiliary, loss, distance }, one number for each measured step: test accuracies,
//                            mean loss of the steps since the last measurement (null at step 0), distance of the two
//                            students in weight space. auxiliary and distance hold null for random and single.
//   lab.history.share        share of its start that the auxiliary held, at the measured steps
//   lab.share                the same now: the product of the betas used, beta ** now while beta is not moved
//   lab.rate                 learning rate of the coming step
//   lab.losses[method]       { loss, ce, kd } of the last step
//   lab.predict(method, role, x, n)   Float64Array of n * K probabilities; role "teacher", "main" or "auxiliary"; x holds
//                            n inputs in a row. K is lab.data.classes, for the teacher lab.data.source.classes.
//   lab.accuracy(method, role)        test accuracy now (main or auxiliary)
//   lab.data                 { inputs, side, classes, labels (names of the classes), train, test, source }
//       train                { x, labels (as trained on), truth (without label noise), n }
//       test                 { x, labels, n };  source: { x, labels, n, classes, names }, a sample of the teacher's task
//       side                 pixels along an image's side in the world "phantoms"; 0 in the plane
//   lab.cut                  { main, auxiliary }: for each layer { rows, columns (null: all inputs), bias }, teacher indices
//   lab.batch                positions in data.train of the last step's inputs
//   lab.teacher              { sizes, accuracy (on its own task), classes }
//   runSeeds(settings, assets, seeds, onProgress, at = [])   headless; `at`: further steps to measure
//       -> { seeds, random: { main: [per seed] , ...}, single, same, dual: { main, auxiliary, distance }, at: { step: ... } }
//       onProgress(done, total, resultsSoFar) may return false to stop
//   seedRuns(...)            the same as a generator, which yields after each seed (for a page without a worker)
//   paired(a, b)             { n, mean, low, high, sd }: a - b over the same seeds, with the 95% t interval

import { Network, Pair, accuracy, softmax } from "./lab_net.js";
import { RULE_NAMES } from "./lab_rules.js";
import { TASKS, Batches, chooseUnits, cutStudent, decodeTeacher, drawTask, freshStudent } from "./lab_worlds.js";

export const METHODS = ["random", "single", "same", "dual"];
const TAUGHT = ["same", "dual"]; // those with an auxiliary

export const DEFAULTS = {
  world: "plane", // or "phantoms"
  task: "spirals", // a key of TASKS[world]
  rule: "uniform", // one of RULE_NAMES
  alpha: 0.6, // weight of the cross-entropy, 0 .. 1
  beta: 0.9, // share of itself that the auxiliary keeps per step, 0 .. 1
  tau: 3, // temperature, above 0, at most 100
  tauSquared: true, // the factor tau squared of equation 5
  rate: 0.003, // peak of the learning rate
  schedule: "cosine", // a rise over a tenth of the steps, then half a cosine to zero; or "constant"
  optimizer: "adamw", // or "sgd"
  decay: 0.05, // weight decay, of matrices only
  labels: 5, // labelled inputs of each class
  noise: 0, // share of them with a wrong label, 0 .. 0.9
  seed: 0, // of everything drawn: inputs, noise, order, fresh weights, random rules
  steps: 600,
  batch: 8,
  every: 0, // steps between two measurements; 0: a fortieth of all steps
};

const MOVABLE = ["alpha", "beta", "tau", "tauSquared", "rate"];
const RANGES = {
  alpha: [0, 1], beta: [0, 1], tau: [0.01, 100], rate: [1e-6, 10], decay: [0, 10], noise: [0, 0.9],
  labels: [1, 200], steps: [1, 100000], batch: [2, 64], seed: [0, 4294967295], every: [0, 100000],
};
const WHOLE = ["labels", "steps", "batch", "seed", "every"];
const MOST_KEPT = 60; // moments in memory; when there are more, every second one is dropped

/** RangeError unless every setting is known and in its range. */
function check(settings) {
  const choices = {
    world: Object.keys(TASKS), task: Object.keys(TASKS[settings.world] ?? {}), rule: RULE_NAMES,
    schedule: ["cosine", "constant"], optimizer: ["adamw", "sgd"], tauSquared: [true, false],
  };
  for (const [name, value] of Object.entries(settings)) {
    if (choices[name]) {
      if (!choices[name].includes(value)) throw new RangeError(`${name}=${value} is unknown; choose one of ${choices[name].join(", ")}`);
      continue;
    }
    if (!RANGES[name]) throw new RangeError(`there is no setting ${name}; they are ${Object.keys(DEFAULTS).join(", ")}`);
    const [low, high] = RANGES[name], whole = WHOLE.includes(name);
    if (typeof value !== "number" || !(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
      throw new RangeError(`${name}=${value} is out of range; choose ${whole ? "a whole number" : "a number"} from ${low} to ${high}`);
    }
  }
}

/** dmws_lite.training.config.learning_rate_at with a rise over a tenth of the steps, or the peak throughout. */
export function learningRate(step, { rate, schedule, steps }) {
  if (schedule === "constant") return rate;
  const tenth = 0.1 * steps, down = Math.floor(tenth), half = tenth - down === 0.5; // Python rounds halves to even
  const rising = Math.max(1, half ? down + (down % 2) : Math.round(tenth));
  if (step < rising) return (rate * (step + 1)) / rising;
  return rate * 0.5 * (1 + Math.cos((Math.PI * (step - rising)) / Math.max(1, steps - rising)));
}

const decoded = new WeakMap(); // teachers of assets, read once

function findTeacher(assets, name) {
  if (!decoded.has(assets)) decoded.set(assets, {});
  const known = decoded.get(assets);
  return (known[name] ??= decodeTeacher(assets.teachers[name]));
}

/** Four methods side by side; see the head of this file. */
export class Lab {
  constructor(settings, assets) {
    this.settings = { ...DEFAULTS, ...settings };
    check(this.settings);
    const { world, task, rule, seed, batch } = this.settings;
    this.data = drawTask(this.settings);
    this.teacher = findTeacher(assets, `${world}/${task}`);
    this.sizes = [...this.teacher.sizes.slice(0, -1).map((size, l) => (l ? size / 2 : size)), this.data.classes];
    const fresh = freshStudent(this.sizes, seed);
    const [main, auxiliary] = [0, 1].map((part) => chooseUnits(this.teacher, this.sizes, rule, part, seed));
    this.cut = { main, auxiliary };
    const parts = [main, auxiliary].map((units) => cutStudent(this.teacher, this.sizes, units, fresh));
    const starts = { random: [fresh], single: [parts[0]], same: [parts[0], parts[0]], dual: parts };
    this.pairs = METHODS.map((method) => new Pair(this.sizes, 64, ...starts[method]));
    this.losses = Object.fromEntries(METHODS.map((method, i) => [method, this.pairs[i]]));
    this.batches = new Batches(this.data, batch, seed);
    this.every = this.settings.every || Math.ceil(this.settings.steps / 40);
    this.now = this.latest = 0;
    this.share = 1;
    this.startSums(); // of the losses since the last measurement
    this.changes = []; // [step, what was changed], so that a moment between two kept ones can be reached again
    this.history = { steps: [], share: [] };
    for (const method of METHODS) this.history[method] = { main: [], auxiliary: [], loss: [], distance: [] };
    this.kept = [];
    this.keepEvery = Math.max(1, Math.ceil(this.settings.steps / MOST_KEPT));
    this.measures = true; // runSeeds measures at its own steps
    this.measure();
    this.keep();
  }

  get finished() { return this.now >= this.settings.steps; }
  get rate() { return learningRate(this.now, this.settings); }
  get batch() { return this.batches.chosen; }

  network(method, role) {
    const { main, aux } = this.pairs[METHODS.indexOf(method)];
    if (role === "main") return main;
    if (role !== "auxiliary" || !aux) throw new RangeError(`the method ${method} has no ${role}`);
    return aux;
  }

  change(what) {
    for (const name of Object.keys(what)) {
      if (!MOVABLE.includes(name)) throw new RangeError(`${name} cannot be changed while the lab runs; make a new one`);
    }
    check({ ...this.settings, ...what });
    this.forget();
    Object.assign(this.settings, what);
    this.changes.push([this.now, { ...what }]);
  }

  step(n = 1) {
    const goal = Math.min(this.settings.steps, this.now + n), first = this.now;
    if (goal > first) this.forget();
    while (this.now < goal) this.advance();
    return this.now - first;
  }

  advance() {
    const { pairs, batches, settings, since } = this, rate = this.rate, rows = batches.take(this.now);
    for (let i = 0; i < pairs.length; i++) {
      pairs[i].step(batches.x, batches.labels, rows, settings, rate);
      since.loss[i] += pairs[i].loss;
    }
    since.steps++;
    this.share *= settings.beta;
    this.now++;
    const due = this.measures && (this.now % this.every === 0 || this.finished);
    if (this.now <= this.latest) { // on the way to a moment of the past, measured before
      if (due) this.startSums();
      return;
    }
    this.latest = this.now;
    if (due) this.measure();
    if (this.measures && this.now % this.keepEvery === 0) this.keep();
  }

  accuracy(method, role) {
    const { x, labels, n } = this.data.test;
    return accuracy(this.network(method, role), x, labels, n);
  }

  measure() {
    const { history, since } = this;
    history.steps.push(this.now);
    history.share.push(this.share);
    METHODS.forEach((method, i) => {
      const taught = TAUGHT.includes(method), row = history[method];
      row.main.push(this.accuracy(method, "main"));
      row.auxiliary.push(taught ? this.accuracy(method, "auxiliary") : null);
      row.loss.push(since.steps ? since.loss[i] / since.steps : null);
      row.distance.push(taught ? this.pairs[i].distance() : null);
    });
    this.startSums();
  }

  startSums() {
    this.since = { steps: 0, loss: METHODS.map(() => 0) };
  }

  predict(method, role, x, n) {
    const network = role === "teacher" ? this.teacherNetwork() : this.network(method, role);
    const K = network.sizes.at(-1), out = new Float64Array(n * K);
    for (let first = 0; first < n; first += network.most) {
      const rows = Math.min(network.most, n - first);
      softmax(network.forward(x, rows, first), rows, K, 1, out.subarray(first * K));
    }
    return out;
  }

  teacherNetwork() {
    if (!this.whole) {
      this.whole = new Network(this.teacher.sizes, 64);
      this.whole.values.set(this.teacher.values);
    }
    return this.whole;
  }

  keep() {
    const { kept, now } = this;
    if (kept.some((moment) => moment.now === now)) return;
    kept.push({
      now, share: this.share, settings: { ...this.settings }, changes: this.changes.filter(([step]) => step <= now).length,
      since: { steps: this.since.steps, loss: [...this.since.loss] },
      pairs: this.pairs.map((pair) => pair.copy()),
    });
    kept.sort((a, b) => a.now - b.now);
    if (kept.length > MOST_KEPT + 4) {
      this.kept = kept.filter((moment, i) => i % 2 === 0 || moment.now === now);
      this.keepEvery *= 2;
    }
  }

  rewind(k) {
    if (!(Number.isInteger(k) && k >= 0 && k <= this.latest)) throw new RangeError(`step ${k} was not reached; choose 0 to ${this.latest}`);
    if (k === this.now) return;
    this.keep(); // so that the way forward again is exact
    const moment = this.kept.filter(({ now }) => now <= k).at(-1);
    this.now = moment.now;
    this.share = moment.share;
    this.settings = { ...moment.settings };
    this.since = { steps: moment.since.steps, loss: [...moment.since.loss] };
    this.pairs.forEach((pair, i) => pair.restore(moment.pairs[i]));
    const later = this.changes.slice(moment.changes);
    const catchUp = () => { while (later.length && later[0][0] <= this.now) Object.assign(this.settings, later.shift()[1]); };
    for (catchUp(); this.now < k; catchUp()) this.advance();
    if (k) this.batches.take(k - 1); // what `batch` shows
  }

  /** Cut what lies ahead of `now`: training goes another way from here. */
  forget() {
    if (this.now === this.latest) return;
    const { history, now } = this, rows = history.steps.filter((step) => step <= now).length;
    for (const list of [history.steps, history.share, ...METHODS.flatMap((method) => Object.values(history[method]))]) list.length = rows;
    this.kept = this.kept.filter((moment) => moment.now <= now);
    this.changes = this.changes.filter(([step]) => step <= now);
    this.latest = now;
  }
}

// -- many seeds --------------------------------------------------------------------------------------------------------

const emptyResult = () =>
  Object.fromEntries(METHODS.map((method) => [method, TAUGHT.includes(method) ? { main: [], auxiliary: [], distance: [] } : { main: [] }]));

function addResult(result, lab) {
  METHODS.forEach((method, i) => {
    const row = result[method];
    row.main.push(lab.accuracy(method, "main"));
    if (row.auxiliary) row.auxiliary.push(lab.accuracy(method, "auxiliary"));
    if (row.distance) row.distance.push(lab.pairs[i].distance());
  });
}

/** runSeeds as a generator: yields { done, total, results } after each seed and returns the results. */
export function* seedRuns(settings, assets, seeds, at = []) {
  const results = { seeds: [], ...emptyResult(), at: Object.fromEntries(at.map((step) => [step, emptyResult()])) };
  for (const seed of seeds) {
    const lab = new Lab({ ...settings, seed }, assets);
    lab.measures = false;
    for (const step of [...at].sort((a, b) => a - b)) {
      lab.step(step - lab.now);
      addResult(results.at[step], lab);
    }
    lab.step(lab.settings.steps);
    addResult(results, lab);
    results.seeds.push(seed);
    yield { done: results.seeds.length, total: seeds.length, results };
  }
  return results;
}

/** Train with every seed and return the test accuracies after the last step; see the head of this file. */
export function runSeeds(settings, assets, seeds, onProgress = () => true, at = []) {
  const runs = seedRuns(settings, assets, seeds, at);
  for (let next = runs.next(); ; next = runs.next()) {
    if (next.done) return next.value;
    if (onProgress(next.value.done, next.value.total, next.value.results) === false) return next.value.results;
  }
}

/** Two-sided 97.5% point of Student's t (Hill 1970), good to five digits from one degree of freedom on. */
function tQuantile(freedom) {
  if (freedom === 1) return 12.706205;
  if (freedom === 2) return 4.302653;
  const p = 0.05, a = 1 / (freedom - 0.5), b = (48 / a) / a;
  let c = ((20700 * a / b - 98) * a - 16) * a + 96.36;
  const d = ((94.5 / (b + c) - 3) / b + 1) * Math.sqrt(a * Math.PI / 2) * freedom;
  let y = (d * p) ** (2 / freedom);
  if (y > 0.05 + a) {
    let x = -1.959963985; // of the normal distribution
    y = x * x;
    if (freedom < 5) c += 0.3 * (freedom - 4.5) * (x + 0.6);
    c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b;
    y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
    y = Math.expm1(a * y * y);
  } else {
    y = ((1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4)) * y - 1) *
      (freedom + 1) / (freedom + 2) + 1 / y;
  }
  return Math.sqrt(freedom * y);
}

/** a - b over the same seeds: { n, mean, sd, low, high }, the last two NaN below two pairs. */
export function paired(a, b) {
  if (a.length !== b.length || !a.length) throw new RangeError(`${a.length} and ${b.length} values cannot be paired; give one of each per seed`);
  const n = a.length, differences = a.map((value, i) => value - b[i]), mean = differences.reduce((x, y) => x + y) / n;
  const sd = n > 1 ? Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1)) : NaN;
  const half = n > 1 ? (tQuantile(n - 1) * sd) / Math.sqrt(n) : NaN;
  return { n, mean, sd, low: mean - half, high: mean + half };
}
