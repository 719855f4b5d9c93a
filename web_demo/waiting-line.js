// @ts-check
/** No line is free: says so, counts down the pause that the service names, tries again, and gives up after a while. */

/** @typedef {"at-capacity" | "no-agents"} Kind */

const MOST_TRIES = 20;
const WHY = { "at-capacity": "Every agent is in a call right now.", "no-agents": "It may still be starting." };

export class WaitingLine {
  #notices;
  #join;
  #left = MOST_TRIES;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {import("./notices.js").Notices} notices @param {() => void} join */
  constructor(notices, join) {
    this.#notices = notices;
    this.#join = join;
  }

  /** @param {Kind} kind @param {number} seconds until the next try */
  hold(kind, seconds) {
    clearInterval(this.#timer);
    this.#show(kind);
    if (this.#left-- <= 0) return this.#notices.update(kind, "Still no free line. Please come back later.");
    const atMs = performance.now() + seconds * 1000;
    this.#timer = setInterval(() => this.#tick(kind, atMs), 250);
    this.#tick(kind, atMs);
  }

  /** Ends the countdown; the next one counts its tries anew. */
  leave() {
    clearInterval(this.#timer);
    this.#left = MOST_TRIES;
    for (const kind of Object.keys(WHY)) this.#notices.clear(kind);
  }

  /** @param {string} kind whether a notice belongs to this line */
  owns(kind) {
    return kind in WHY;
  }

  /** A notice that is there already stays: shown anew it would be read aloud at each try. @param {Kind} kind */
  #show(kind) {
    if (this.#notices.kinds.includes(kind)) return;
    const tryNow = { label: "Try now", run: () => this.#tryNow() };
    const stop = { label: "Stop trying", run: () => this.leave() };
    for (const other of Object.keys(WHY)) this.#notices.clear(other);
    this.#notices.show(kind, { actions: [tryNow, stop], dismissible: false });
  }

  #tryNow() {
    clearInterval(this.#timer);
    this.#left = MOST_TRIES;
    this.#join();
  }

  /** @param {Kind} kind @param {number} atMs */
  #tick(kind, atMs) {
    const seconds = Math.ceil((atMs - performance.now()) / 1000);
    if (seconds > 0) return this.#notices.update(kind, `${WHY[kind]} Trying again in ${seconds} s.`);
    clearInterval(this.#timer);
    this.#notices.update(kind, `${WHY[kind]} Trying again…`);
    this.#join();
  }
}
