// The distillation lab: four ways to start learn side by side in the page, and what teaches can be moved meanwhile.
// Before this text stand shared.js, the engine as one function `labEngine` (so that a worker can have the same text),
// and lab_draw.js.

const SEEDS = 30;
const FRAME = 9; // milliseconds of training in a frame, so that drawing keeps it below the screen's 16
const SPEEDS = [["12", "slow"], ["120", "normal"], ["0", "fast"]]; // steps a second; 0: as many as fit
const MOVING = ["alpha", "beta", "tau", "tauSquared", "rate"];
const TASK_WORDS = { "plane/spirals": "spirals", "plane/rings": "rings", "plane/moons": "moons", "plane/islands": "islands", "phantoms/mri": "MRI phantoms" };
const RULE_WORDS = { uniform: "uniform", consecutive: "consecutive", random: "random", random_inconsistent: "random, inconsistent", magnitude: "largest norms" };

const ICONS = {
  play: "M7 4.5v15l12.5-7.5z", pause: "M6 5h4.5v14H6zM13.5 5H18v14h-4.5z", step: "M5 5v14l10-7zM16.5 5H19v14h-2.5z",
  start: "M19 5v14L9 12zM5 5h2.5v14H5z", full: "M4 4h6v2.5H6.5V10H4zM14 4h6v6h-2.5V6.5H14zM4 14h2.5v3.5H10V20H4zM17.5 14H20v6h-6v-2.5h3.5z",
  link: "M10.6 13.4a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1.2 1.2 1.6 1.6 1.2-1.2a1.8 1.8 0 0 1 2.5 2.5l-3 3a1.8 1.8 0 0 1-2.5 0zM13.4 10.6a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1.2-1.2-1.6-1.6-1.2 1.2a1.8 1.8 0 0 1-2.5-2.5l3-3a1.8 1.8 0 0 1 2.5 0z",
};
const icon = (name) => s("svg", { class: "lab-icon", viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
const iconButton = (name, words, onclick, kind = "") => h("button", { type: "button", class: `lab-button ${kind}`, "data-name": name, "aria-label": words, title: words, onclick }, icon(name));

function render({ model, el }) {
  const engine = labEngine(), { METHODS, DEFAULTS, TASKS, RULE_NAMES, Lab, paired } = engine;
  const assets = model.get("assets"), presets = model.get("presets"), linked = model.get("linked");
  const methods = METHODS.map((key) => ({ key, ...model.get("methods")[key] }));
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const first = { ...DEFAULTS, ...model.get("settings") };

  const link = (linked && readLink(location.hash, engine, presets)) || { settings: {} };
  let settings = { ...first, ...link.settings }, lab = null, show = link.show || "dual", playing = false, story = null;
  let panel = "teach", view = "curves", stepped = -1, seeds = null, moved = "", speed = 120, touched = false;

  // -- pictures ---------------------------------------------------------------------------------------------------
  const half = 2.35, FINE = 72, COARSE = 40, grids = { [FINE]: gridInputs(FINE, half), [COARSE]: gridInputs(COARSE, half) };
  const roles = ["teacher", "main", "auxiliary"].map((role) => ({ role, panel: canvasPanel(role), paint: regionPainter(), fresh: "" }));
  const captions = Object.fromEntries(roles.map(({ role }) => [role, h("span", { class: "lab-role-value", "data-name": `${role}-value` })]));
  let colours = { back: [255, 255, 255], ink: "#1f2328" };
  const readColours = () => {
    const style = getComputedStyle(root), hex = style.getPropertyValue("--dmws-back").trim();
    colours = { back: rgb(hex), ink: style.getPropertyValue("--dmws-text").trim() };
  };
  const method = (key = show) => methods.find((one) => one.key === key);
  const taught = () => method().auxiliary !== "";

  /** Paint one role; in the plane from its probabilities on an n x n grid. */
  function paintRole(one, n = 0, probabilities = null) {
    const { role, panel: place, paint } = one;
    place.paint((context, width) => {
      if (role === "teacher") {
        if (one.key === teacherKey(width)) return;
        one.key = teacherKey(width);
      }
      const { data } = lab, ground = `rgb(${colours.back.join(" ")})`;
      context.clearRect(0, 0, width, width);
      if (role === "auxiliary" && !taught()) return;
      const isTeacher = role === "teacher", classes = isTeacher ? data.source.classes : data.classes;
      if (data.side) {
        const shown = isTeacher ? data.source : data.test, across = width < 130 ? 3 : width < 190 ? 4 : 5, items = [];
        const cut = (set, i) => set.x.subarray(i * data.inputs, (i + 1) * data.inputs);
        const names = isTeacher ? data.source.names : data.labels, badge = (k) => (isTeacher ? names[k].at(-1) : names[k][0]).toUpperCase();
        const labelled = isTeacher ? 0 : Math.min(across, data.train.n);
        for (let i = 0; i < labelled; i++) {
          const k = data.train.labels[i];
          items.push({ pixels: cut(data.train, i), side: data.side, badge: badge(k), colour: CLASS_COLOURS[k % CLASS_COLOURS.length], light: isLight(k % CLASS_COLOURS.length), ringed: true, crossed: data.train.truth[i] !== k });
        }
        const rest = across * across - labelled, guesses = lab.predict(show, role, shown.x, rest);
        for (let i = 0; i < rest; i++) {
          let best = 0;
          for (let k = 1; k < classes; k++) if (guesses[i * classes + k] > guesses[i * classes + best]) best = k;
          const c = best % CLASS_COLOURS.length;
          items.push({ pixels: cut(shown, i), side: data.side, badge: badge(best), colour: CLASS_COLOURS[c], light: isLight(c), crossed: best !== shown.labels[i] });
        }
        drawThumbnails(context, width, across, items, colours.ink, colours.back);
        return;
      }
      paint(context, width, { probabilities, n, classes, back: colours.back });
      if (isTeacher) drawDots(context, width, half, data.source, 240);
      else {
        drawDots(context, width, half, data.test, 240);
        drawLabelled(context, width, half, data.train, stepped === lab.now ? lab.batch : null, colours.ink, ground);
      }
    });
  }

  // Fine pictures are made in pieces of some milliseconds, one role after the other, so that no frame is long.
  const waiting = new Map(); // role -> { fine, key, done, probabilities }
  function paintSoon(fine) {
    const idle = !waiting.size;
    for (const one of roles) waiting.set(one, { fine });
    if (idle) requestAnimationFrame(paintNext);
  }
  function paintNext() {
    if (!waiting.size) return;
    const [one, job] = waiting.entries().next().value, { role } = one;
    const classes = role === "teacher" ? lab.data.source.classes : lab.data.classes, key = `${lab.now} ${show}`;
    const absent = role === "auxiliary" && !taught();
    if (lab.data.side || absent || alreadyThere(one)) paintRole(one);
    else {
      const n = job.fine || role === "teacher" ? FINE : COARSE, grid = grids[n];
      if (job.lab !== lab || job.key !== key) Object.assign(job, { lab, key, done: 0, probabilities: new Float64Array(n * n * classes) });
      for (const until = performance.now() + FRAME; job.done < n * n && performance.now() < until;) {
        const rows = Math.min(256, n * n - job.done);
        job.probabilities.set(lab.predict(show, role, grid.subarray(2 * job.done), rows), job.done * classes);
        job.done += rows;
      }
      if (job.done < n * n) { requestAnimationFrame(paintNext); return; }
      paintRole(one, n, job.probabilities);
    }
    waiting.delete(one);
    if (waiting.size) requestAnimationFrame(paintNext);
  }
  /** What a student does now, coarsely and at once: while it learns. */
  const paintQuickly = (one) => (lab.data.side ? paintRole(one) : paintRole(one, COARSE, lab.predict(show, one.role, grids[COARSE], COARSE * COARSE)));
  /** The teacher does not learn: it is painted once for each task, size and theme. */
  const teacherKey = (width) => [lab.settings.world, lab.settings.task, lab.settings.seed, width, colours.back].join();
  const alreadyThere = (one) => one.role === "teacher" && one.key === teacherKey(Math.round(one.panel.canvas.clientWidth));

  const chance = () => 1 / lab.data.classes;
  const reached = (list) => lab.history.steps.map((step, i) => [step, list[i]]).filter(([, v]) => v !== null);
  const endRoom = (width) => (width < 360 ? 90 : 98);
  /** From below chance to above the best, in tenths, so that the axis does not jump with each point. */
  const accuracyRange = () => {
    const all = METHODS.flatMap((key) => [...lab.history[key].main, ...(key === show ? lab.history[key].auxiliary : [])]).filter((v) => v !== null);
    const min = Math.max(0, Math.floor(10 * Math.min(chance(), ...all) - 0.2) / 10), max = Math.min(1, Math.ceil(10 * Math.max(...all, chance() + 0.3) + 0.2) / 10);
    const every = narrow() || max - min > 0.55 ? 2 : 1, ticks = [];
    for (let tenth = Math.ceil(10 * min - 1e-9); tenth <= 10 * max + 1e-9; tenth++) if (tenth % every === 0) ticks.push(tenth / 10);
    return { min, max, ticks };
  };
  const accuracyLines = () => [
    ...(taught() ? [{ key: show, name: "auxiliary", words: "auxiliary", points: reached(lab.history[show].auxiliary), dashed: true }] : []),
    ...methods.filter((one) => one.key !== show).concat(method()).map((one) => ({
      key: one.key, name: one.key, words: one.short, marker: one.marker, points: reached(lab.history[one.key].main), thick: one.key === show,
    })),
  ];
  const accuracy = curveChart({
    label: "", title: (width) => (width < 560 ? "test accuracy" : "test accuracy of main"), height: (width) => chartHeight(width), right: endRoom,
    state: () => ({ steps: lab.settings.steps, at: lab.now, y: accuracyRange(), lines: accuracyLines(), floor: { value: chance(), words: "chance" } }),
  });
  const share = curveChart({
    label: "", title: (width) => (width < 290 ? "auxiliary’s start left, βⁿ" : "share of the auxiliary’s start left, βⁿ"), height: (width) => smallHeight(width), right: () => 12,
    state: () => ({ steps: lab.settings.steps, at: lab.now, y: { min: 0, max: 1, ticks: [0, 0.5, 1] }, lines: [{ key: "both", name: "share", points: reached(lab.history.share), thick: true }] }),
  });
  const distance = curveChart({
    label: "", title: () => "distance of main and auxiliary", height: (width) => smallHeight(width), right: endRoom,
    state: () => {
      const lines = methods.filter((one) => one.auxiliary).map((one) => ({ key: one.key, name: `distance-${one.key}`, words: one.short, marker: one.marker, points: reached(lab.history[one.key].distance), thick: one.key === show }));
      const top = Math.max(0.5, ...lines.flatMap((one) => one.points.map(([, v]) => v)));
      return { steps: lab.settings.steps, at: lab.now, y: { min: 0, max: 1.05 * top }, lines };
    },
  });
  const PAIRS = [["single", "random"], ["dual", "single"], ["same", "single"], ["dual", "same"]].map((two) => two.map(method));
  const spreadChart = seedChart({ methods, pairedOf: paired, state: () => ({ results: seeds.results, pairs: PAIRS, floor: Math.min(chance(), 1) }) });
  const chartHeight = () => (narrow() ? 156 - (lab.data.side ? 16 : 0) - (panel === "task" ? 26 : panel === "stories" ? 47 : 0) : 238);
  const smallHeight = () => (narrow() ? (panel === "stories" ? 52 : 78) : 118);
  const narrow = () => root.clientWidth < 600;

  // -- chips: which method is shown ----------------------------------------------------------------------------------
  const group = newId("show");
  const chips = methods.map((one) => {
    const value = h("output", { class: "lab-chip-value", "data-name": `now-${one.key}`, "aria-live": "off" });
    const input = h("input", { type: "radio", name: group, value: one.key, "data-name": `show-${one.key}`, onchange: () => { show = one.key; touched = true; everything(); save(); } });
    const id = newId("chip");
    input.id = id;
    const node = h("div", { class: "lab-chip" }, input, h("label", { for: id },
      h("span", { class: "lab-chip-name" }, sample(one), h("b", {}, one.short)), h("span", { class: "lab-chip-words" }, one.words), value));
    return { one, node, input, value };
  });

  // -- run -----------------------------------------------------------------------------------------------------------
  const counter = h("output", { class: "lab-count", "data-name": "count", "aria-live": "off" });
  const playButton = iconButton("play", "Play", () => (playing ? pause() : play()), "lab-play");
  const stepButton = iconButton("step", "One step", () => {
    pause();
    if (lab.step(1)) stepped = lab.now; // its inputs are marked
    everything();
    tell();
    if (lab.finished && story && story.guess !== null && !story.seen) finished();
  });
  const startButton = iconButton("start", "Back to the start", () => { restart(); tell("Back at the start."); });
  const scrubId = newId("scrub");
  const scrub = h("input", { type: "range", id: scrubId, class: "lab-scrub", "data-name": "scrub", min: 0, max: 1, step: 1, "aria-label": "Step shown: go back in time", oninput: () => {
    if (playing) pause(true);
    wanted = Math.min(Number(scrub.value), lab.latest);
    if (Number(scrub.value) > lab.latest) scrub.value = lab.latest;
    if (!seeking) { seeking = true; requestAnimationFrame(seek); }
  }, onchange: () => tell() });
  let wanted = 0, seeking = false;
  /** Go to the wanted step of the past once a frame; the settings of that time come along. */
  function seek() {
    seeking = false;
    if (wanted === lab.now) return;
    lab.rewind(wanted);
    takeSettings();
    everything(false);
    clearTimeout(settling);
    settling = setTimeout(() => everything(true), 120);
  }
  let settling = 0;
  const speedChoice = h("select", { class: "lab-speed", "data-name": "speed", "aria-label": "Speed", onchange: () => { speed = Number(speedChoice.value); } },
    SPEEDS.map(([value, words]) => h("option", { value, selected: value === "120" }, words)));

  let before = 0, due = 0, turn = 0;
  function tick(time) {
    if (!playing) return;
    if (!root.isConnected) { playing = false; return; }
    const begin = performance.now(), points = lab.history.steps.length;
    due += ((time - before) * speed) / 1000;
    before = time;
    if (speed) due = Math.min(due, speed / 10); // after a pause of the browser: no rush to catch up
    let stop = false;
    while ((speed === 0 || due >= 1) && !lab.finished && !stop && performance.now() - begin < FRAME) {
      lab.step(1);
      due -= 1;
      stop = story !== null && story.guess !== null && !story.seen && story.stops.includes(lab.now);
    }
    const measured = lab.history.steps.length !== points;
    if (lab.finished) {
      playing = false;
      everything();
      requestAnimationFrame(finished);
      return;
    }
    if (stop) {
      playing = false;
      story.stopped = lab.now;
      everything();
      showStories();
      tell("This is the moment that the question asks about. Look, then press play.");
      return;
    }
    showRun();
    if (measured && !calm.matches) showCurves();
    else {
      moveCursors();
      // One picture a frame is enough; readers who want little motion get all of them, once in a while.
      if (!calm.matches) {
        turn = (turn + 1) % 2;
        paintQuickly(roles[1 + (taught() ? turn : 0)]);
      } else if (time - painted > 800) {
        painted = time;
        everything(false);
      }
    }
    requestAnimationFrame(tick);
  }
  let painted = 0;
  function play() {
    if (lab.finished) restart();
    playing = true;
    before = performance.now();
    due = 1;
    words.textContent = explain(moved, settings) || "They learn. Move α, β or τ and watch.";
    if (view === "seeds") chooseView("curves");
    showRun();
    requestAnimationFrame(tick);
  }
  function pause(quiet) {
    if (!playing) return;
    playing = false;
    everything();
    if (!quiet) tell();
  }
  function restart() {
    const wasPlaying = playing;
    playing = false;
    lab = new Lab(settings, assets);
    everything();
    if (wasPlaying) play();
  }

  // -- controls ------------------------------------------------------------------------------------------------------
  const dials = {};
  /** Settings of the engine into the controls, for example after a step back. */
  function takeSettings() {
    settings = { ...lab.settings };
    for (const [name, one] of Object.entries(dials)) one.put(name === "task" ? `${settings.world}/${settings.task}` : settings[name]);
  }
  function change(name, value) {
    touched = true;
    moved = name;
    settings = { ...settings, [name]: value };
    if (name === "task") {
      const [world, task] = value.split("/");
      settings = { ...settings, world, task };
    }
    seedsStale();
    if (MOVING.includes(name) && lab.now > 0 && !lab.finished) {
      lab.change({ [name]: value });
      showWords();
      showCurves();
    } else if (MOVING.includes(name) && lab.now === 0) {
      lab.change({ [name]: value });
      showWords();
    } else if (MOVING.includes(name)) showWords("Press play to run with it.");
    else { restart(); showWords(); }
    clearTimeout(saving);
    saving = setTimeout(save, 250);
  }
  let saving = 0;
  const format = { noise: percent, alpha: (v) => String(+v.toFixed(3)), rate: (v) => String(v) };
  function dial(name, label) {
    const choices = [...VALUES[name]];
    const allow = (v) => {
      if (choices.includes(v)) return;
      choices.push(v);
      choices.sort((a, b) => a - b);
    };
    allow(settings[name]);
    const made = slider({ name, label, value: settings[name], choices, format: format[name], onchange: (v) => change(name, v) });
    dials[name] = { ...made, put: (v) => { allow(v); made.input.max = choices.length - 1; made.put(v); } };
    made.node.classList.add("lab-dial");
    return made.node;
  }
  function list(name, label, choices, value = settings[name]) {
    dials[name] = choice({ name, label, value, choices, onchange: (v) => change(name, name === "batch" ? Number(v) : v) });
    dials[name].node.classList.add("lab-dial");
    return dials[name].node;
  }
  dials.tauSquared = toggle({ name: "tauSquared", label: "factor τ²", value: settings.tauSquared, onchange: (v) => change("tauSquared", v) });
  const letter = (sign, words) => h("span", {}, h("b", { class: "lab-letter" }, sign), ` ${words}`);
  const teach = h("div", { class: "lab-panel", "data-panel": "teach" }, h("div", { class: "lab-panel-title" }, "Move these while it learns"),
    dial("alpha", letter("α", "label’s weight")), dial("beta", letter("β", "memory")), dial("tau", letter("τ", "temperature")), dials.tauSquared.node, dial("rate", letter("η", "learning rate")));
  const tasks = Object.entries(TASKS).flatMap(([world, some]) => Object.keys(some).map((task) => [`${world}/${task}`, TASK_WORDS[`${world}/${task}`] || task]));
  const task = h("div", { class: "lab-panel", "data-panel": "task" }, h("div", { class: "lab-panel-title" }, "Changes here restart the run"),
    list("task", "task", tasks, `${settings.world}/${settings.task}`), list("rule", "selection rule", RULE_NAMES.map((rule) => [rule, RULE_WORDS[rule] || rule])),
    dial("labels", "labels per class"), dial("noise", "wrong labels"), h("div", { class: "lab-halves" }, dial("seed", "seed"), dial("steps", "steps")),
    h("details", { class: "lab-more" }, h("summary", {}, "optimiser"),
      list("optimizer", "optimiser", [["adamw", "AdamW"], ["sgd", "SGD"]]), list("schedule", "schedule", [["cosine", "rise, then cosine"], ["constant", "constant"]]), list("batch", "batch", VALUES.batch.map((n) => [n, n]))));

  // -- words ---------------------------------------------------------------------------------------------------------
  const words = h("p", { class: "lab-words", "aria-live": "polite", "data-name": "told" });
  const alarm = h("p", { class: "lab-alarm", role: "alert", "data-name": "problem", hidden: true });
  const showWords = (more = "") => { words.textContent = `${explain(moved, settings) || standing()} ${more}`.trim(); };
  const last = (key, role) => accuracyNow(key, role).toFixed(3);
  /** What a listener is told when the lab stands still. */
  function standing() {
    if (lab.now === 0) return "Four students are ready. Press play.";
    const mains = methods.map((one) => `${one.short} ${last(one.key, "main")}`).join(", ");
    return `Step ${lab.now} of ${lab.settings.steps}. Test accuracy: ${mains}${taught() ? `; auxiliary of ${method().short} ${last(show, "auxiliary")}` : ""}.`;
  }
  function tell(before = "") { requestAnimationFrame(() => requestAnimationFrame(() => { if (!playing) words.textContent = `${before} ${standing()}`.trim(); })); }
  function finished() {
    tell();
    if (story && story.guess !== null) endStory();
  }

  // -- seeds ---------------------------------------------------------------------------------------------------------
  const seedButton = h("button", { type: "button", class: "lab-wide", "data-name": "run-seeds", onclick: () => (seeds && seeds.running ? stopSeeds() : startSeeds()) }, `Run ${SEEDS} seeds`);
  const seedWords = h("p", { class: "lab-verdict", "aria-live": "polite", "data-name": "verdict" });
  const seedBar = h("progress", { class: "lab-progress", max: SEEDS, value: 0, hidden: true, "aria-label": "Seeds that have run" });
  const machine = seedMachine(engine, assets, (seed, run) => {
    seeds.results.seeds.push(seed);
    for (const key of METHODS) seeds.results[key].main.push(run[key].main[0]);
    const n = seeds.results.seeds.length;
    seedBar.value = n;
    if (n >= SEEDS) {
      seeds.running = false;
      machine.stop();
    }
    showSeeds();
  });
  const emptySeeds = () => ({ seeds: [], ...Object.fromEntries(METHODS.map((key) => [key, { main: [] }])) });
  function startSeeds() {
    pause();
    seeds = { running: true, stale: false, results: emptySeeds() };
    machine.start({ ...settings }, Array.from({ length: SEEDS }, (_, i) => i));
    chooseView("seeds");
    showSeeds();
  }
  function stopSeeds() {
    machine.stop();
    seeds.running = false;
    showSeeds();
  }
  function noSeeds() {
    machine.stop();
    seeds = null;
    if (view === "seeds") chooseView("curves");
    showSeeds();
  }
  /** A setting was moved: what the seeds show is no longer what the controls say. */
  function seedsStale() {
    if (!seeds) return;
    if (seeds.running) stopSeeds();
    seeds.stale = true;
    showSeeds();
  }
  const pairWords = (d, [a, b]) => `${a.short} − ${b.short} ${signed2(d.mean)} ± ${((d.high - d.low) / 2).toFixed(3)}`;
  /** Which differences are larger than their intervals. */
  function verdict() {
    const found = PAIRS.map((two) => ({ two, d: paired(seeds.results[two[0].key].main, seeds.results[two[1].key].main) }));
    const clear = found.filter(({ d }) => d.low > 0 || d.high < 0), open = found.filter((one) => !clear.includes(one));
    const named = (some) => some.map(({ two, d }) => pairWords(d, two)).join("; ");
    if (!clear.length) return `No difference exceeds its interval (${named(open)}).`;
    return `These exceed their intervals: ${named(clear)}.${open.length ? ` Inconclusive: ${named(open)}.` : ""}`;
  }
  function showSeeds() {
    const n = seeds ? seeds.results.seeds.length : 0;
    seedButton.textContent = seeds && seeds.running ? `Stop at ${n}` : `Run ${SEEDS} seeds`;
    seedBar.hidden = !(seeds && seeds.running);
    spreadChart.node.hidden = n === 0;
    if (n) {
      spreadChart.name(`Test accuracy over ${n} seeds: ${methods.map((one) => `${one.short} ${average(seeds.results[one.key].main).toFixed(3)}`).join(", ")}.`);
      if (view === "seeds") spreadChart.redraw();
    }
    if (!seeds) seedWords.textContent = "A single run can be luck. Thirty runs, each with its own labelled points, show how much of a difference is luck.";
    else if (seeds.running) seedWords.textContent = "Each seed has its own data, order and new weights.";
    else if (n > 1) seedWords.textContent = `${seeds.stale ? "For the settings before your last change. " : ""}${n} seeds. ${verdict()}`;
    else seedWords.textContent = "Stopped.";
  }
  const seedPanel = h("div", { class: "lab-panel lab-seed-panel", "data-panel": "seeds" }, h("div", { class: "lab-panel-title" }, "Luck, or more?"), seedButton, seedBar, seedWords);

  // -- stories: predict, then see ------------------------------------------------------------------------------------
  const storyPlace = h("div", { class: "lab-story" });
  const storyPanel = h("div", { class: "lab-panel lab-story-panel", "data-panel": "stories" }, h("div", { class: "lab-panel-title" }, "Predict, then see"), storyPlace);
  function showStories() {
    storyPlace.replaceChildren();
    if (!story) {
      storyPlace.dataset.state = "list";
      storyPlace.append(h("div", { class: "lab-story-list" }, presets.map((one, i) =>
        h("button", { type: "button", "data-name": `story-${one.key}`, onclick: () => openStory(one.key, true) }, h("b", {}, String(i + 1)), one.title))));
      return;
    }
    const one = presets.find(({ key }) => key === story.key), at = presets.indexOf(one);
    const back = () => { story = null; showStories(); save(); storyPlace.querySelector("button").focus(); };
    const head = h("div", { class: "lab-story-head", tabindex: -1 },
      h("button", { type: "button", class: "lab-back", "data-name": "story-back", "aria-label": "All stories", title: "All stories", onclick: back }, "‹"),
      h("b", {}, `${at + 1} · ${one.title}`));
    storyPlace.dataset.state = story.seen ? "seen" : story.guess === null ? "asked" : "guessed";
    const answers = h("div", { class: "lab-answers", role: "group", "aria-label": one.question }, one.choices.map((text, i) => {
      const state = story.guess === null ? "" : i === one.answer && story.seen ? "right" : i === story.guess ? "guess" : "";
      const mark = story.seen && i === one.answer ? "✓ " : story.seen && i === story.guess ? "✗ " : story.guess === i ? "• " : "";
      return h("button", { type: "button", "data-name": `answer-${i}`, "data-state": state, disabled: story.guess !== null, onclick: () => guess(i) }, mark, text);
    }));
    storyPlace.append(head, h("p", { class: "lab-look" }, one.look), h("p", { class: "lab-question" }, one.question), answers);
    if (story.guess !== null && !story.seen) {
      storyPlace.append(h("p", { class: "dmws-quiet", "data-name": "story-now" }, story.stopped
        ? `Step ${story.stopped}: the moment that the question asks about. Look, then press play.` : "Now watch the run. The answer appears at the end."));
    }
    if (story.seen) storyPlace.append(h("p", { class: "lab-answer", "data-name": "story-answer" }, h("b", {}, outcome(one)), " ", one.after));
    const next = presets[at + 1];
    if (story.seen) storyPlace.append(h("div", { class: "dmws-row" },
      one.seeds ? h("button", { type: "button", "data-name": "story-seeds", onclick: () => chooseView("seeds") }, `See its ${one.seeds.dual.main.length} seeds`) : null,
      next ? h("button", { type: "button", "data-name": "story-next", onclick: () => openStory(next.key, true) }, "Next story") : null));
  }
  const outcome = (one) => (story.guess === one.answer ? `As you predicted: “${one.choices[one.answer]}”.` : `Not as you predicted. The answer is “${one.choices[one.answer]}”.`);
  function openStory(key, focus) {
    const one = presets.find((each) => each.key === key);
    playing = false;
    story = { key, guess: null, seen: false, stops: one.stops || [], stopped: 0 };
    settings = { ...DEFAULTS, ...one.settings };
    show = one.show || "dual";
    moved = "";
    noSeeds();
    restart();
    takeSettings();
    choosePanel("stories");
    chooseView(one.view || "curves");
    showStories();
    if (focus) { touched = true; save(); storyPlace.querySelector(".lab-story-head").focus({ preventScroll: true }); }
    tell();
  }
  function guess(i) {
    story.guess = i;
    showStories();
    if (lab.now) restart();
    play();
    playButton.focus({ preventScroll: true });
  }
  function endStory() {
    story.seen = true;
    const one = presets.find(({ key }) => key === story.key);
    if (one.seeds) {
      machine.stop();
      seeds = { running: false, stale: false, stored: true, results: one.seeds };
      showSeeds();
    }
    showStories();
    words.textContent = `${outcome(one)} ${one.after}`;
  }

  // -- tabs of a small screen ----------------------------------------------------------------------------------------
  const panels = { stories: storyPanel, teach, task, seeds: seedPanel };
  const tab = (key, text, pick, kind) => h("button", { type: "button", "data-name": `${kind}-${key}`, onclick: () => pick(key) }, text);
  const panelTabs = Object.entries({ stories: "Stories", teach: "Teach", task: "Task", seeds: "30 seeds" }).map(([key, text]) => [key, tab(key, text, (one) => { choosePanel(one); if (one === "seeds" && seeds) chooseView("seeds"); else if (view === "seeds") chooseView("curves"); }, "tab")]);
  const views = { curves: h("div", { class: "lab-view" }, accuracy.node), inside: h("div", { class: "lab-view lab-inside" }, share.node, distance.node), seeds: h("div", { class: "lab-view" }, spreadChart.node) };
  const viewTabs = Object.entries({ curves: "accuracy", inside: "auxiliary", seeds: "30 seeds" }).map(([key, text]) => [key, tab(key, text, (one) => chooseView(one), "view")]);
  function choosePanel(key) {
    panel = key;
    root.dataset.panel = key;
    for (const [name, node] of Object.entries(panels)) node.dataset.chosen = String(name === key);
    for (const [name, node] of panelTabs) node.setAttribute("aria-pressed", String(name === key));
    if (lab && narrow()) everything();
  }
  function chooseView(key) {
    view = key;
    for (const [name, node] of Object.entries(views)) node.dataset.chosen = String(name === key);
    root.dataset.view = key;
    for (const [name, node] of viewTabs) node.setAttribute("aria-pressed", String(name === key));
    if (key === "seeds") showSeeds();
    else everything();
  }

  // -- showing ---------------------------------------------------------------------------------------------------------
  function showRun() {
    playButton.replaceChildren(icon(playing ? "pause" : "play"));
    const say = playing ? "Pause" : lab.finished ? "Play again" : "Play";
    if (playButton.getAttribute("aria-label") !== say) { playButton.setAttribute("aria-label", say); playButton.title = say; }
    scrub.max = lab.settings.steps;
    scrub.value = lab.now;
    scrub.setAttribute("aria-valuetext", `step ${lab.now} of ${lab.settings.steps}`);
    counter.textContent = `${lab.now} / ${lab.settings.steps}`;
  }
  const current = (list) => list[lab.history.steps.findLastIndex((step) => step <= lab.now)];
  /** Test accuracy: the last measured one while it runs, that of this very step when it stands still. */
  let exact = { lab: null };
  function accuracyNow(key, role) {
    if (role === "auxiliary" && !method(key).auxiliary) return null;
    if (playing) return current(lab.history[key][role]);
    if (exact.lab !== lab || exact.step !== lab.now) exact = { lab, step: lab.now };
    return (exact[`${key}/${role}`] ??= lab.accuracy(key, role));
  }
  const put = (node, value, n = 3) => { node.dataset.number = value === null ? "" : String(value); node.textContent = value === null ? "–" : value.toFixed(n); };
  function showNumbers() {
    for (const { one, node, input, value } of chips) {
      put(value, accuracyNow(one.key, "main"));
      input.checked = one.key === show;
      node.dataset.chosen = String(one.key === show);
    }
    put(captions.teacher, lab.teacher.accuracy);
    put(captions.main, accuracyNow(show, "main"));
    put(captions.auxiliary, accuracyNow(show, "auxiliary"));
  }
  function showCurves() {
    showNumbers();
    accuracy.redraw();
    share.redraw();
    distance.redraw();
  }
  function moveCursors() { for (const chart of [accuracy, share, distance]) chart.move(lab.now); }
  /** Bring all up to date: the count at once, the rest before the next picture of the screen. */
  let pending = null;
  function everything(fine = !playing) {
    showRun();
    if (pending === null) requestAnimationFrame(() => { const now = pending; pending = null; showAll(now); });
    pending = fine;
  }
  function showAll(sharp) {
    showCurves();
    root.dataset.show = show;
    root.dataset.auxiliary = String(taught());
    root.dataset.selects = String(method().selects);
    paintSoon(sharp);
    if (!sharp) return;
    const list = methods.map((one) => `${one.short} ${last(one.key, "main")}`).join(", ");
    accuracy.name(`Test accuracy over steps, up to step ${lab.now}: ${list}${taught() ? `; auxiliary of ${method().short} ${last(show, "auxiliary")}` : ""}; chance ${chance().toFixed(3)}.`);
    share.name(`Share of its start that the auxiliary has left at step ${lab.now}: ${lab.share.toPrecision(2)}.`);
    distance.name(`Distance of main and auxiliary in weight space at step ${lab.now}: ${methods.filter((one) => one.auxiliary).map((one) => `${one.short} ${current(lab.history[one.key].distance).toFixed(2)}`).join(", ")}.`);
    const kind = lab.data.side ? "Images with the predicted class" : "Decision regions";
    roles[0].panel.name(`${kind} of the teacher on its own task of ${lab.data.source.classes} classes; accuracy ${lab.teacher.accuracy.toFixed(3)}.`);
    roles[1].panel.name(`${kind} of main (${method().short}) at step ${lab.now}; test accuracy ${last(show, "main")}; ${lab.data.train.n} labelled.`);
    roles[2].panel.name(taught() ? `${kind} of the auxiliary at step ${lab.now}; test accuracy ${last(show, "auxiliary")}.` : `${method().short} has no auxiliary.`);
    legend.replaceChildren(...lab.data.labels.map((name, k) => h("span", { class: "dmws-key" }, s("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" },
      s("path", { d: OUTLINES[POINT_SHAPES[k]](4.6), fill: CLASS_COLOURS[k] })), name)), h("span", {}, lab.data.side ? "□ labelled, ✗ wrong" : lab.settings.noise ? "○ labelled, ✗ wrong" : "○ labelled"));
  }
  const legend = h("div", { class: "lab-legend" });

  // -- link ------------------------------------------------------------------------------------------------------------
  const linkPlace = h("input", { class: "lab-link", type: "text", readonly: true, "aria-label": "Link to these settings", hidden: true });
  const linkButton = iconButton("link", "Copy a link to these settings", async () => {
    touched = true;
    save();
    const address = location.href.split("#")[0] + writeLink(settings, DEFAULTS, show, story && story.key);
    try {
      await navigator.clipboard.writeText(address);
      words.textContent = "The link is copied. It contains the settings, not the course of this run.";
    } catch {
      linkPlace.hidden = false;
      linkPlace.value = address;
      linkPlace.select();
      words.textContent = "Copy the link from the field above the pictures.";
    }
  });
  /** Keep the address up to date once the reader has moved something; settings of a story are in its name. */
  function save() {
    model.set("settings", { ...settings });
    if (!linked || !touched) return;
    const base = story ? { ...DEFAULTS, ...presets.find(({ key }) => key === story.key).settings } : DEFAULTS;
    history.replaceState(history.state, "", writeLink(settings, base, show, story && story.key));
  }
  /** Show what a link asks for; `ready` where the lab is at its settings already. */
  function open(found, ready = false) {
    alarm.hidden = !found.problem;
    alarm.textContent = found.problem || "";
    if (found.preset) openStory(found.preset, false);
    else { story = null; noSeeds(); }
    settings = { ...(found.preset ? settings : first), ...found.settings };
    show = found.show || (found.preset ? show : "dual");
    playing = false;
    if (ready) everything();
    else restart();
    takeSettings();
    showStories();
    moved = "";
    tell();
  }
  const onhash = () => {
    const found = linked && readLink(location.hash, engine, presets);
    if (!found) return;
    touched = false;
    open(found);
    root.scrollIntoView({ block: "start", behavior: "auto" });
  };

  // -- all together --------------------------------------------------------------------------------------------------
  const whole = h("dialog", { class: "lab-dialog", "aria-label": model.get("title"), onclose: () => { host.append(root); fullButton.focus(); refit(); } });
  const fullButton = iconButton("full", "Full screen", () => {
    if (whole.open) whole.close();
    else { whole.append(root); whole.showModal(); fullButton.focus(); refit(); }
  });
  const refit = () => requestAnimationFrame(() => { readColours(); everything(); });
  const place = (one, title) => h("div", { class: "lab-role", "data-role": one.role }, one.panel.canvas,
    h("div", { class: "lab-caption" }, h("b", {}, title), " ", captions[one.role]), one.role === "auxiliary" ? h("div", { class: "lab-none" }, "no auxiliary: main learns only from labels") : null);
  const arrow = (d) => s("svg", { viewBox: "0 0 40 14", class: "lab-arrow", "aria-hidden": "true" }, s("path", { d }));
  const RIGHT = "M2 7H35M29 2l7 5-7 5", LEFT = "M38 7H5M11 2L4 7l7 5";
  const cutWords = h("div", { class: "lab-between", "data-between": "cut" }, h("span", { class: "lab-cutting" }, "cut in half"), arrow(RIGHT), h("span", { class: "lab-uncut" }, "not used"));
  const talk = h("div", { class: "lab-between", "data-between": "talk" }, h("span", {}, "teaches"), arrow(LEFT), h("span", {}, "average"), arrow(RIGHT));

  const root = frame(el, "distillation-lab", model.get("title"));
  const host = root.parentNode;
  root.style.cssText = methods.map((one) => `--lab-base-${one.key}: ${one.colour};`).join("");
  root.append(
    h("div", { class: "lab-top" }, root.querySelector(".dmws-title"), h("span", { class: "lab-tools" }, speedChoice, linkButton, fullButton)), alarm, linkPlace,
    h("div", { class: "lab-grid" },
      h("div", { class: "lab-left" },
        h("div", { class: "lab-run", role: "group", "aria-label": "Run" }, startButton, playButton, stepButton, scrub, counter),
        h("fieldset", { class: "lab-chips" }, h("legend", {}, "Shown below"), chips.map(({ node }) => node)),
        h("div", { class: "lab-roles" }, place(roles[0], "Teacher"), cutWords, place(roles[1], "Main"), talk, place(roles[2], "Auxiliary")),
        legend,
        h("div", { class: "lab-views" }, h("div", { class: "lab-tabs lab-view-tabs", role: "group", "aria-label": "Chart" }, viewTabs.map(([, node]) => node)), Object.values(views)),
        words),
      h("div", { class: "lab-right" },
        h("div", { class: "lab-tabs lab-panel-tabs", role: "group", "aria-label": "Controls" }, panelTabs.map(([, node]) => node)),
        Object.values(panels))));
  host.append(whole);

  // In pieces, so that the page stays quick while it loads: the controls are made, then the networks, then all is shown.
  root.hidden = true;
  let gone = false;
  const inTurn = (...pieces) => { const go = () => { if (!gone && pieces.length) { pieces.shift()(); setTimeout(go); } }; setTimeout(go); };
  inTurn(() => { lab = new Lab(settings, assets); }, () => {
    choosePanel(link.preset ? "stories" : "teach");
    chooseView("curves");
    showStories();
    showSeeds();
    root.hidden = false;
    readColours();
  }, () => {
    open({ problem: "", ...link }, !link.preset);
  }, () => {
    watch.observe(root);
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "theme", "class"] });
    window.addEventListener("hashchange", onhash);
  });

  let width = 0;
  const watch = new ResizeObserver(() => { if (root.clientWidth && root.clientWidth !== width) { width = root.clientWidth; refit(); } });
  const themes = new MutationObserver(refit);
  const onvisible = () => { before = performance.now(); };
  document.addEventListener("visibilitychange", onvisible);
  if (linked && link.settings && /[#&]lab=/.test(location.hash)) setTimeout(() => root.scrollIntoView({ block: "start", behavior: "auto" }), 200); // the charts have their heights by then
  return () => {
    gone = true;
    playing = false;
    machine.stop();
    watch.disconnect();
    themes.disconnect();
    document.removeEventListener("visibilitychange", onvisible);
    window.removeEventListener("hashchange", onhash);
    for (const chart of [accuracy, share, distance, spreadChart]) chart.stop();
  };
}
export default { render };
