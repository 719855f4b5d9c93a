// @ts-check
/** The agent's state (participant attribute `lk.agent.state`) in words. */

export const STATE_ATTRIBUTE = "lk.agent.state";

/** @typedef {"absent" | "initializing" | "idle" | "listening" | "thinking" | "speaking"} AgentState */

const WORDS = {
  absent: "Calling the agent…",
  initializing: "The agent is getting ready…",
  idle: "The agent is ready",
  listening: "Listening",
  thinking: "Thinking…",
  speaking: "Speaking",
};

/** @param {string | undefined} value @returns {AgentState} */
export function agentState(value) {
  return value !== undefined && value in WORDS ? /** @type {AgentState} */ (value) : "initializing";
}

/** Whether the agent can hear and read now. @param {AgentState} state */
export function isReachable(state) {
  return state !== "absent" && state !== "initializing";
}

/** @param {AgentState} state */
export function stateWords(state) {
  return WORDS[state];
}

/** @param {AgentState} state @param {"on" | "muted" | "off"} microphone */
export function stateHint(state, microphone) {
  if (state === "speaking") return microphone === "on" ? "Cut in by speaking, or press Interrupt." : "Press Interrupt to cut in.";
  if (!isReachable(state)) return "This takes a moment.";
  if (microphone === "muted") return "You are muted. Unmute to speak, or type.";
  if (microphone === "off") return "Your microphone is off. Type to the agent.";
  return state === "thinking" ? "The answer is on its way." : "Speak, or type.";
}
