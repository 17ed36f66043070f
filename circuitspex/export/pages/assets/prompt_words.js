/* Prompts in their own words: attention over their tokens, and an effect on each of them. */
(() => {
  const { say, element, signed, percent, bar, rangeOf } = cx;
  const NOTABLE = 0.05; // of attention: written beside the token

  const nameOf = (prompt, i) => `${i + 1}: ${prompt.text}`;
  function select(ui) {
    const options = ui.data.attended.map((prompt, i) => element("option", { value: i }, nameOf(prompt, i).slice(0, 90)));
    const made = element("select", { "aria-label": say("card.prompt") }, ...options);
    made.value = String(ui.state.prompt);
    made.addEventListener("change", () => ui.setPrompt(Number(made.value)));
    return element("label", { class: "field prompt-choice" }, say("card.prompt"), made);
  }

  /* The words at its named positions, by which prompts of one task differ, in their order and each once; without names
     its text. */
  function inShort(prompt) {
    const spans = Object.values(prompt.positions).filter((places) => places.length).sort((a, b) => a[0] - b[0]);
    const words = spans.map((places) => places.map((at) => prompt.tokens[at] ?? "").join("").trim()).filter(Boolean);
    return words.length ? [...new Set(words)].join(" · ") : prompt.text;
  }

  /* The tokens of a prompt, shaded by attention; named positions stand below their tokens. */
  function attention(shares, prompt, marked = []) {
    const names = new Map();
    for (const [name, places] of Object.entries(prompt.positions)) for (const at of places) names.set(at, [...(names.get(at) || []), name]);
    const most = Math.max(...shares, 1e-9);
    const tokens = prompt.tokens.map((piece, i) => {
      const share = shares[i] ?? 0, named = (names.get(i) || []).join(" ");
      const shown = element("span", { class: "piece" }, piece || "∅");
      shown.style.setProperty("--share", `${Math.round(78 * Math.sqrt(Math.max(share, 0) / most))}%`);
      return element("span", { class: "token" + (marked.includes(i) ? " marked" : ""), role: "listitem", title: `${piece.trim()}: ${percent(share)}${named ? `, ${named}` : ""}` },
        element("span", { class: "share" }, share >= NOTABLE ? percent(share) : ""), shown, element("span", { class: "named" }, named));
    });
    return element("div", { class: "tokens", role: "list", "aria-label": say("card.tokens") }, ...tokens);
  }

  /* Tukey's fences: 1.5 interquartile ranges beyond the quartiles; none for few prompts. */
  function fences(values) {
    if (values.length < 5) return null;
    const sorted = [...values].sort((a, b) => a - b);
    const quantile = (q) => {
      const at = q * (sorted.length - 1), low = Math.floor(at);
      return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
    };
    const [first, third] = [quantile(0.25), quantile(0.75)], reach = 1.5 * (third - first);
    return [first - reach, third + reach];
  }

  /* One row for each prompt: its words, a bar from zero, the number; outliers are marked. */
  function effects(values, ui) {
    if (!values || !values.length) return [];
    const { data, state } = ui, range = rangeOf(values.map((value) => ({ value }))), between = fences(values);
    const same = data.attended === data.prompts; // else what was described are other prompts than those of the search
    const outlying = values.map((value) => between !== null && (value < between[0] || value > between[1]));
    const rows = values.map((value, i) => {
      const prompt = data.prompts[i];
      const words = !prompt ? "" : !same ? element("span", { title: prompt.text }, inShort(prompt)) : element("button", { type: "button", class: "link", title: prompt.text, onclick: () => ui.setPrompt(i) }, inShort(prompt), element("b", {}, `${prompt.answer ? " →" : ""}${prompt.answer}`));
      const mark = outlying[i] ? [element("span", { class: "outlier", title: say("card.outlier"), "aria-label": say("card.outlier") }, "◆ ")] : [];
      return element("tr", { class: (outlying[i] ? "outlying" : "") + (prompt && same && i === state.prompt ? " chosen" : "") }, element("th", { scope: "row" }, String(i + 1)),
        ...(data.prompts.length ? [element("td", { class: "said" }, words)] : []),
        element("td", { class: "drawn" }, bar({ value }, range)), element("td", { class: "num" }, ...mark, signed(value, data.places)));
    });
    const negative = values.filter((value) => value < 0).length, count = outlying.filter(Boolean).length;
    const about = between === null ? "" : count ? say("card.outliers", { n: count }) : say("card.no_outliers");
    return [element("p", { class: "muted small" }, [say("card.prompts", { n: values.length, below: negative, metric: data.metric }), about].filter(Boolean).join(" ")),
      element("div", { class: "prompts", tabindex: "0", role: "region", "aria-label": say("page.effect_on_prompts") }, element("table", {}, element("tbody", {}, ...rows)))];
  }

  /* Tokens around one, which is marked. */
  function around(prompt, at, reach = 4) {
    if (!prompt || !prompt.tokens.length) return [];
    const from = Math.max(0, at - reach), pieces = prompt.tokens.slice(from, at + 2);
    return [element("span", { class: "context" }, from ? "…" : "", ...pieces.map((piece, i) => from + i === at ? element("mark", {}, piece) : piece), at + 2 < prompt.tokens.length ? "…" : "")];
  }

  Object.assign(cx, { promptSelect: select, attention, fences, promptEffects: effects, around });
})();
