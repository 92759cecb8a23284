// Quiz: radio buttons, a button that checks, and feedback on the chosen option.

/** Text with what stands between backticks as code. */
const rich = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

/** One question: a form, so that Enter checks. Arrow keys only move the choice, they do not answer. */
function question({ number: n, asked, chosen, oncheck }) {
  const group = newId("question");
  const feedback = h("div", { class: "dmws-feedback", role: "status", "data-name": `feedback-${n}` });
  const button = h("button", { type: "submit", "data-name": `check-${n}` }, "Check");
  const rows = asked.options.map((option, i) => {
    const input = h("input", { type: "radio", name: group, value: i, "data-name": `option-${n}-${i + 1}`, checked: i === chosen });
    const mark = h("span", { class: "dmws-mark", "aria-hidden": "true" });
    return { input, mark, node: h("label", { class: "dmws-option" }, input, h("span", {}, rich(option.text)), mark) };
  });
  const clear = () => {
    rows.forEach(({ mark, node }) => { mark.textContent = ""; delete node.dataset.state; });
    feedback.replaceChildren();
    delete feedback.dataset.state;
  };
  const tell = (i) => {
    const option = asked.options[i];
    clear();
    rows[i].mark.textContent = option.right ? "✓" : "✗";
    rows[i].node.dataset.state = feedback.dataset.state = option.right ? "right" : "wrong";
    feedback.replaceChildren(h("strong", {}, option.right ? "Right. " : "Not right. "), ...rich(option.feedback));
  };
  const submit = (event) => {
    event.preventDefault();
    const i = rows.findIndex(({ input }) => input.checked);
    if (i < 0) {
      feedback.replaceChildren("Choose an answer first.");
      return;
    }
    tell(i);
    oncheck(i);
  };
  rows.forEach(({ input }) => input.addEventListener("change", clear)); // the feedback was on another answer
  if (chosen >= 0) tell(chosen);
  return h("form", { class: "dmws-question", onsubmit: submit },
    h("fieldset", {},
      h("legend", {}, h("span", { class: "dmws-quiet" }, `${n}. `), rich(asked.question)),
      rows.map(({ node }) => node)),
    h("div", { class: "dmws-answer" }, button, feedback));
}

function render({ model, el }) {
  const asked = model.get("questions");
  const answers = asked.map((_, i) => model.get("answers")[i] ?? -1);
  const score = number("right", 0);
  const done = h("p", { class: "dmws-quiet" }, "Answered right: ", score.node, ` of ${asked.length}.`);
  const count = () => score.put(answers.filter((i, n) => i >= 0 && asked[n].options[i].right).length);
  const forms = asked.map((one, i) => question({
    number: i + 1, asked: one, chosen: answers[i],
    oncheck: (option) => { answers[i] = option; keep(model, "answers", [...answers]); count(); },
  }));
  const root = frame(el, "quiz", model.get("title"), forms, done);
  // JupyterLab: keys typed here choose an answer, they do not move between cells.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  count();
  return () => root.remove();
}
export default { render };
