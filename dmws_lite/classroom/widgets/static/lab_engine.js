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
import { TASKS, Batches, cutStudents, decodeTeacher, drawTask, freshStudent, generator } from "./lab_worlds.js";

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
  rate: 0.005, // peak of the learning rate
  schedule: "cosine", // a rise over a tenth of the steps, then half a cosine to zero; or "constant"
  optimizer: "adamw", // or "sgd"
  decay: 0.05, // weight decay, of matrices only
  labels: 5, // labelled inputs of each class
  noise: 0, // share of them with a wrong label, 0 .. 0.9
  seed: 0, // of everything drawn: inputs, noise, order, fresh weights, random rules
  steps: 600,
  batch: 8,
  every: 0, // steps between two measurements; 0: a sixtieth of all steps
};
