// @ts-check
/** What the service tells the caller beside the call: notices of the agent, and that no agent can be had. */

/** @typedef {{code: string, message: string}} Told */

const NOTICE_TOPIC = "tts-ops.notice"; // text streams of the agent
const CALL_TOPIC = "tts-ops.call"; // packets of the server itself, which have no sender
const BRIEF_MS = 4_000;

/**
 * @param {import("livekit-client").Room} room @param {import("./microphone.js").Client} client
 * @param {{notice: (told: Told) => void, failed: (told: Told) => void}} react
 */
export function listenToService(room, client, react) {
  room.registerTextStreamHandler(NOTICE_TOPIC, async (reader, from) => {
    const text = await reader.readAll().catch(() => "");
    const told = read(text);
    if (told && room.remoteParticipants.get(from.identity)?.isAgent) react.notice(told);
  });
  room.on(client.RoomEvent.DataReceived, (payload, sender, _kind, topic) => {
    if (topic !== CALL_TOPIC || sender) return;
    const told = read(new TextDecoder().decode(payload));
    if (told?.code === "call.failed") react.failed(told);
  });
}

/** @param {import("./notices.js").Notices} notices @param {Told} told */
export function showTold(notices, { code, message }) {
  if (code === "hears_again") {
    notices.clear("cannot-hear");
    notices.show("hears-again", { forMs: BRIEF_MS });
  } else {
    notices.show(code === "cannot_hear" ? "cannot-hear" : "told", { detail: message });
  }
}

/** @param {string} text @returns {Told | null} */
function read(text) {
  try {
    const { code, message } = JSON.parse(text);
    return typeof code === "string" && typeof message === "string" ? { code, message } : null;
  } catch {
    return null;
  }
}
