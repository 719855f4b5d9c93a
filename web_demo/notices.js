// @ts-check
/** The notices at the top of the page: one per kind, each with what to do. */

import { wordsFor } from "./problems.js";

/** @typedef {{label: string, run: () => void}} Action */

export class Notices {
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map();
  #root;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    // The conversation makes room for the notices (see conversation.css), so that the line to type in stays in view.
    new ResizeObserver(() => document.body.style.setProperty("--notices", `${root.offsetHeight}px`)).observe(root);
  }

  /**
   * Shows a notice, or replaces the one of the same kind.
   * @param {string} kind @param {{detail?: string, actions?: Action[], forMs?: number, dismissible?: boolean}} [options]
   */
  show(kind, { detail, actions = [], forMs, dismissible = true } = {}) {
    this.clear(kind);
    const words = wordsFor(kind);
    const notice = element("div", `notice ${words.tone}`);
    notice.dataset.kind = kind;
    notice.setAttribute("role", words.tone === "good" || words.tone === "info" ? "status" : "alert");
    const text = element("div", "text");
    text.append(element("strong", "", words.title), element("p", "advice", detail ?? words.advice));
    notice.append(text);
    if (actions.length) notice.append(row(actions));
    if (dismissible) notice.append(this.#dismissal(kind));
    this.#shown.set(kind, notice);
    this.#root.append(notice);
    if (forMs) setTimeout(() => this.#shown.get(kind) === notice && this.clear(kind), forMs);
  }

  /** Changes the advice of a shown notice without announcing it anew. @param {string} kind @param {string} advice */
  update(kind, advice) {
    const line = this.#shown.get(kind)?.querySelector(".advice");
    if (line) line.textContent = advice;
  }

  /** @param {string} kind */
  clear(kind) {
    this.#shown.get(kind)?.remove();
    this.#shown.delete(kind);
  }

  clearAll() {
    for (const kind of [...this.#shown.keys()]) this.clear(kind);
  }

  /** @returns {string[]} */
  get kinds() {
    return [...this.#shown.keys()];
  }

  /** @param {string} kind */
  #dismissal(kind) {
    const made = button("×", () => this.clear(kind), "quiet dismiss");
    made.setAttribute("aria-label", "Dismiss");
    return made;
  }
}

/** @param {Action[]} actions */
function row(actions) {
  const made = element("div", "actions");
  made.append(...actions.map(({ label, run }) => button(label, run)));
  return made;
}

/** @param {string} label @param {() => void} run */
function button(label, run, look = "") {
  const made = /** @type {HTMLButtonElement} */ (element("button", `button ${look}`, label));
  made.type = "button";
  made.addEventListener("click", run);
  return made;
}

/** @param {string} tag */
function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
