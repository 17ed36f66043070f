/* What the cards of all pages of circuits have in common: numbers and tables, heads with buttons, interactions, pins. */
(() => {
  const { say, element, para, part } = cx;

  const row = (first, ...rest) => element("tr", {}, element("td", { class: "name" }, first), ...rest.map((cell) => element("td", { class: "num" }, cell)));
  function table(heads, rows) {
    const cells = heads.map((head, i) => element("th", { scope: "col", class: i ? "num" : "" }, head));
    return element("table", {}, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows));
  }
  const sign = (one, text) => element("span", { class: "sign" + (one.effect < 0 ? " negative" : "") }, text);
  const rate = (one) => one.q ? [element("p", {}, say("card.q", { q: one.q })), para(say("card.rate"))] : [];

  /* `inOrder` sorts names as they are read, `nodeOf` has their places in the list of components; `choose(kind, index)`
     and `clear()` change what the panel shows. */
  function makeCards(data, ui, { choose, clear, inOrder, nodeOf }) {
    const link = (text, kind, index) => element("button", { type: "button", class: "link", onclick: () => choose(kind, index, true) }, text);
    const nameLink = (name) => nodeOf.has(name) ? link(name, "node", nodeOf.get(name)) : element("span", {}, name);
    const nameOf = (edge) => inOrder(edge.components).join(" × ");
    function head(title, kind, ...buttons) {
      const close = element("button", { type: "button", "aria-label": say("page.close_details"), onclick: clear }, "×");
      return element("div", { class: "head" }, element("div", {}, element("p", { class: "muted" }, kind), element("h3", {}, title)), element("div", { class: "acts" }, ...buttons, close));
    }
    function amount(one) {
      const about = one.interval ? `${data.measured} ${one.interval}` : one.signed === false ? say("card.score_from_file") : say("card.estimated");
      return [element("p", { class: "big" }, one.value), para(about),
        ...(one.shown !== one.interval ? [para(say("card.widened", { interval: one.shown }))] : []),
        ...(one.hollow ? [para(say("card.hollow"))] : [])];
    }
    const perPrompt = (one) => one.per_prompt ? [part(say("card.on_prompts"), ui, ...cx.promptEffects(one.per_prompt, ui))] : [];
    const noteOf = (one, key) => part(say("card.note"), ui, cx.noteBox(key, ui, say("card.note_on", { name: one })));
    function pinButton(name) {
      const pinned = ui.state.pins.has(name);
      return element("button", { type: "button", class: "pin", "aria-pressed": String(pinned), onclick: () => ui.state.toggle(ui.state.pins, name) }, pinned ? say("card.unpin") : say("card.pin"));
    }

    /* The interactions of one component, by their numbers. */
    function interactionsOf(name, mine) {
      const rows = mine.map((i) => row(link(inOrder(data.edges[i].components.filter((other) => other !== name)).join(" × "), "edge", i), sign(data.edges[i], data.edges[i].value), data.edges[i].shown || say("page.est")));
      return part(mine.length ? say("card.interactions", { n: mine.length }) : say("card.no_interactions"), ui, ...(mine.length ? [table([say("card.with"), say("card.effect"), say("card.interval")], rows)] : []));
    }
    function interactionCard(edge, kind, of = { alone: say("card.components_alone"), one: say("card.component") }) {
      const said = kind === "dropped" ? say("card.not_replicated") : edge.sentence, key = edge.components.join(" × ");
      const members = inOrder(edge.components).map((name) => { const node = data.nodes[nodeOf.get(name)]; return row(nameLink(name), node ? node.value : "–", node ? node.shown || say("page.est") : "–"); });
      return [head(nameOf(edge), said), ...amount(edge), ...cx.pairParts(edge, ui), ...perPrompt(edge),
        part(of.alone, ui, table([of.one, say("card.effect"), say("card.interval")], members)),
        part(say("card.measured_and_decoded"), ui, table(["", say("card.effect"), say("card.interval")], [row(say("card.measured"), edge.interval ? edge.value : "–", edge.interval || "–"), row(say("card.decoded"), edge.decoded, "")]), ...rate(edge)), noteOf(nameOf(edge), key)];
    }
    function pins() {
      if (!ui.state.pins.size) return [];
      const rows = inOrder(ui.state.pins).map((name) => {
        const node = data.nodes[nodeOf.get(name)];
        return element("li", {}, nameLink(name), ` ${node.value} `, element("span", { class: "muted" }, node.about && node.about.role.clear ? node.about.role.shown : ""), element("button", { type: "button", class: "quiet-button", "aria-label": say("card.unpin_one", { name }), onclick: () => ui.state.toggle(ui.state.pins, name) }, "×"));
      });
      return [element("ul", { class: "pins", "aria-label": say("card.pinned") }, ...rows)];
    }
    /* All notes in one list; `found` says what a note is on. */
    function notes(list, found) {
      const items = [...ui.state.notes].filter(([key]) => key).map(([key, text]) => {
        const on = found(key.split(" × "));
        return element("li", {}, on ? link(key, on.kind, on.index) : key, `: ${text}`);
      });
      list.replaceChildren(...items);
    }
    return { link, nameLink, nameOf, head, amount, rate, perPrompt, noteOf, pinButton, interactionsOf, interactionCard, pins, notes };
  }

  function matches(words, ...texts) {
    const all = texts.join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  }
  const wordsOf = (text) => text.toLowerCase().replace(/layer\s+(\d+)/g, "layer$1").split(/\s+/).filter(Boolean);

  Object.assign(cx, { makeCards, matches, wordsOf, cells: { row, table, sign } });
})();
