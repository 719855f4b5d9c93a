// @ts-check
/** Puts the state of the call into the page: words, labels, what can be pressed, and where the focus goes. */

import { isReachable, stateHint, stateWords } from "./agent-state.js";

/** @typedef {"idle" | "joining" | "live" | "ended"} Phase */
/** @typedef {{phase: Phase, agent: import("./agent-state.js").AgentState, microphone: "on" | "muted" | "off", reconnecting: boolean, length: string}} Seen */

const MICROPHONE = {
  on: { label: "Mute", icon: "#icon-microphone" },
  muted: { label: "Unmute", icon: "#icon-muted" },
  off: { label: "Turn on mic", icon: "#icon-muted" },
};

/** @template {HTMLElement} [E=HTMLElement] @param {string} id @returns {E} */
export function find(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html lacks #${id}`);
  return /** @type {E} */ (found);
}

/** @param {Seen} seen */
export function render(seen) {
  const before = document.body.dataset.phase;
  document.body.dataset.phase = seen.phase;
  const { state, hint } = wordsOf(seen);
  say("state", state);
  say("hint", hint);
  say("join-label", seen.phase === "ended" ? "Call again" : "Start call");
  renderControls(seen);
  if (before !== seen.phase) moveFocus(seen.phase);
}

/** @param {Seen} seen */
function renderControls({ phase, agent, microphone, reconnecting }) {
  const mute = find("mute");
  label(mute, MICROPHONE[microphone].label);
  mute.querySelector("use")?.setAttribute("href", MICROPHONE[microphone].icon);
  mute.dataset.microphone = microphone;
  find("interrupt").dataset.useful = String(phase === "live" && agent === "speaking");
  label(find("hang-up"), phase === "joining" ? "Cancel" : "Hang up");
  const canType = phase === "live" && isReachable(agent) && !reconnecting;
  find("send").toggleAttribute("disabled", !canType);
  // The field itself stays usable, so that the focus and a half-written line survive a short absence.
  find("message").toggleAttribute("disabled", phase !== "live");
}

/** @param {Seen} seen */
function wordsOf({ phase, agent, microphone, reconnecting, length }) {
  if (phase === "idle") {
    return { state: "Talk with the agent", hint: "Speak or type. It answers aloud, and you can cut in at any time." };
  }
  if (phase === "joining") return { state: "Connecting…", hint: "Your browser may ask for the microphone." };
  if (phase === "ended") return { state: "Call ended", hint: `It lasted ${length}.` };
  if (reconnecting) return { state: "Reconnecting…", hint: "The call goes on as soon as you are back." };
  return { state: stateWords(agent), hint: stateHint(agent, microphone) };
}

/** A pressed button may be gone now; without this the focus would fall to the top of the page. @param {Phase} phase */
function moveFocus(phase) {
  const place = phase === "joining" ? find("state") : phase === "ended" || phase === "idle" ? find("join") : null;
  const focused = document.activeElement;
  const isLost = !focused || focused === document.body || !focused.checkVisibility();
  if (place && isLost) place.focus({ preventScroll: true });
}

/** @param {string} id @param {string} words */
function say(id, words) {
  const element = find(id);
  if (element.textContent !== words) element.textContent = words; // a live region speaks at each write
}

/** @param {HTMLElement} button @param {string} words */
function label(button, words) {
  const span = button.querySelector("span");
  if (span && span.textContent !== words) span.textContent = words;
}
