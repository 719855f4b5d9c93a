// @ts-check
/** Asks the HTTP service for a join token. Knows nothing of LiveKit or of the page. */

import { keyHeaders } from "./key.js";
import { Problem } from "./problems.js";

const DEADLINE_MS = 10_000;
const DEFAULT_RETRY_S = 5;

/** @typedef {{server_url: string, participant_token: string, room_name: string, participant_name: string}} Ticket */

/**
 * @returns {Promise<Ticket>}
 * @throws {Problem} "at-capacity" or "no-agents" (with retryAfterS), "refused" or "service-unreachable"
 */
export async function requestTicket() {
  const response = await post();
  const body = await response.json().catch(() => ({}));
  if (response.ok && body.server_url && body.participant_token) return body;
  if (response.status === 503) throw new Problem(busyKind(body), { retryAfterS: retryAfter(response, body) });
  throw new Problem("refused", { detail: String(body.message ?? `The service answered ${response.status}.`) });
}

async function post() {
  try {
    return await fetch("/token", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...keyHeaders() },
      body: "{}",
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
  } catch {
    throw new Problem("service-unreachable");
  }
}

/** @param {{code?: string}} body */
function busyKind(body) {
  return body.code === "no_agents" ? "no-agents" : "at-capacity";
}

/** @param {Response} response @param {{retry_after_s?: number}} body @returns {number} whole seconds, 1 to 60 */
function retryAfter(response, body) {
  const seconds = Number(body.retry_after_s ?? response.headers.get("Retry-After"));
  return Math.min(60, Math.max(1, Math.ceil(seconds) || DEFAULT_RETRY_S));
}
