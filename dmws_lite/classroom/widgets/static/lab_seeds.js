// The distillation lab's thirty seeds: run beside the page, and drawn with their paired differences.

/** Runs seeds in workers made from the engine's own text; without workers, in pieces between frames. */
function seedMachine(engine, assets, tell) {
  let turn = 0, workers = []; // what belongs to an earlier turn is not listened to
  const text = `const engine = (${labEngine})();
onmessage = ({ data }) => { if (data.assets) { self.assets = data.assets; return; }
  const run = engine.runSeeds(data.settings, self.assets, [data.seed]); postMessage({ seed: data.seed, run }); };`;
  const stop = () => { turn++; workers.forEach((one) => one.terminate()); workers = []; };
  async function inPieces(settings, seeds, own) {
    for (const seed of seeds) {
      const lab = new engine.Lab({ ...settings, seed }, assets);
      lab.measures = false;
      while (!lab.finished) {
        const until = performance.now() + FRAME;
        while (!lab.finished && performance.now() < until) lab.step(1);
        await new Promise((go) => setTimeout(go));
        if (own !== turn) return;
      }
      const run = Object.fromEntries(engine.METHODS.map((method) => [method, { main: [lab.accuracy(method, "main")] }]));
      tell(seed, run);
    }
  }
  function start(settings, seeds) {
    stop();
    const own = turn, waiting = [...seeds];
    try {
      const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      for (let i = 0; i < Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) >> 1)); i++) {
        const worker = new Worker(address);
        const next = () => { if (waiting.length) worker.postMessage({ settings, seed: waiting.shift() }); };
        worker.onmessage = ({ data }) => { if (own !== turn) return; next(); tell(data.seed, data.run); };
        worker.onerror = (event) => { // if the page forbids workers, run in the page itself
          event.preventDefault();
          if (own === turn) { stop(); inPieces(settings, seeds, turn); }
        };
        worker.postMessage({ assets });
        next();
        workers.push(worker);
      }
    } catch { inPieces(settings, seeds, own); }
  }
  return { start, stop };
}

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
