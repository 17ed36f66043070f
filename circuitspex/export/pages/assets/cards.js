/* What the cards of all pages of circuits have in common: numbers and tables, heads with buttons, interactions, pins. */
(() => {
  const { element, para, part } = cx;

  const row = (first, ...rest) => element("tr", {}, element("td", { class: "name" }, first), ...rest.map((cell) => element("td", { class: "num" }, cell)));
  function table(heads, rows) {
    const cells = heads.map((head, i) => element("th", { scope: "col", class: i ? "num" : "" }, head));
    return element("table", {}, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows));
  }
  const sign = (one, text) => element("span", { class: "sign" + (one.effect < 0 ? " negative" : "") }, text);
  const rate = (one) => one.q ? [element("p", {}, `q ${one.q}`), para("The smallest false discovery rate at which it is a discovery, among all that were measured with it.")] : [];

  /* `inOrder` sorts names as they are read, `nodeOf` has their places in the list of components; `choose(kind, index)`
     and `clear()` change what the panel shows. */
  function makeCards(data, ui, { choose, clear, inOrder, nodeOf }) {
    const link = (text, kind, index) => element("button", { type: "button", class: "link", onclick: () => choose(kind, index, true) }, text);
    const nameLink = (name) => nodeOf.has(name) ? link(name, "node", nodeOf.get(name)) : element("span", {}, name);
    const nameOf = (edge) => inOrder(edge.components).join(" × ");
    function head(title, kind, ...buttons) {
      const close = element("button", { type: "button", "aria-label": "Close the details", onclick: clear }, "×");
      return element("div", { class: "head" }, element("div", {}, element("p", { class: "muted" }, kind), element("h3", {}, title)), element("div", { class: "acts" }, ...buttons, close));
    }
    function amount(one) {
      const about = one.interval ? `${data.measured} ${one.interval}` : one.signed === false ? "a score from a file, not measured; its sign is not known" : "estimated by the decoder, not measured";
      return [element("p", { class: "big" }, one.value), para(about),
        ...(one.shown !== one.interval ? [para(`widened for having been selected: ${one.shown}`)] : []),
        ...(one.hollow ? [para("not distinguishable from 0 by itself")] : [])];
    }
    const perPrompt = (one) => one.per_prompt ? [part("On each prompt", ui, ...cx.promptEffects(one.per_prompt, ui))] : [];
    const noteOf = (one, key) => part("Note", ui, cx.noteBox(key, ui, `Note on ${one}`));
    function pinButton(name) {
      const pinned = ui.state.pins.has(name);
      return element("button", { type: "button", class: "pin", "aria-pressed": String(pinned), onclick: () => ui.state.toggle(ui.state.pins, name) }, pinned ? "Unpin" : "Pin");
    }

    /* The interactions of one component, by their numbers. */
    function interactionsOf(name, mine) {
      const rows = mine.map((i) => row(link(inOrder(data.edges[i].components.filter((other) => other !== name)).join(" × "), "edge", i), sign(data.edges[i], data.edges[i].value), data.edges[i].shown || "est."));
      return part(mine.length ? `Interactions (${mine.length})` : "No interactions", ui, ...(mine.length ? [table(["with", "effect", "interval"], rows)] : []));
    }
    function interactionCard(edge, kind, what = "component") {
      const said = kind === "dropped" ? "interaction that did not replicate" : edge.sentence, key = edge.components.join(" × ");
      const members = inOrder(edge.components).map((name) => { const node = data.nodes[nodeOf.get(name)]; return row(nameLink(name), node ? node.value : "–", node ? node.shown || "est." : "–"); });
      return [head(nameOf(edge), said), ...amount(edge), ...cx.pairParts(edge, ui), ...perPrompt(edge),
        part(`Its ${what}s alone`, ui, table([what, "effect", "interval"], members)),
        part("Measured and decoded", ui, table(["", "effect", "interval"], [row("measured", edge.interval ? edge.value : "–", edge.interval || "–"), row("decoded", edge.decoded, "")]), ...rate(edge)), noteOf(nameOf(edge), key)];
    }
    function pins() {
      if (!ui.state.pins.size) return [];
      const rows = inOrder(ui.state.pins).map((name) => {
        const node = data.nodes[nodeOf.get(name)];
        return element("li", {}, nameLink(name), ` ${node.value} `, element("span", { class: "muted" }, node.about && node.about.role.clear ? node.about.role.word : ""), element("button", { type: "button", class: "quiet-button", "aria-label": `Unpin ${name}`, onclick: () => ui.state.toggle(ui.state.pins, name) }, "×"));
      });
      return [element("ul", { class: "pins", "aria-label": "Pinned" }, ...rows)];
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
