/* What a reader changed on the page: chosen and pinned parts, folded groups, the prompt, notes. It is kept in the page's
   address, and in a file that can be loaded again. */
(() => {
  const { say } = cx;
  const FORMAT = "circuitspex.page_notes", LONGEST = 20000;

  function makeState(data, changed) {
    const names = new Set(data.nodes.map((node) => node.name)), groups = new Set(data.groups.map((group) => group.name));
    const sets = new Set([...data.edges, ...data.dropped].map((edge) => edge.components.join("\n")));
    const known = (on) => on.length === 1 ? names.has(on[0]) : sets.has(on.join("\n"));
    const keyed = (key) => key === "" || known(key.split(" × "));
    const state = { on: [], pins: new Set(), folded: new Set(), prompt: 0, notes: new Map() };
    let written = null;

    /* Whatever it says that this page does not know is left out; the answer is how much that was. */
    function take({ on = [], pins = [], folded = [], prompt = 0, notes = {} }) {
      const texts = (list) => Array.isArray(list) ? list.filter((each) => typeof each === "string") : [];
      const entries = Object.entries(notes && typeof notes === "object" ? notes : {}).filter(([, text]) => typeof text === "string" && text);
      const wanted = { on: texts(on), pins: texts(pins), folded: texts(folded) };
      state.on = known(wanted.on) ? wanted.on : [];
      state.pins = new Set(wanted.pins.filter((name) => names.has(name)));
      state.folded = new Set(wanted.folded.filter((name) => groups.has(name)));
      state.prompt = Number.isInteger(prompt) && prompt >= 0 && prompt < data.attended.length ? prompt : 0;
      state.notes = new Map(entries.filter(([key]) => keyed(key)).map(([key, text]) => [key, text.slice(0, LONGEST)]));
      return (wanted.on.length && !state.on.length ? 1 : 0) + new Set(wanted.pins).size - state.pins.size + new Set(wanted.folded).size - state.folded.size + entries.length - state.notes.size;
    }
    const plain = () => ({ on: state.on, pins: [...state.pins], folded: [...state.folded], prompt: state.prompt, notes: Object.fromEntries(state.notes) });

    function hash() {
      const said = new URLSearchParams();
      for (const name of state.on) said.append("on", name);
      for (const name of state.pins) said.append("pin", name);
      for (const name of state.folded) said.append("fold", name);
      if (state.prompt) said.append("prompt", state.prompt + 1);
      for (const [key, text] of state.notes) said.append(`note.${key}`, text);
      return said.toString();
    }
    function write() {
      const now = hash();
      if (now === written) return;
      written = now;
      try {
        history.replaceState(null, "", now ? `#${now}` : location.pathname + location.search);
      } catch { /* a page without an address of its own, such as one in a notebook: its state lives as long as it */ }
    }
    function read() {
      const text = location.hash.slice(1);
      if (!text.includes("=") || text === written) return false; // a link within the page, or what was just written
      const said = new URLSearchParams(text);
      const notes = [...said].filter(([key]) => key.startsWith("note.")).map(([key, value]) => [key.slice(5), value]);
      take({ on: said.getAll("on"), pins: said.getAll("pin"), folded: said.getAll("fold"), prompt: Number(said.get("prompt") || 1) - 1, notes: Object.fromEntries(notes) });
      return true;
    }
    function toggle(set, name) {
      if (!set.delete(name)) set.add(name);
      changed();
    }
    function note(key, text) {
      if (text.trim()) state.notes.set(key, text.slice(0, LONGEST));
      else state.notes.delete(key);
      write();
    }
    const toFile = () => JSON.stringify({ format: FORMAT, version: 1, model: data.identity, ...plain() }, null, 1);
    /* What to tell the reader; an Error where the text is no such file. */
    function fromFile(text) {
      let found = null;
      try { found = JSON.parse(text); } catch { /* said below */ }
      if (!found || found.format !== FORMAT) throw new Error(say("circuit.not_notes"));
      const lost = take(found);
      changed();
      return [say("circuit.loaded"), lost ? say("circuit.lost", { n: lost }) : "", found.model !== data.identity ? say("circuit.other_weights") : ""].filter(Boolean).join(" ");
    }
    read();
    window.addEventListener("hashchange", () => { if (read()) changed(); });
    return Object.assign(state, { write, toggle, note, toFile, fromFile, hash });
  }

  Object.assign(cx, { makeState });
})();
