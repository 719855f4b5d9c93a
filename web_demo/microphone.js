// @ts-check
/** Opens the caller's microphone and says in our words why it cannot be opened. */

import { Problem } from "./problems.js";

/** @typedef {typeof import("livekit-client")} Client */
/** @typedef {import("livekit-client").LocalAudioTrack} LocalAudioTrack */

export const CAPTURE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/**
 * Waits as long as the browser's question stands open.
 * @param {Client} client @param {string} [deviceId]
 * @returns {Promise<LocalAudioTrack>}
 * @throws {Problem} "insecure-page", "microphone-denied", "microphone-missing" or "microphone-busy"
 */
async function openMicrophone(client, deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Problem("insecure-page");
  try {
    return await client.createLocalAudioTrack({ ...CAPTURE, deviceId });
  } catch (error) {
    throw new Problem(kindOf(error));
  }
}

/**
 * Opens the microphone within `patienceMs`. When the browser's question stands open longer, `track` is null and `late`
 * is what will come of it.
 * @param {Client} client @param {string | undefined} deviceId @param {number} patienceMs
 * @returns {Promise<{track: LocalAudioTrack | null, late: Promise<LocalAudioTrack> | null}>}
 * @throws {Problem} as openMicrophone
 */
export async function openMicrophoneWithin(client, deviceId, patienceMs) {
  const opening = openMicrophone(client, deviceId);
  const track = await Promise.race([opening, new Promise((resolve) => setTimeout(resolve, patienceMs, null))]);
  return { track, late: track ? null : opening };
}

/** @param {unknown} error @returns {"microphone-denied" | "microphone-missing" | "microphone-busy"} */
function kindOf(error) {
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "microphone-denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "microphone-missing";
  return "microphone-busy";
}
