// @ts-check
/** Tries again after a pause that the service names, counts it down in words, and gives up after a while. */

const MOST_TRIES = 20;

export class Retry {
  #tell;
  #run;
  #left = MOST_TRIES;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {(words: string) => void} tell @param {() => void} run */
  constructor(tell, run) {
    this.#tell = tell;
    this.#run = run;
  }

  /** @param {number} seconds until the next try */
  start(seconds) {
    clearInterval(this.#timer);
    if (this.#left-- <= 0) return this.#tell("Still no free line. Please come back later.");
    const atMs = performance.now() + seconds * 1000;
    this.#timer = setInterval(() => this.#tick(atMs), 250);
    this.#tick(atMs);
  }

  /** Ends the countdown; the next start counts its tries anew. */
  stop() {
    clearInterval(this.#timer);
    this.#left = MOST_TRIES;
  }

  /** @param {number} atMs */
  #tick(atMs) {
    const seconds = Math.ceil((atMs - performance.now()) / 1000);
    if (seconds > 0) return this.#tell(`Every agent is in a call right now. Trying again in ${seconds} s.`);
    clearInterval(this.#timer);
    this.#tell("Trying again …");
    this.#run();
  }
}
