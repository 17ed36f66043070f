/* Paths through the parts of a model: which edges lie on one from the embeddings to the logits through what is chosen. */
(() => {
  /* Parts are in the order of computation, so that what an edge comes from has a smaller number than where it ends.
     `links` are [from, to, edge], without an edge where a head reads the keys and values that it shares. */
  function paths(n, links, first, last) {
    const into = Array.from({ length: n }, () => []), from = Array.from({ length: n }, () => []);
    for (const link of links) { from[link[0]].push(link); into[link[1]].push(link); }
    /* How many paths there are to each part from `start`, and from each part to `end`. */
    function below(start) {
      const count = new Array(n).fill(0);
      if (start >= 0) count[start] = 1;
      for (let i = start + 1; start >= 0 && i < n; i += 1) for (const [source] of into[i]) count[i] += count[source];
      return count;
    }
    function above(end) {
      const count = new Array(n).fill(0);
      if (end >= 0) count[end] = 1;
      for (let i = end - 1; i >= 0; i -= 1) for (const [, target] of from[i]) count[i] += count[target];
      return count;
    }
    const start = below(first), end = above(last);
    /* Of all paths through these parts, or through these links: the edges, the parts and how many paths there are. */
    function through(parts, chosen = []) {
      const edges = new Set(), met = new Set();
      let many = 0;
      const up = (part) => { // everything between it and the logits
        const seen = new Set([part]), open = end[part] ? [part] : [];
        while (open.length) for (const [, target, edge] of from[open.pop()]) {
          if (!end[target]) continue;
          if (edge !== undefined) edges.add(edge);
          if (!seen.has(target)) { seen.add(target); open.push(target); }
        }
        if (end[part]) for (const one of seen) met.add(one);
      };
      const down = (part) => { // everything between it and the embeddings
        const seen = new Set([part]), open = start[part] ? [part] : [];
        while (open.length) for (const [source, , edge] of into[open.pop()]) {
          if (!start[source]) continue;
          if (edge !== undefined) edges.add(edge);
          if (!seen.has(source)) { seen.add(source); open.push(source); }
        }
        if (start[part]) for (const one of seen) met.add(one);
      };
      for (const part of parts) {
        if (!(start[part] && end[part])) continue;
        many += start[part] * end[part];
        up(part);
        down(part);
      }
      for (const [source, target, edge] of chosen) {
        if (!(start[source] && end[target])) continue;
        many += start[source] * end[target];
        edges.add(edge);
        down(source);
        up(target);
      }
      return { edges, parts: met, many };
    }
    return { through, all: end[first] || 0 };
  }

  Object.assign(cx, { paths });
})();
