"""Measure how many steps a second the distillation lab trains in Chromium, beside TensorFlow.js on the same task.

    python benchmarks/lab.py [--rounds 3] [--tfjs FILE]

A step of the lab trains four main students and moves two auxiliaries. TensorFlow.js is ``dist/tf.min.js`` of the npm
package ``@tensorflow/tfjs``; without ``--tfjs`` only the lab is measured. It trains networks of the same sizes on
batches of the same size, with Adam (it has no AdamW), the loss of equation 5 and the average of equation 7, on its
fastest backend of ``cpu`` and ``webgl``. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from lab_browser import Engine, engine  # noqa: E402

from dmws_lite.classroom.lab_presets import lab_assets  # noqa: E402

CASES = {"plane": {"world": "plane", "task": "spirals"}, "phantoms": {"world": "phantoms", "task": "mri"}}

# Steps a second: of training alone, and as in the page, where curves are measured and moments kept.
OURS = """
const rate = (measures) => {
  const run = new lab.Lab({ ...given.settings, steps: 600 }, given.assets);
  run.measures = measures;
  const started = performance.now();
  run.step(600);
  return 600000 / (performance.now() - started);
};
rate(true);
return { training: rate(false), page: rate(true) };
"""

THEIRS = """
const run = new lab.Lab(given.settings, given.assets), sizes = run.sizes, K = run.data.classes;
const variables = (trainable) => sizes.slice(1).flatMap((to, l) => [
  tf.variable(tf.randomUniform([sizes[l], to], -0.2, 0.2), trainable), tf.variable(tf.zeros([to]), trainable)]);
const forward = (parts, input) => {
  let value = input;
  for (let l = 0; l < parts.length; l += 2) {
    value = value.matMul(parts[l]).add(parts[l + 1]);
    if (l + 2 < parts.length) value = value.relu();
  }
  return value;
};
const students = [false, false, true, true].map((taught) => (
  { main: variables(true), aux: taught ? variables(false) : null, optimizer: tf.train.adam(0.003) }));
const batches = Array.from({ length: 8 }, (_, i) => { // made before the clock starts
  const n = run.batches.take(i);
  return [tf.tensor2d(Float32Array.from(run.batches.x.subarray(0, n * sizes[0])), [n, sizes[0]]),
    tf.oneHot(tf.tensor1d(Int32Array.from(run.batches.labels.subarray(0, n)), "int32"), K)];
});
const step = (i) => tf.tidy(() => {
  const [input, target] = batches[i % batches.length], { alpha, beta, tau } = run.settings;
  for (const { main, aux, optimizer } of students) {
    const soft = aux && forward(aux, input).div(tau);
    optimizer.minimize(() => {
      const logits = forward(main, input), ce = tf.losses.softmaxCrossEntropy(target, logits);
      if (!aux) return ce;
      const kd = soft.softmax().mul(soft.logSoftmax().sub(logits.div(tau).logSoftmax())).sum(1).mean();
      return ce.mul(alpha).add(kd.mul((1 - alpha) * tau * tau));
    }, false, main);
    if (aux) aux.forEach((own, l) => own.assign(own.mul(beta).add(main[l].mul(1 - beta))));
  }
});
for (let i = 0; i < 20; i++) step(i);
students[0].main[0].dataSync();
const started = performance.now();
for (let i = 0; i < 100; i++) step(i);
for (const { main } of students) main[0].dataSync(); // waits for the backend
const steps = 100000 / (performance.now() - started);
return { steps, finite: [...students[3].main[0].dataSync()].every(Number.isFinite) };
"""


def theirs(lab: Engine, given: dict) -> tuple[str, float]:
    """Return the faster backend of TensorFlow.js and its steps a second."""
    found = {}
    for backend in ("cpu", "webgl"):
        if lab.page.evaluate("(name) => tf.setBackend(name)", backend):
            answer = lab.run(THEIRS, given)
            if not answer["finite"]:
                raise SystemExit(f"TensorFlow.js trained to a weight that is not finite on {backend}")
            found[backend] = answer["steps"]
    name = max(found, key=found.get)
    return name, found[name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each case, in turns (default: 3)")
    parser.add_argument("--tfjs", type=Path, help="tf.min.js of the npm package @tensorflow/tfjs")
    options = parser.parse_args()
    with engine() as lab:
        if options.tfjs:
            lab.page.add_script_tag(path=options.tfjs)
            print("TensorFlow.js", lab.page.evaluate("tf.version.tfjs"))
        for name, settings in CASES.items():
            given, ours, other = {"settings": settings, "assets": lab_assets()}, [], []
            for _ in range(options.rounds):
                ours.append(lab.run(OURS, given))
                if options.tfjs:
                    other.append(theirs(lab, given))
            training, page = (median(one[kind] for one in ours) for kind in ("training", "page"))
            print(f"{name}: {training:,.0f} steps a second, {page:,.0f} with curves and kept moments")
            if other:
                backends, steps = sorted({backend for backend, _ in other}), median(steps for _, steps in other)
                print(f"{name}: TensorFlow.js ({', '.join(backends)}) {steps:,.0f}, ratio {training / steps:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
