// @ts-check
/** The length of the call, shown as m:ss. */

export class Clock {
  #element;
  #startedMs = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  start() {
    this.stop();
    this.#startedMs = performance.now();
    this.#timer = setInterval(() => this.#show(), 500);
    this.#show();
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** @returns {string} as shown */
  get text() {
    return this.#element.textContent ?? "";
  }

  #show() {
    const seconds = Math.floor((performance.now() - this.#startedMs) / 1000);
    this.#element.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
}
