/* The card of an interaction: what its components do to each other, by the metric for every on/off combination. */
(() => {
  const { say, element, signed, bar, rangeOf, para, part } = cx;

  /* One row for each combination: for a pair, four bars. With others masked, and beside it with all others kept. */
  function combinations(edge, ui) {
    const { places, metric, others } = ui.data;
    if (!edge.table || !edge.table.length) return [];
    const whole = edge.unablated || [];
    const heads = [...edge.components, "", say("card.others_masked"), ...(whole.length ? [say("card.others_kept")] : [])].map((head, i) => element("th", { scope: "col", class: i < edge.components.length ? "" : "num", ...(head ? {} : { "aria-label": say("page.drawn") }) }, head));
    const range = rangeOf([...edge.table, ...whole].map(([, value]) => ({ value })));
    const rows = edge.table.map(([kept, value], i) => element("tr", {},
      ...kept.map((on) => element("td", on ? {} : { class: "muted" }, on ? say("card.kept") : say("card.ablated"))),
      element("td", { class: "drawn" }, bar({ value }, range), ...(whole.length ? [bar({ value: whole[i][1], hollow: true }, range)] : [])),
      element("td", { class: "num" }, signed(value, places)),
      ...(whole.length ? [element("td", { class: "num" }, signed(whole[i][1], places))] : [])));
    return [part(say("card.combinations"), ui, para(whole.length ? say("card.combinations_both", { metric, others }) : say("card.combinations_about", { metric, others })),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("card.combinations_table") },
        element("table", { class: "combinations" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows))))];
  }
  /* What each of two components does without the other one, and with it. */
  function conditional(edge, ui) {
    if (!edge.conditional) return [];
    const rows = edge.conditional.flatMap(([name, other, without, kept]) => [[say("card.while_ablated", { name, other }), without], [say("card.while_kept", { name, other }), kept]]);
    const cells = rows.map(([what, text]) => element("tr", {}, element("td", { class: "name" }, what), element("td", { class: "num" }, text)));
    return [part(say("card.conditional"), ui, element("table", {}, element("tbody", {}, ...cells)))];
  }
  function path(edge, ui) {
    if (!edge.path) return [];
    const [value, low, high] = edge.share;
    return [part(say("card.direction"), ui, element("p", {}, edge.path), cx.bars([{ name: say("card.travels"), value, low, high }], say("card.share_travels"), { share: true, loose: true }),
      para(say("card.direction_about")))];
  }

  Object.assign(cx, { pairParts: (edge, ui) => [...combinations(edge, ui), ...conditional(edge, ui), ...path(edge, ui)] });
})();
