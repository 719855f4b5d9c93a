// @ts-check
/**
 * One call over LiveKit: connects, publishes the microphone, and tells of the agent, the words and the end by events.
 * Knows nothing of the page.
 *
 * Events (CustomEvent): "connected"; "agent" {state}; "agent-left"; "words" {segment, speaker, text, final, version};
 * "turn" {…contract of topic tts-ops.turn}; "voice" {track}; "sound" {blocked}; "reconnecting"; "reconnected";
 * "microphone" {state}; "interrupted"; "notice" {code, message}; "ended" {reason, message}.
 */

import { agentState, STATE_ATTRIBUTE } from "./agent-state.js";
import { CAPTURE } from "./microphone.js";
import { Problem } from "./problems.js";
import { listenToService } from "./told.js";

/** @typedef {import("livekit-client").LocalAudioTrack} LocalAudioTrack */
/** @typedef {import("livekit-client").RemoteParticipant} RemoteParticipant */
/** @typedef {import("livekit-client").TextStreamReader} TextStreamReader */
/** @typedef {"you" | "call-failed" | "ended-by-agent" | "ended-by-server" | "connection-lost"} EndReason */

const CONNECT_DEADLINE_MS = 10_000;
const INTERRUPT_DEADLINE_MS = 3_000;
const TAIL_MS = 500; // how long sound that was on its way may still arrive after an interruption
const STATE_POLL_MS = 500; // a change event can be lost in a reconnect; the attribute itself is not

export class Call extends EventTarget {
  #client;
  #room;
  #soundBox;
  /** @type {LocalAudioTrack | null} */
  #microphone = null;
  #version = 0;
  #connected = false;
  #ended = false;
  /** @type {string | undefined} */
  #failure;
  #state = agentState("absent");
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #poll;

  /** @param {import("./microphone.js").Client} client @param {HTMLElement} soundBox where audio elements live */
  constructor(client, soundBox) {
    super();
    this.#client = client;
    this.#soundBox = soundBox;
    this.#room = new client.Room({ audioCaptureDefaults: CAPTURE, disconnectOnPageLeave: true });
    this.#listen();
  }

  /** @param {import("./join.js").Ticket} ticket @throws {Problem} "connect-failed" */
  async connect(ticket) {
    try {
      await this.#room.connect(ticket.server_url, ticket.participant_token, {
        maxRetries: 1,
        websocketTimeout: CONNECT_DEADLINE_MS,
        peerConnectionTimeout: CONNECT_DEADLINE_MS,
      });
    } catch (error) {
      this.#ended = true;
      console.warn("the call could not be connected", error);
      throw new Problem("connect-failed");
    }
    this.#connected = true;
    this.#poll = setInterval(() => this.#readState(), STATE_POLL_MS);
    this.#tell("connected");
    this.#readState();
    this.#readSound();
  }

  /** Publishes a microphone, now or later in the call. @param {LocalAudioTrack} track */
  async publish(track) {
    if (this.#ended) return track.stop();
    this.#microphone = track;
    track.on("muted", () => this.#tellMicrophone()).on("unmuted", () => this.#tellMicrophone());
    track.on("ended", () => this.#loseMicrophone(track));
    await this.#room.localParticipant.publishTrack(track, { source: this.#client.Track.Source.Microphone });
    this.#tellMicrophone();
  }

  /** @returns {"on" | "muted" | "off"} */
  get microphone() {
    if (!this.#microphone) return "off";
    return this.#microphone.isMuted ? "muted" : "on";
  }

  /** @returns {MediaStreamTrack | undefined} */
  get microphoneTrack() {
    return this.#microphone?.mediaStreamTrack;
  }

  get agentState() {
    return this.#state;
  }

  async toggleMute() {
    await (this.#microphone?.isMuted ? this.#microphone.unmute() : this.#microphone?.mute());
  }

  /** @param {string} text @throws {Problem} "send-failed" */
  async type(text) {
    try {
      await this.#room.localParticipant.sendText(text, { topic: "lk.chat" });
    } catch {
      throw new Problem("send-failed");
    }
  }

  /** Silence here at once, and makes the agent fall silent. @throws {Problem} "interrupt-failed" */
  async interrupt() {
    const agent = this.#agent;
    if (!agent) return;
    const spoke = this.#state === "speaking";
    this.#hush(true);
    try {
      await this.#room.localParticipant.performRpc({
        destinationIdentity: agent.identity,
        method: "interrupt",
        payload: "",
        responseTimeout: INTERRUPT_DEADLINE_MS,
      });
      // Told late, when the last of its words are here: the agent reports no turn that was cut off at its first word.
      if (spoke) setTimeout(() => this.#tell("interrupted"), TAIL_MS);
    } catch {
      if (!this.#ended) throw new Problem("interrupt-failed");
    } finally {
      setTimeout(() => this.#hush(false), TAIL_MS);
    }
  }

  /** To be called in a click, after "sound" said that it is blocked. */
  async playSound() {
    await this.#room.startAudio();
  }

  /** @param {"audioinput" | "audiooutput"} kind @param {string} deviceId */
  async useDevice(kind, deviceId) {
    await this.#room.switchActiveDevice(kind, deviceId);
  }

  async hangUp() {
    this.#end("you");
    await this.#room.disconnect();
  }

  /** @returns {RemoteParticipant | undefined} */
  get #agent() {
    return [...this.#room.remoteParticipants.values()].find((participant) => participant.isAgent);
  }

  #listen() {
    const { RoomEvent } = this.#client;
    this.#room
      .on(RoomEvent.ParticipantConnected, () => this.#readState())
      .on(RoomEvent.ParticipantAttributesChanged, () => this.#readState())
      .on(RoomEvent.ParticipantDisconnected, (participant) => this.#leave(participant))
      .on(RoomEvent.TrackSubscribed, (track) => this.#play(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()))
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.#readSound())
      .on(RoomEvent.Reconnecting, () => this.#tell("reconnecting"))
      .on(RoomEvent.SignalReconnecting, () => this.#tell("reconnecting"))
      .on(RoomEvent.Reconnected, () => this.#tell("reconnected"))
      .on(RoomEvent.Disconnected, (reason) => this.#connected && this.#end(this.#whyEnded(reason)));
    this.#room.registerTextStreamHandler("lk.transcription", (reader, from) => this.#hear(reader, from.identity));
    this.#room.registerTextStreamHandler("tts-ops.turn", (reader) => this.#readTurn(reader));
    listenToService(this.#room, this.#client, {
      notice: (told) => this.#tell("notice", told),
      failed: ({ message }) => void (this.#failure = message),
    });
  }

  /** A stream is one version of one segment; each chunk adds to it. @param {TextStreamReader} reader @param {string} identity */
  async #hear(reader, identity) {
    const version = ++this.#version;
    const speaker = identity === this.#room.localParticipant.identity ? "you" : "agent";
    const segment = reader.info.attributes?.["lk.segment_id"] ?? reader.info.id;
    let text = "";
    try {
      for await (const chunk of reader) {
        text += chunk;
        this.#tell("words", { segment, speaker, text, final: false, version });
      }
    } catch {
      // The sender is gone in the middle of a line: what came of it stays, as the last word.
    }
    // The agent's line is one stream, so its end is final; the caller's interim lines are whole streams of their own.
    const final = speaker === "agent" || reader.info.attributes?.["lk.transcription_final"] === "true";
    this.#tell("words", { segment, speaker, text, final, version });
  }

  /** @param {TextStreamReader} reader */
  async #readTurn(reader) {
    try {
      this.#tell("turn", JSON.parse(await reader.readAll()));
    } catch (error) {
      console.warn("a turn report could not be read", error);
    }
  }

  #readState() {
    const agent = this.#agent;
    const state = agent ? agentState(agent.attributes[STATE_ATTRIBUTE]) : "absent";
    if (state === this.#state || this.#ended) return;
    this.#state = state;
    this.#tell("agent", { state });
  }

  /** @param {RemoteParticipant} participant */
  #leave(participant) {
    this.#readState();
    if (participant.isAgent && !this.#agent && !this.#ended) this.#tell("agent-left");
  }

  /** @param {import("livekit-client").RemoteTrack} track */
  #play(track) {
    if (track.kind !== this.#client.Track.Kind.Audio) return;
    this.#soundBox.append(track.attach());
    this.#tell("voice", { track: track.mediaStreamTrack });
  }

  /** @param {boolean} muted */
  #hush(muted) {
    for (const element of this.#soundBox.querySelectorAll("audio")) element.muted = muted;
  }

  #readSound() {
    this.#tell("sound", { blocked: !this.#room.canPlaybackAudio });
  }

  /** The device is gone (unplugged, or taken away by the browser). @param {LocalAudioTrack} track */
  #loseMicrophone(track) {
    if (this.#microphone !== track || this.#ended) return;
    this.#microphone = null;
    this.#room.localParticipant.unpublishTrack(track).catch(() => {});
    this.#tellMicrophone();
  }

  #tellMicrophone() {
    this.#tell("microphone", { state: this.microphone });
  }

  /** @param {number | undefined} reason @returns {EndReason} */
  #whyEnded(reason) {
    if (this.#failure) return "call-failed";
    const { DisconnectReason: Why } = this.#client;
    if (reason === Why.ROOM_DELETED || reason === Why.PARTICIPANT_REMOVED || reason === Why.ROOM_CLOSED) return "ended-by-agent";
    return reason === Why.SERVER_SHUTDOWN ? "ended-by-server" : "connection-lost";
  }

  /** @param {EndReason} reason */
  #end(reason) {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#poll);
    this.#microphone?.stop();
    this.#soundBox.replaceChildren();
    this.#tell("ended", { reason, message: this.#failure });
  }

  /** @param {string} type @param {object} [detail] */
  #tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
