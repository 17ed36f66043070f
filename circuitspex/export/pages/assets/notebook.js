{
  /* In a notebook: the page in a frame in place of the picture, in the light or dark of what is around it. */
  const own = document.currentScript && document.currentScript.closest("[data-cx-cell]");
  const roots = own ? [own] : document.querySelectorAll('[data-cx-cell="$HASH"]:not([data-cx-on])');
  for (const root of roots) {
    root.setAttribute("data-cx-on", "");
    const frame = root.querySelector("iframe"), picture = root.querySelector("[data-cx-static]");
    const isDark = () => {
      const parts = getComputedStyle(root).color.match(/[\d.]+/g) || [0, 0, 0]; // light text is on dark ground
      return 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] > 140;
    };
    const follow = () => {
      const page = frame.contentDocument && frame.contentDocument.documentElement;
      const theme = isDark() ? "dark" : "light";
      if (page && root.dataset.cxTheme !== theme) page.dataset.theme = root.dataset.cxTheme = theme;
    };
    frame.addEventListener("load", () => {
      delete root.dataset.cxTheme;
      follow();
      const page = frame.contentDocument;
      if (!page || !page.body) return;
      page.addEventListener("click", (event) => { // the frame's address is that of the notebook: a link would load it
        const link = event.target.closest && event.target.closest('a[href^="#"]');
        if (!link) return;
        event.preventDefault();
        const place = page.getElementById(link.getAttribute("href").slice(1));
        if (place) place.scrollIntoView();
        if (place) place.focus();
      });
      frame.style.height = `${Math.min(frame.clientHeight, page.body.scrollHeight + 4)}px`;
    });
    frame.style.display = "block";
    picture.style.display = "none";
    frame.srcdoc = frame.dataset.srcdoc.replace("<html ", `<html data-frame data-theme="${isDark() ? "dark" : "light"}" `);
    const watch = new MutationObserver(() => setTimeout(follow, 50));
    for (const part of [document.documentElement, document.body]) watch.observe(part, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  }
}
