// Runs in the page before anything of it: notes frames, long tasks, and what of the document changes.
(() => {
  const seen = (window.__seen = { frames: [], longTasks: [], firstMessageAt: null, outside: 0, changes: 0 });
  const settled = new WeakSet();
  let last = 0;
  const tick = (now) => {
    if (seen.isOn && last) seen.frames.push(now - last);
    last = seen.isOn ? now : 0;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  new PerformanceObserver((list) => seen.isOn && seen.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({
    type: "longtask",
  });
  new MutationObserver((records) => {
    if (!seen.firstMessageAt && document.querySelector(".message.is-answer .block")) {
      requestAnimationFrame(() => setTimeout(() => (seen.firstMessageAt ??= performance.now())));
    }
    if (!seen.isOn) return;
    const blocks = new Set(records.map(({ target }) => (target.nodeType === 1 ? target : target.parentElement)?.closest(".block")));
    for (const block of blocks) {
      if (!block?.isConnected) continue;
      seen.changes += 1;
      // Once two others stand below it, a block is to be left alone.
      if (settled.has(block)) seen.outside += 1;
      if (block.nextElementSibling?.nextElementSibling) settled.add(block);
    }
  }).observe(document, { childList: true, subtree: true, characterData: true });
})();
