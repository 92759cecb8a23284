// Quiz: choose an answer or type a number, check it, and read why. Answers are kept in this browser, nowhere else.

/** Text with what stands between backticks as code. */
const rich = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

/** The number that a reader typed, or NaN: thousands may be set apart, a per cent sign divides by a hundred. */
function typed(text) {
  const plain = text.trim().replace(/\u2212/g, "-").replace(/[ \u00a0\u202f](?=\d{3}(\D|$))/g, "").replace(/,(?=\d{3}(\D|$))/g, "");
  const found = /^([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[-+]?\d+)?)\s*(%?)$/i.exec(plain);
  return found ? Number(found[1].replace(",", ".")) / (found[2] ? 100 : 1) : NaN;
}

/** Whether an answer that was checked is right: the index of an option, or the text of a number. */
function isRight(asked, answer) {
  if (asked.options) return answer >= 0 && asked.options[answer].right;
  return typeof answer === "string" && Math.abs(typed(answer) - asked.number) <= asked.tolerance;
}

/** Where the browser keeps the answers; the questions are part of the name, so that changed ones start anew. */
function storage(title, questions) {
  let hash = 0;
  for (const letter of JSON.stringify(questions)) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) | 0;
  const name = `dmws-lite quiz ${title} ${(hash >>> 0).toString(36)}`;
  const quietly = (action) => {
    try { return action(window.localStorage); } catch { return null; } // refused, full, or not ours
  };
  const fits = (answer, i) => answer === -1 || (questions[i].options ? answer in questions[i].options : typeof answer === "string");
  return {
    read: () => quietly((store) => {
      const answers = JSON.parse(store.getItem(name));
      return Array.isArray(answers) && answers.length === questions.length && answers.every(fits) ? answers : null;
    }),
    write: (answers) => quietly((store) => store.setItem(name, JSON.stringify(answers))),
    clear: () => quietly((store) => store.removeItem(name)),
  };
}

/** Radio buttons for the options of a question; arrow keys only move the choice, they do not answer. */
function options(n, asked, chosen) {
  const group = newId("question");
  const rows = asked.options.map((option, i) => {
    const input = h("input", { type: "radio", name: group, value: i, "data-name": `option-${n}-${i + 1}`, checked: i === chosen });
    const mark = h("span", { class: "dmws-mark", "aria-hidden": "true" });
    return { input, mark, node: h("label", { class: "dmws-option" }, input, h("span", {}, rich(option.text)), mark) };
  });
  return {
    nodes: rows.map(({ node }) => node),
    inputs: rows.map(({ input }) => input),
    missing: "Choose an answer first.",
    answer: () => { const i = rows.findIndex(({ input }) => input.checked); return i < 0 ? null : i; },
    clear: () => rows.forEach(({ mark, node }) => { mark.textContent = ""; delete node.dataset.state; }),
    mark: (i, right) => { rows[i].mark.textContent = right ? "✓" : "✗"; rows[i].node.dataset.state = right ? "right" : "wrong"; },
    reason: (i) => asked.options[i].feedback,
  };
}

/** A field for a number. */
function field(n, asked, chosen) {
  const id = newId("number");
  const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", id, class: "dmws-typed", "data-name": `number-${n}` });
  if (typeof chosen === "string") input.value = chosen;
  return {
    nodes: [h("div", { class: "dmws-control" }, h("label", { for: id }, "Your number"), input)],
    inputs: [input],
    missing: "Type a number first, such as 0.25, 25% or 1,000.",
    answer: () => (Number.isNaN(typed(input.value)) ? null : input.value.trim()),
    clear: () => { delete input.dataset.state; },
    mark: (_, right) => { input.dataset.state = right ? "right" : "wrong"; },
    reason: (answer) => (isRight(asked, answer) ? asked.right : asked.wrong),
  };
}

/** One question: a form, so that Enter checks. */
function question({ number: n, asked, chosen, oncheck }) {
  const feedback = h("div", { class: "dmws-feedback", role: "status", "data-name": `feedback-${n}` });
  const button = h("button", { type: "submit", "data-name": `check-${n}` }, "Check");
  const part = (asked.options ? options : field)(n, asked, chosen);
  const clear = () => { part.clear(); feedback.replaceChildren(); delete feedback.dataset.state; };
  const tell = (answer) => {
    const right = isRight(asked, answer);
    clear();
    part.mark(answer, right);
    feedback.dataset.state = right ? "right" : "wrong";
    feedback.replaceChildren(h("strong", {}, right ? "Right. " : "Not right. "), ...rich(part.reason(answer)));
  };
  const submit = (event) => {
    event.preventDefault();
    const answer = part.answer();
    if (answer === null) {
      clear();
      feedback.replaceChildren(part.missing);
      return;
    }
    tell(answer);
    oncheck(answer);
  };
  // The feedback was on another answer.
  part.inputs.forEach((input) => input.addEventListener(asked.options ? "change" : "input", clear));
  if (chosen !== -1) tell(chosen);
  return h("form", { class: "dmws-question", onsubmit: submit },
    h("fieldset", {},
      h("legend", {}, h("span", { class: "dmws-quiet" }, `${n}. `), rich(asked.question)),
      part.nodes),
    h("div", { class: "dmws-answer" }, button, feedback));
}

function render({ model, el }) {
  const asked = model.get("questions");
  const kept = storage(model.get("title"), asked);
  const given = asked.map((_, i) => model.get("answers")[i] ?? -1);
  let answers = given.some((answer) => answer !== -1) ? given : kept.read() || given;
  const score = number("right", 0);
  const again = h("button", { type: "button", "data-name": "again" }, "Start again");
  const done = h("div", { class: "dmws-row" },
    h("p", { class: "dmws-quiet" }, "Answered right: ", score.node, ` of ${asked.length}.`), again);
  const forms = h("div", {});
  const count = () => {
    score.put(answers.filter((answer, i) => isRight(asked[i], answer)).length);
    again.hidden = answers.every((answer) => answer === -1);
  };
  const put = (next) => { answers = next; keep(model, "answers", [...answers]); count(); };
  const show = () => forms.replaceChildren(...asked.map((one, i) => question({
    number: i + 1, asked: one, chosen: answers[i],
    oncheck: (answer) => { put(answers.map((old, j) => (j === i ? answer : old))); kept.write(answers); },
  })));
  again.addEventListener("click", () => {
    kept.clear();
    put(asked.map(() => -1));
    show();
    forms.querySelector("input").focus(); // the button is gone
  });
  const root = frame(el, "quiz", model.get("title"), forms, done);
  // JupyterLab: keys typed here choose an answer, they do not move between cells.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  show();
  count();
  return () => root.remove();
}
export default { render };
