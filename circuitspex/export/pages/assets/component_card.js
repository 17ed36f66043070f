/* The card of a component: what it is, looks at, writes, reads, feeds, and on which prompts it matters. */
(() => {
  const { say, element, signed, percent, bars, rowOf, told } = cx;
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
    const box = element("textarea", { rows: "2", "aria-label": label, placeholder: say("card.note_hint") });
    box.value = ui.state.notes.get(key) || "";
    box.addEventListener("input", () => { ui.state.note(key, box.value); ui.noted(); });
    return box;
  }

  function role(about) {
    const { shown, says, evidence, clear, margin } = about.role;
    const said = evidence.map((text) => element("li", {}, text));
    return [element("div", { class: "role" + (clear ? "" : " unclear") }, element("p", { class: "word" }, shown),
      ...(says ? [para(says)] : []), ...(said.length ? [element("ul", {}, ...said)] : []),
      ...(clear ? [para(say("card.margin", { margin: percent(margin) }))] : []))];
  }
  function looks(about, ui) {
    const found = about.looks;
    if (!found) return [];
    const { data, state } = ui, prompt = data.attended[state.prompt], shares = found.attention[state.prompt];
    const from = found.where.map(([name, value]) => found.where.length > 1 ? say("card.position_share", { position: name, share: percent(value) }) : name).join(", ");
    const drawn = prompt && shares ? [cx.promptSelect(ui), cx.attention(shares, prompt)] : [];
    const missing = found.attention.length && !data.attended.length ? [para(say("card.no_prompts"))] : [];
    const named = [...found.positions.map(rowOf), { ...rowOf([say("card.first_token"), ...found.first]), colour: "muted" }];
    return [part(say("card.looks_at"), ui, para(attended(from, drawn.length)), ...drawn, ...missing,
      para(say("card.to_positions")), bars(named, say("card.to_positions_table"), { share: true }),
      ...(found.tokens.length ? [para(say("card.to_tokens")), bars(found.tokens.map(([name, ...rest]) => rowOf([piece(name), ...rest])), say("card.to_tokens_table"), { share: true })] : []))];
  }
  function attended(positions, drawn) {
    if (!positions) return drawn ? say("card.attention_drawn") : say("card.attention");
    return drawn ? say("card.attention_from_drawn", { positions }) : say("card.attention_from", { positions });
  }
  const piece = (text) => element("code", { class: "piece" }, text);

  function writes(about, ui) {
    const found = about.writes;
    if (!found) return [];
    const places = ui.data.places, tokens = (rows) => rows.map(([name, value]) => ({ name: piece(name), value }));
    const all = [...tokens(found.promotes), ...tokens(found.suppresses)];
    const copying = found.copying ? [para(say("card.copying", { value: signed(found.copying[0], 2), low: signed(found.copying[1], 2), high: signed(found.copying[2], 2) }))] : [];
    return [part(say("card.writes"), ui, bars([rowOf([say("card.itself"), ...found.direct])], say("card.direct_write"), { places }),
      para(say("card.direct_about")), ...copying,
      ...(all.length ? [para(say("card.promoted")), bars(all, say("card.promoted_table"), { places: 2 })] : []))];
  }
  function where(about, ui) {
    if (!about.where.length) return [];
    const places = ui.data.places, ablated = about.where.some(([, , effect]) => effect);
    const rows = about.where.map(([name, slope, effect]) => ({ ...rowOf([name, ...(effect || slope)]), hollow: !effect }));
    return [part(say("card.where"), ui, para(ablated ? say("card.where_ablated") : say("card.where_slope")), bars(rows, say("card.where_table"), { places }))];
  }
  function feeds(title, list, arrow, ui) {
    if (!list.length) return [];
    const places = ui.data.places, sorted = [...list].sort((a, b) => Math.abs(b.total[0]) - Math.abs(a.total[0]));
    const range = (rows) => bars(rows, title, { places });
    const each = sorted.map((feed, i) => {
      const total = rowOf([say("card.in_all"), ...feed.total]);
      const ways = feed.ways.map(([name, shown, ...rest]) => ({ ...rowOf([shown, ...rest]), ...(name === "remainder" ? { colour: "muted" } : {}) }));
      const made = element("details", { class: "feed" }, element("summary", {}, arrow, ui.nameLink(feed.other), element("span", { class: "muted" }, ` ${fed(feed, signed(feed.total[0], places))}`)), range([total, ...ways]));
      made.open = i < MOST_OPEN;
      return made;
    });
    return [part(title, ui, ...each)];
  }
  function fed(feed, total) {
    const value = told(feed.total) ? total : say("card.not_told", { total });
    return feed.ways.length ? say("card.feed_through", { total: value, input: feed.through }) : value;
  }
  function patterns(about, ui) {
    if (!about.patterns) return [];
    return [part(say("card.patterns"), ui, para(say("card.patterns_about", { chance: percent(about.chance) })), bars(about.patterns.map(rowOf), say("card.patterns"), { share: true }))];
  }
  function fires(about, ui) {
    if (!about.fires.length) return [];
    const rows = about.fires.map(([unit, prompt, at, token, activation, direct]) => {
      const context = cx.around(ui.data.attended[prompt], at);
      return element("tr", {}, element("th", { scope: "row" }, unit), element("td", { class: "said" }, ...(context.length ? context : [piece(token)])),
        element("td", { class: "num" }, signed(activation, 2)), element("td", { class: "num" }, direct === undefined ? "–" : signed(direct, 2)));
    });
    const head = [say("card.neuron"), say("card.fires_column"), say("card.activation"), say("card.writes_column")].map((text, i) => element("th", { scope: "col", class: i > 1 ? "num" : "" }, text));
    return [part(say("card.fires_on"), ui, element("div", { class: "scroll" }, element("table", { class: "fires" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))))];
  }

  function described(node, ui) {
    const about = node.about;
    if (!about) return [element("div", { class: "role unclear" }, para(say("card.not_described")), element("code", { class: "command" }, "circuitspex describe circuit.json"))];
    return [...role(about), ...looks(about, ui), ...writes(about, ui), ...feeds(say("card.feeds"), about.feeds, "→ ", ui), ...feeds(say("card.reads"), about.reads, "← ", ui), ...where(about, ui), ...patterns(about, ui), ...fires(about, ui), ...about.lacks.map((text) => para(say("card.lack", { lack: text })))];
  }

  Object.assign(cx, { part, noteBox, para, describedParts: described });
})();
