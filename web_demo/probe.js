// @ts-check
/** `window.ttsOps`: what the page knows of its call, read only, for tests and for curious people in the console. */

/** @param {import("./page.js").Page} page */
export function exposeProbe(page) {
  const probe = Object.freeze({
    get phase() {
      return page.phase;
    },
    get agentState() {
      return page.agentState;
    },
    get microphone() {
      return page.microphone;
    },
    /** RMS of the last 21 ms, full scale 1. */
    get levels() {
      return page.levels;
    },
    get counts() {
      return page.counts;
    },
    get notices() {
      return page.noticeKinds;
    },
  });
  Object.defineProperty(window, "ttsOps", { value: probe });
}
