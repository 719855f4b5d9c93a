// @ts-check
/** The calm indicator: its halo follows the agent's voice, its ring follows the caller's. Words say the rest. */

const FRAME_MS = 33;
const RISE = 0.5; // part of the way to a louder level in one frame
const FALL = 0.12; // slower down than up, so that it breathes and does not flicker

export class Orb {
  #element;
  #read;
  #agent = 0;
  #you = 0;
  #last = 0;
  #running = false;

  /** @param {HTMLElement} element @param {() => {agent: number, you: number}} read levels as RMS */
  constructor(element, read) {
    this.#element = element;
    this.#read = read;
  }

  /** @param {string} state one of agent-state.js, or idle */
  set state(state) {
    this.#element.dataset.state = state;
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    requestAnimationFrame(this.#frame);
  }

  stop() {
    this.#running = false;
    this.#agent = this.#you = 0;
    this.#paint();
  }

  /** @param {number} now */
  #frame = (now) => {
    if (!this.#running) return;
    requestAnimationFrame(this.#frame);
    if (now - this.#last < FRAME_MS) return;
    this.#last = now;
    const { agent, you } = this.#read();
    this.#agent = follow(this.#agent, loudness(agent));
    this.#you = follow(this.#you, loudness(you));
    this.#paint();
  };

  #paint() {
    this.#element.style.setProperty("--agent-level", this.#agent.toFixed(3));
    this.#element.style.setProperty("--you-level", this.#you.toFixed(3));
  }
}

/** RMS to 0…1 as the ear hears it: −50 dB is nothing, −14 dB is loud speech. @param {number} rms */
function loudness(rms) {
  const db = 20 * Math.log10(Math.max(rms, 1e-5));
  return Math.min(1, Math.max(0, (db + 50) / 36));
}

/** @param {number} value @param {number} target */
function follow(value, target) {
  return value + (target - value) * (target > value ? RISE : FALL);
}
