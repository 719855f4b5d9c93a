// @ts-check
/** Everything that can go wrong in a call, in words for a person: what happened, and what to do about it. */

/** @typedef {{title: string, advice: string, tone?: "good" | "info" | "warn" | "bad"}} Words */

/** A thing that went wrong, by its name in WORDS. */
export class Problem extends Error {
  /** @param {keyof typeof WORDS} kind @param {{detail?: string, retryAfterS?: number}} [facts] */
  constructor(kind, facts = {}) {
    super(kind);
    this.kind = kind;
    this.detail = facts.detail;
    this.retryAfterS = facts.retryAfterS ?? 0;
  }
}

export const WORDS = {
  "microphone-denied": {
    title: "The microphone is blocked",
    advice:
      "Allow it in your browser’s address bar, then turn it on here. Until then, type: the call goes on.",
  },
  "microphone-missing": {
    title: "No microphone was found",
    advice: "Plug one in or choose another under Devices, then turn it on here. Until then, type: the call goes on.",
  },
  "microphone-busy": {
    title: "The microphone could not be opened",
    advice: "Another program may be using it. Close that program, then turn it on here. Until then, type: the call goes on.",
  },
  "microphone-unanswered": {
    title: "Your browser is still asking for the microphone",
    advice: "Answer its question to be heard. Until then, type: the call goes on.",
  },
  "insecure-page": {
    title: "This address cannot use a microphone",
    advice: "Browsers allow one only on https:// and on this very machine (http://127.0.0.1). Open the page there to speak; here you can only type.",
  },
  "unsupported-browser": {
    title: "This browser cannot make calls",
    advice: "Use a current Chrome, Edge, Firefox or Safari.",
    tone: "bad",
  },
  "vendor-missing": {
    title: "A file of this page is missing",
    advice: "The LiveKit client could not be loaded. Run “make call” again, which fetches it, then reload the page.",
    tone: "bad",
  },
  "service-unreachable": {
    title: "The service does not answer",
    advice: "Check that it is still running and that you are online, then try again.",
    tone: "bad",
  },
  refused: { title: "The call was refused", advice: "", tone: "bad" },
  "at-capacity": { title: "All lines are busy", advice: "Every agent is in a call right now." },
  "no-agents": { title: "No agent is on duty", advice: "It may still be starting." },
  "connect-failed": {
    title: "The call could not be connected",
    advice: "The call server did not answer, or your network blocks calls. Try again, or try another network.",
    tone: "bad",
  },
  "no-agent": {
    title: "No agent has answered yet",
    advice: "It may still be starting. Keep waiting, or call again.",
  },
  "agent-left": {
    title: "The agent has left the call",
    advice: "Another one may take over. Wait a moment, or call again.",
  },
  "call-failed": { title: "No agent could take your call", advice: "Call again in a moment.", tone: "bad" },
  "cannot-hear": { title: "The agent cannot hear you", advice: "Type to it; it reads you." },
  "hears-again": { title: "The agent hears you again", advice: "", tone: "good" },
  told: { title: "The agent lets you know", advice: "", tone: "info" },
  reconnecting: { title: "The connection dropped", advice: "Reconnecting…" },
  reconnected: { title: "You are connected again", advice: "", tone: "good" },
  "connection-lost": {
    title: "The connection was lost",
    advice: "Check your network, then call again.",
    tone: "bad",
  },
  "ended-by-agent": { title: "The agent ended the call", advice: "Call again whenever you like.", tone: "info" },
  "ended-by-server": {
    title: "The call server ended the call",
    advice: "It may be restarting. Call again in a moment.",
  },
  "sound-blocked": {
    title: "Your browser holds the sound back",
    advice: "It wants to be asked first.",
  },
  "interrupt-failed": {
    title: "The agent did not react to “Interrupt”",
    advice: "Speak over it, or try again.",
  },
  "send-failed": { title: "Your message did not reach the agent", advice: "Send it again." },
};

/** @param {string} kind @returns {Words} */
export function wordsFor(kind) {
  return { tone: "warn", .../** @type {Record<string, Words>} */ (WORDS)[kind] };
}
