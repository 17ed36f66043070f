/* The card of a component: what it is, looks at, writes, reads, feeds, and on which prompts it matters. */
(() => {
  const { element, signed, percent, bars, rowOf, told } = cx;
  const para = (text, more = "") => element("p", { class: `muted small ${more}`.trim() }, text);
  const MOST_OPEN = 2; // of the components that it reads or feeds, so many show their ways at once

  /* A part of a card, which can be closed and then stays so on other cards. */
  function part(title, ui, ...children) {
    const made = element("details", { class: "part" }, element("summary", {}, element("h4", {}, title)), ...children);
    made.open = !ui.closed.has(title);
    made.addEventListener("toggle", () => made.open ? ui.closed.delete(title) : ui.closed.add(title));
    return made;
  }
  function noteBox(key, ui, label) {
    const box = element("textarea", { rows: "2", "aria-label": label, placeholder: "kept in the page's address, and in the file of notes" });
    box.value = ui.state.notes.get(key) || "";
    box.addEventListener("input", () => { ui.state.note(key, box.value); ui.noted(); });
    return box;
  }

  function role(about) {
    const { word, says, evidence, clear, margin } = about.role;
    const said = evidence.map((text) => element("li", {}, text));
    return [element("div", { class: "role" + (clear ? "" : " unclear") }, element("p", { class: "word" }, word),
      ...(says ? [para(says)] : []), ...(said.length ? [element("ul", {}, ...said)] : []),
      ...(clear ? [para(`Passes the rule's threshold by ${percent(margin)}, at the unfavourable ends of the intervals.`)] : []))];
  }
  function looks(about, ui) {
    const found = about.looks;
    if (!found) return [];
    const { data, state } = ui, prompt = data.prompts[state.prompt], shares = found.attention[state.prompt];
    const from = found.where.map(([name, value]) => found.where.length > 1 ? `${name} (${percent(value)})` : name).join(", ");
    const drawn = prompt && shares ? [cx.promptSelect(ui), cx.attention(shares, prompt)] : [];
    const missing = found.attention.length && !data.prompts.length ? [para("Over the tokens of each prompt it can't be shown: the file does not hold the prompts, as files of circuits found today do.")] : [];
    const named = [...found.positions.map(rowOf), { ...rowOf(["first token", ...found.first]), colour: "muted" }];
    return [part("Looks at", ui, para(`Attention${from ? ` from ${from}` : ""}${drawn.length ? "; the darker, the more" : ""}.`), ...drawn, ...missing,
      para("Over all prompts, to the positions that the task names:"), bars(named, "Attention to named positions", { share: true }),
      ...(found.tokens.length ? [para("To tokens:"), bars(found.tokens.map(([name, ...rest]) => rowOf([piece(name), ...rest])), "Attention to tokens", { share: true })] : []))];
  }
  const piece = (text) => element("code", { class: "piece" }, text);

  function writes(about, ui) {
    const found = about.writes;
    if (!found) return [];
    const places = ui.data.places, tokens = (rows) => rows.map(([name, value]) => ({ name: piece(name), value }));
    const all = [...tokens(found.promotes), ...tokens(found.suppresses)];
    const copying = found.copying ? [para(`Copying: ${signed(found.copying[0], 2)} [${signed(found.copying[1], 2)}, ${signed(found.copying[2], 2)}] standard deviations on the token attended to.`)] : [];
    return [part("Writes", ui, bars([rowOf(["itself", ...found.direct])], "Direct write", { places }),
      para("What it adds itself to the right answer's logit minus the wrong one's, past no other component."), ...copying,
      ...(all.length ? [para("Tokens it promotes and suppresses most, in logits:"), bars(all, "Promoted and suppressed tokens", { places: 2 })] : []))];
  }
  function where(about, ui) {
    if (!about.where.length) return [];
    const places = ui.data.places, ablated = about.where.some(([, , effect]) => effect);
    const rows = about.where.map(([name, slope, effect]) => ({ ...rowOf([name, ...(effect || slope)]), hollow: !effect }));
    return [part("Where", ui, para(ablated ? "By position: how much the metric falls when it is ablated there alone; hollow: only the slope by its gate." : "By position: the slope of the metric by its gate there."), bars(rows, "Effect by position", { places }))];
  }
  function feeds(title, list, arrow, ui) {
    if (!list.length) return [];
    const places = ui.data.places, sorted = [...list].sort((a, b) => Math.abs(b.total[0]) - Math.abs(a.total[0]));
    const range = (rows) => bars(rows, title, { places });
    const each = sorted.map((feed, i) => {
      const total = rowOf(["in all", ...feed.total]), ways = feed.ways.map(rowOf);
      for (const way of ways) if (way.name === "remainder") way.colour = "muted";
      const made = element("details", { class: "feed" }, element("summary", {}, arrow, ui.nameLink(feed.other), element("span", { class: "muted" }, ` ${signed(feed.total[0], places)}${told(feed.total) ? "" : ", not told from 0"}${ways.length ? `, most through its ${feed.through}` : ""}`)), range([total, ...ways]));
      made.open = i < MOST_OPEN;
      return made;
    });
    return [part(title, ui, ...each)];
  }
  function patterns(about, ui) {
    if (!about.patterns) return [];
    return [part("Known patterns", ui, para(`Attention on random tokens that are repeated; ${percent(about.chance)} by chance.`), bars(about.patterns.map(rowOf), "Known patterns", { share: true }))];
  }
  function fires(about, ui) {
    if (!about.fires.length) return [];
    const rows = about.fires.map(([unit, prompt, at, token, activation, direct]) => {
      const context = cx.around(ui.data.prompts[prompt], at);
      return element("tr", {}, element("th", { scope: "row" }, unit), element("td", { class: "said" }, ...(context.length ? context : [piece(token)])),
        element("td", { class: "num" }, signed(activation, 2)), element("td", { class: "num" }, direct === undefined ? "–" : signed(direct, 2)));
    });
    const head = ["neuron", "fires on", "activation", "writes"].map((text, i) => element("th", { scope: "col", class: i > 1 ? "num" : "" }, text));
    return [part("Fires on", ui, element("div", { class: "scroll" }, element("table", { class: "fires" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))))];
  }

  function described(node, ui) {
    const about = node.about;
    if (!about) return [element("div", { class: "role unclear" }, para("What it looks at, writes and feeds was not measured. For that:"), element("code", { class: "command" }, "circuitspex describe circuit.json"))];
    return [...role(about), ...looks(about, ui), ...writes(about, ui), ...feeds("Feeds", about.feeds, "→ ", ui), ...feeds("Reads", about.reads, "← ", ui), ...where(about, ui), ...patterns(about, ui), ...fires(about, ui), ...about.lacks.map((text) => para(`Not there: ${text}`))];
  }

  Object.assign(cx, { part, noteBox, para, describedParts: described });
})();
