"""Measure how many steps a second the distillation lab trains in Chromium, beside TensorFlow.js on the same task.

    python benchmarks/lab.py [--rounds 3] [--tfjs FILE]
    python benchmarks/lab.py --frames    # how long the page keeps its reader waiting, on a telephone's screen

A step of the lab trains four main students and moves two auxiliaries. TensorFlow.js is ``dist/tf.min.js`` of the npm
package ``@tensorflow/tfjs``; without ``--tfjs`` only the lab is measured. It trains networks of the same sizes on
batches of the same size, with Adam (it has no AdamW), the loss of equation 5 and the average of equation 7, on its
fastest backend of ``cpu`` and ``webgl``. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from lab_browser import Engine, engine  # noqa: E402

from dmws_lite.classroom.lab_presets import lab_assets  # noqa: E402
from dmws_lite.classroom.widgets.lab import lab_html  # noqa: E402

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


# While the lab plays: the time from one frame to the next, and tasks that the browser calls long (over 50 ms).
FRAMES = """async (seconds) => {
  const gaps = [], tasks = [];
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)));
  observer.observe({ type: "longtask" });
  let before = performance.now();
  const end = before + 1000 * seconds;
  await new Promise((done) => {
    const next = (now) => { gaps.push(now - before); before = now; now < end ? requestAnimationFrame(next) : done(); };
    requestAnimationFrame(next);
  });
  observer.disconnect();
  return { gaps: gaps.slice(1), tasks };
}"""


def frames(browser: object, link: str, seconds: float = 6.0) -> tuple[list[float], list[float], float]:
    """Play the lab on a telephone's screen.

    Args:
        browser: of playwright.
        link: the lab's state, as behind ``#lab=``.
        seconds: how long to look.

    Returns:
        The milliseconds between frames and of each long task while it plays, and the longest task while it loads.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "lab.html")
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        watch = "<script>window.long=[];new PerformanceObserver((l)=>long.push(...l.getEntries().map((e)=>e.duration)))"
        watch += '.observe({type:"longtask",buffered:true})</script>'
        file.write_text(f"<!DOCTYPE html><html><head>{head}{watch}</head><body>{lab_html()}</body></html>", "utf-8")
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.goto(f"{file.as_uri()}#lab={link}")
        page.wait_for_selector(".lab-end")
        page.wait_for_timeout(500)
        loading = max(page.evaluate("window.long"), default=0.0)
        page.locator('[data-name="play"]').first.click()
        found = page.evaluate(FRAMES, seconds)
        page.close()
    return found["gaps"], found["tasks"], loading


def print_frames(browser: object, rounds: int) -> None:
    for name, link in {"plane": "steps:2000", "phantoms": "task:mri,steps:2000"}.items():
        for _ in range(rounds):
            gaps, tasks, loading = frames(browser, link)
            gaps.sort()
            most = gaps[int(0.99 * len(gaps))]
            print(
                f"{name}: {len(gaps)} frames, median {median(gaps):.0f} ms, 99% within {most:.0f} ms, "
                f"longest {gaps[-1]:.0f} ms; long tasks: {len(tasks)}, longest {max(tasks, default=0):.0f} ms; "
                f"longest while loading {loading:.0f} ms"
            )


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
    parser.add_argument("--frames", action="store_true", help="measure frames and long tasks of the page instead")
    options = parser.parse_args()
    with engine() as lab:
        if options.frames:
            print_frames(lab.page.context.browser, options.rounds)
            return 0
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
