// Settings of the distillation lab as its page knows them: values of the sliders, what a link may ask for, and one
// sentence on what each control does.

/** Values of the sliders. What a link asks for besides is added where it belongs. */
const VALUES = {
  alpha: Array.from({ length: 21 }, (_, i) => i / 20),
  beta: [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1],
  tau: [0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20],
  rate: [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1],
  labels: [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50],
  noise: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
  seed: Array.from({ length: 30 }, (_, i) => i),
  steps: [100, 200, 300, 400, 600, 800, 1000, 1500, 2000],
  batch: [2, 4, 8, 16, 32],
};

/** What a link may ask for; the sliders' own ends where the engine would allow more. */
const LIMITS = { alpha: [0, 1], beta: [0, 1], tau: [0.5, 20], rate: [0.0001, 0.5], labels: [1, 50], noise: [0, 0.6], seed: [0, 9999], steps: [10, 5000], batch: [2, 64], decay: [0, 1] };
const WHOLE = ["labels", "seed", "steps", "batch"];
const WORDS = { alpha: "α", beta: "β", tau: "τ", rate: "learning rate", labels: "labels per class", noise: "share of wrong labels", seed: "seed", steps: "steps", batch: "batch", decay: "weight decay" };

/** Read what stands behind `#lab=`: { settings, show, preset, problem }, or null where there is no such part.
 *  A bad value is left out, and `problem` is one sentence about the first of them. */
function readLink(hash, { DEFAULTS, TASKS, RULE_NAMES, METHODS }, presets) {
  const found = /[#&]lab=([^&]*)/.exec(hash);
  if (!found) return null;
  const link = { settings: {}, show: null, preset: null, problem: "" };
  const refuse = (text) => { link.problem ||= `The link ${text} The rest of it was used.`; };
  const lists = {
    world: Object.keys(TASKS), rule: RULE_NAMES, schedule: ["cosine", "constant"], optimizer: ["adamw", "sgd"], show: METHODS,
    preset: presets.map((one) => one.key), task: Object.values(TASKS).flatMap(Object.keys), tauSquared: ["true", "false"],
  };
  let given = [];
  try { given = decodeURIComponent(found[1]).split(",").filter(Boolean); } catch { refuse("cannot be read: it has a broken % sign."); }
  for (const part of given) {
    const [name, text = ""] = part.split(":");
    if (Object.hasOwn(lists, name)) {
      if (!lists[name].includes(text)) { refuse(`asks for ${name} ${text || "nothing"}; choose one of ${lists[name].join(", ") || "none"}.`); continue; }
      if (name === "show" || name === "preset") link[name] = text;
      else link.settings[name] = name === "tauSquared" ? text === "true" : text;
    } else if (Object.hasOwn(LIMITS, name)) {
      const [low, high] = LIMITS[name], value = text.trim() === "" ? NaN : Number(text), whole = WHOLE.includes(name);
      if (!(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
        refuse(`asks for ${WORDS[name]} ${text || "nothing"}; choose ${whole ? "a whole number" : "a number"} from ${low} to ${high}.`);
      } else link.settings[name] = value;
    } else refuse(`has “${name}”, which the lab does not know; use one of ${[...Object.keys(lists), ...Object.keys(LIMITS)].join(", ")}.`);
  }
  const { world = link.settings.task === undefined ? DEFAULTS.world : Object.keys(TASKS).find((w) => link.settings.task in TASKS[w]), task } = link.settings;
  if (task !== undefined || link.settings.world !== undefined) {
    if (task !== undefined && !(task in TASKS[world])) refuse(`asks for the task ${task} in the world ${world}; choose one of ${Object.keys(TASKS[world]).join(", ")}.`);
    Object.assign(link.settings, { world, task: task in TASKS[world] ? task : Object.keys(TASKS[world])[0] });
  }
  return link;
}

/** The text after `#lab=`: every setting that differs from the defaults. */
function writeLink(settings, defaults, show, preset) {
  const parts = Object.keys(defaults).filter((name) => name !== "every" && settings[name] !== defaults[name]).map((name) => `${name}:${settings[name]}`);
  if (preset) parts.unshift(`preset:${preset}`);
  if (show !== "dual") parts.push(`show:${show}`);
  return `#lab=${parts.join(",")}`;
}

const percent = (v) => `${Math.round(100 * v)}%`;

/** One sentence on the effect of a control at its current value. */
function explain(name, now) {
  const { alpha, beta, tau, tauSquared, rate } = now;
  if (name === "alpha") {
    if (alpha === 1) return "α = 1: only the labels count. The auxiliary has no influence, so same start and ours learn exactly like CM1.";
    if (alpha === 0) return "α = 0: the labels are ignored. Main only imitates its auxiliary, so nothing new can be learned.";
    return `α = ${alpha}: the label has ${percent(alpha)} of the loss’s weight, the auxiliary’s prediction ${percent(1 - alpha)}.`;
  }
  if (name === "beta") {
    if (beta === 1) return "β = 1: the auxiliary never changes. It keeps its part of the teacher, with an untrained classifier.";
    if (beta === 0) return "β = 0: after every step the auxiliary is a copy of main, so it always agrees with main.";
    const half = Math.log(0.5) / Math.log(beta);
    return `β = ${beta}: the auxiliary keeps ${+(100 * beta).toFixed(1)}% of its weights at each step. Half of its start is gone after ${half < 10 ? half.toFixed(1) : Math.round(half)} steps.`;
  }
  if (name === "tau" || name === "tauSquared") {
    const words = tau < 1 ? "sharpened" : tau === 1 ? "used as they are" : tau >= 10 ? "nearly flat: small differences between unlikely classes count too" : "softened: unlikely classes count too";
    const force = tauSquared ? "The factor τ² keeps the auxiliary’s pull about as strong at any τ." : `Without τ² the auxiliary’s pull is ${tau === 1 ? "the same" : tau > 1 ? `${+(tau * tau).toFixed(1)} times weaker` : `${+(1 / tau / tau).toFixed(1)} times stronger`} here.`;
    return `τ = ${tau}: both predictions are ${words}. ${force}`;
  }
  if (name === "rate") return `Learning rate ${rate}: ${rate >= 0.02 ? "large steps; main fluctuates, and an average of its past is steadier" : rate <= 0.001 ? "small steps; the start matters for longer" : "moderate steps"}.`;
  return "";
}
