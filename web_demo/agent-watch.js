// @ts-check
/** Tells the caller when no agent comes, or when it leaves; takes the words back when one is there. */

const PATIENCE_MS = 6_000;

export class AgentWatch {
  #notices;
  #callAgain;
  #present = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {import("./notices.js").Notices} notices @param {() => void} callAgain */
  constructor(notices, callAgain) {
    this.#notices = notices;
    this.#callAgain = { label: "Call again", run: callAgain };
  }

  /** From now on an agent is awaited. */
  start() {
    this.stop();
    this.#timer = setTimeout(() => this.#complain(), PATIENCE_MS);
  }

  stop() {
    this.#present = false;
    clearTimeout(this.#timer);
  }

  /** @param {string} state */
  see(state) {
    this.#present = state !== "absent";
    if (!this.#present) return;
    clearTimeout(this.#timer);
    this.#notices.clear("no-agent");
    this.#notices.clear("agent-left");
  }

  seeLeave() {
    this.#present = false;
    this.#notices.show("agent-left", { actions: [this.#callAgain] });
  }

  #complain() {
    if (this.#present) return;
    const keepWaiting = { label: "Keep waiting", run: () => this.#keepWaiting() };
    this.#notices.show("no-agent", { actions: [this.#callAgain, keepWaiting], dismissible: false });
  }

  #keepWaiting() {
    this.#notices.clear("no-agent");
    this.start();
  }
}
