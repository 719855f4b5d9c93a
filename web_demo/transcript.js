// @ts-check
/** What both sides said, line by line. A line is a segment; a later version of a segment replaces the earlier one. */

/** @typedef {"you" | "agent"} Speaker */
/** @typedef {{item: HTMLElement, text: HTMLElement, note: HTMLElement, version: number, final: boolean, speaker: Speaker}} Line */

const NAMES = { you: "You", agent: "Agent" };
const NEAR_END_PX = 80;

export class Transcript {
  /** @type {Map<string, Line>} */
  #lines = new Map();
  #list;
  #spoken;

  /** @param {HTMLElement} list @param {HTMLElement} spoken live region that reads finished lines to a screen reader */
  constructor(list, spoken) {
    this.#list = list;
    this.#spoken = spoken;
  }

  /**
   * Shows or replaces a segment. Versions arrive as separate streams: an older one that ends late changes nothing.
   * @param {{segment: string, speaker: Speaker, text: string, final: boolean, version: number}} heard
   */
  put({ segment, speaker, text, final, version }) {
    if (!text.trim() && !this.#lines.has(segment)) return;
    const line = this.#lines.get(segment) ?? this.#add(segment, speaker);
    if (version < line.version || (line.final && !final)) return;
    const wasAtEnd = this.#isAtEnd;
    line.version = version;
    line.text.textContent = text.trim();
    if (final && !line.final) this.#spoken.textContent = `${NAMES[speaker]}: ${text.trim()}`;
    line.final = final;
    line.item.classList.toggle("interim", !final);
    if (wasAtEnd) this.#toEnd();
  }

  /** A line typed by the caller, shown at once. @param {string} text */
  type(text) {
    this.put({ segment: `typed-${this.#lines.size}`, speaker: "you", text, final: true, version: 0 });
    this.#toEnd();
  }

  /** Marks the agent's last line as cut off by the caller. */
  markInterrupted() {
    const last = [...this.#lines.values()].findLast((line) => line.speaker === "agent");
    if (!last) return;
    const wasAtEnd = this.#isAtEnd;
    last.note.textContent = "Interrupted";
    if (wasAtEnd) this.#toEnd();
  }

  clear() {
    this.#lines.clear();
    this.#list.replaceChildren();
  }

  /** @param {Speaker} speaker @returns {number} finished lines */
  finals(speaker) {
    return [...this.#lines.values()].filter((line) => line.speaker === speaker && line.final).length;
  }

  /** @param {string} segment @param {Speaker} speaker @returns {Line} */
  #add(segment, speaker) {
    const item = document.createElement("li");
    item.className = `line ${speaker}`;
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = NAMES[speaker];
    const text = document.createElement("p");
    const note = document.createElement("span");
    note.className = "note";
    item.append(who, text, note);
    this.#list.append(item);
    const line = { item, text, note, version: -1, final: false, speaker };
    this.#lines.set(segment, line);
    return line;
  }

  /** Whether the newest line is in view: only then new lines may scroll, so that reading back is not disturbed. */
  get #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}
