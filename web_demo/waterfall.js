// @ts-check
/** Where the time of each answer went: one bar per turn, from the agent's own stamps (topic `tts-ops.turn`). */

/** @typedef {{turn: number, interrupted?: boolean, seconds?: Record<string, number>, stamps?: Record<string, number>}} Turn */
/** @typedef {{stamp: string, label: string, seconds: number}} Step */

const KEPT = 5;
const START = "user_stopped";
const LABELS = {
  transcript: "Understand your words",
  turn_committed: "Know you are done",
  llm_first: "Think of the first words",
  voice_first: "Make the first sound",
  speaking: "Start to play",
};

export class Waterfall {
  /** @type {{turn: number, steps: Step[]}[]} */
  #turns = [];
  #list;
  #legend;

  /** @param {HTMLElement} list @param {HTMLElement} legend */
  constructor(list, legend) {
    this.#list = list;
    this.#legend = legend;
  }

  /** @param {Turn} turn @returns {boolean} whether it held anything to show */
  add(turn) {
    const steps = stepsOf(turn.stamps ?? {});
    if (!steps.length) return false;
    this.#turns = [{ turn: turn.turn, steps }, ...this.#turns].slice(0, KEPT);
    this.#draw();
    return true;
  }

  clear() {
    this.#turns = [];
    this.#draw();
  }

  #draw() {
    const longest = Math.max(...this.#turns.map(({ steps }) => total(steps)));
    this.#list.replaceChildren(...this.#turns.map(({ turn, steps }) => row(turn, steps, longest)));
    const used = new Set(this.#turns.flatMap(({ steps }) => steps.map((step) => step.stamp)));
    this.#legend.replaceChildren(...Object.entries(LABELS).filter(([stamp]) => used.has(stamp)).map(legendItem));
  }
}

/**
 * The time between neighbouring stamps, each named by the stamp that ends it. Sorted, because the answer may be begun
 * before the turn is certain. Without a beginning (the greeting, a typed turn) there is nothing to measure from.
 * @param {Record<string, number>} stamps @returns {Step[]}
 */
export function stepsOf(stamps) {
  const known = Object.entries(stamps).filter(([name, at]) => (name === START || name in LABELS) && Number.isFinite(at));
  const sorted = known.sort(([, a], [, b]) => a - b);
  const first = sorted.findIndex(([name]) => name === START);
  const used = first < 0 ? [] : sorted.slice(first);
  return used.slice(1).map(([stamp, at], index) => ({
    stamp,
    label: LABELS[/** @type {keyof typeof LABELS} */ (stamp)],
    seconds: at - used[index][1],
  }));
}

/** @param {Step[]} steps */
function total(steps) {
  return steps.reduce((sum, step) => sum + step.seconds, 0);
}

/** @param {number} turn @param {Step[]} steps @param {number} longest seconds */
function row(turn, steps, longest) {
  const item = document.createElement("li");
  const head = text("span", "turn", `Turn ${turn}`);
  const sum = text("span", "sum", `${total(steps).toFixed(2)} s`);
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", steps.map((step) => `${step.label}: ${step.seconds.toFixed(2)} s`).join(", "));
  for (const step of steps) bar.append(piece(step, longest));
  item.append(head, sum, bar);
  return item;
}

/** @param {Step} step @param {number} longest seconds */
function piece(step, longest) {
  const made = text("span", `step-${step.stamp}`, "");
  made.title = `${step.label}: ${step.seconds.toFixed(2)} s`;
  made.style.setProperty("width", `${(100 * step.seconds) / Math.max(longest, 0.001)}%`);
  return made;
}

/** @param {[string, string]} entry */
function legendItem([stamp, label]) {
  const item = document.createElement("li");
  item.append(text("span", `swatch step-${stamp}`, ""), text("span", "", label));
  return item;
}

/** @param {string} tag @param {string} className @param {string} content */
function text(tag, className, content) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  return made;
}
