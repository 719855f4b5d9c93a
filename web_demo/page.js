// @ts-check
/** One page, one call at a time: starts it, follows its events, and says what went wrong. */

import { AgentWatch } from "./agent-watch.js";
import { Call } from "./call.js";
import { Clock } from "./clock.js";
import { Devices } from "./devices.js";
import { requestTicket } from "./join.js";
import { Levels, wakeLevels } from "./level.js";
import { openMicrophoneWithin } from "./microphone.js";
import { Notices } from "./notices.js";
import { Orb } from "./orb.js";
import { Problem } from "./problems.js";
import { showTold } from "./told.js";
import { Transcript } from "./transcript.js";
import { find, render } from "./view.js";
import { WaitingLine } from "./waiting-line.js";
import { Waterfall } from "./waterfall.js";

/** @typedef {import("./microphone.js").Client} Client */
/** @typedef {import("./microphone.js").LocalAudioTrack} LocalAudioTrack */

const MICROPHONE_PATIENCE_MS = 20_000;
const BRIEF_MS = 4_000;

export class Page {
  /** @type {import("./view.js").Phase} */
  #phase = "idle";
  /** @type {Call | null} */
  #call = null;
  #levels = new Levels();
  #reconnecting = false;
  #attempt = 0; // a new attempt or a hang-up makes the waits of the one before void
  #counts = { calls: 0, turns: 0, interrupts: 0, reconnects: 0 };

  #client;
  #notices = new Notices(find("notices"));
  #transcript = new Transcript(find("transcript"), find("spoken"));
  #waterfall = new Waterfall(find("turns"), find("legend"));
  #clock = new Clock(find("clock"));
  #orb = new Orb(find("orb"), () => this.levels);
  #line = new WaitingLine(this.#notices, () => this.#join());
  #watch = new AgentWatch(this.#notices, () => this.#callAgain());
  #devices = new Devices(find("devices"), { audioinput: find("microphone"), audiooutput: find("speaker") });

  /** @param {Promise<Client>} client rejects with a Problem */
  constructor(client) {
    this.#client = client;
    client.catch((problem) => this.#notices.show(problem.kind));
    if (!window.isSecureContext) this.#notices.show("insecure-page");
    this.#devices.addEventListener("choose", (event) => this.#useDevice(/** @type {CustomEvent} */ (event).detail));
    this.#render();
  }

  get phase() {
    return this.#phase;
  }

  get agentState() {
    return this.#call?.agentState ?? "absent";
  }

  get microphone() {
    return this.#call?.microphone ?? "off";
  }

  /** RMS of both sides now. */
  get levels() {
    return this.#levels.now;
  }

  get counts() {
    return { ...this.#counts, agentLines: this.#transcript.finals("agent"), yourLines: this.#transcript.finals("you") };
  }

  get noticeKinds() {
    return this.#notices.kinds;
  }

  get isPanelOpen() {
    return this.#devices.isOpen;
  }

  /** To be called in a click. */
  async join() {
    this.#line.leave();
    wakeLevels();
    await this.#join();
  }

  async hangUp() {
    this.#attempt += 1;
    if (this.#call) await this.#call.hangUp();
    else this.#enter("idle");
  }

  async mute() {
    if (!this.#call || this.#phase !== "live") return;
    if (this.microphone === "off") await this.#turnOnMicrophone();
    else await this.#call.toggleMute();
  }

  async interrupt() {
    if (!this.#call || this.#phase !== "live") return;
    this.#counts.interrupts += 1;
    await this.#call.interrupt().catch((problem) => this.#notices.show(problem.kind, { forMs: BRIEF_MS }));
  }

  /** @param {string} text @returns {boolean} whether it was sent off */
  type(text) {
    if (!this.#call || this.#phase !== "live" || !text.trim()) return false;
    this.#transcript.type(text.trim());
    this.#call.type(text.trim()).catch((problem) => this.#notices.show(problem.kind));
    return true;
  }

  async #join() {
    if (this.#phase === "joining" || this.#phase === "live") return;
    const attempt = ++this.#attempt;
    this.#begin();
    try {
      const [client, ticket] = await Promise.all([this.#client, requestTicket()]);
      if (attempt !== this.#attempt) return;
      this.#line.leave();
      // Before connecting: nobody should be greeted while reading the browser's question.
      const microphone = await this.#askForMicrophone(client);
      if (attempt !== this.#attempt) return microphone?.stop();
      await this.#connect(client, ticket, microphone);
    } catch (problem) {
      if (attempt === this.#attempt) this.#fail(problem);
    }
  }

  #begin() {
    for (const kind of this.#notices.kinds) if (!this.#line.owns(kind)) this.#notices.clear(kind);
    this.#enter("joining");
  }

  /** @param {Client} client @param {import("./join.js").Ticket} ticket @param {LocalAudioTrack | null} microphone */
  async #connect(client, ticket, microphone) {
    const call = new Call(client, find("sound"));
    this.#call = call;
    this.#follow(call);
    await call.connect(ticket).catch((problem) => {
      microphone?.stop();
      throw problem;
    });
    if (microphone) await call.publish(microphone);
  }

  /** Never fails: without a microphone the call goes on by typing. @param {Client} client @returns {Promise<LocalAudioTrack | null>} */
  async #askForMicrophone(client) {
    try {
      const { track, late } = await openMicrophoneWithin(client, this.#devices.microphoneId, MICROPHONE_PATIENCE_MS);
      if (late) this.#awaitLateMicrophone(late);
      return track;
    } catch (problem) {
      this.#showMicrophoneProblem(problem);
      return null;
    }
  }

  /** @param {Promise<LocalAudioTrack>} late */
  async #awaitLateMicrophone(late) {
    const attempt = this.#attempt;
    this.#notices.show("microphone-unanswered");
    try {
      const track = await late;
      if (attempt === this.#attempt && this.#call) await this.#call.publish(track);
      else track.stop();
    } catch (problem) {
      if (attempt === this.#attempt) this.#showMicrophoneProblem(problem);
    }
    this.#notices.clear("microphone-unanswered");
  }

  async #turnOnMicrophone() {
    const call = this.#call;
    for (const kind of this.#notices.kinds) if (kind.startsWith("microphone-")) this.#notices.clear(kind);
    const microphone = await this.#askForMicrophone(await this.#client);
    if (call) await (microphone && call.publish(microphone));
    else microphone?.stop();
  }

  /** @param {Call} call */
  #follow(call) {
    /** @param {string} type @param {(detail: any) => void} react */
    const on = (type, react) =>
      call.addEventListener(type, (event) => {
        if (call !== this.#call) return;
        react(/** @type {CustomEvent} */ (event).detail);
        this.#render();
      });
    on("connected", () => this.#start());
    on("agent", ({ state }) => this.#watch.see(state));
    on("agent-left", () => this.#watch.seeLeave());
    on("words", (words) => this.#transcript.put(words));
    on("turn", (turn) => this.#seeTurn(turn));
    on("interrupted", () => this.#transcript.markInterrupted());
    on("voice", ({ track }) => this.#levels.followAgent(track));
    on("sound", ({ blocked }) => this.#seeSound(blocked));
    on("microphone", () => this.#seeMicrophone());
    on("reconnecting", () => this.#seeDrop());
    on("reconnected", () => this.#seeReturn());
    on("notice", (told) => showTold(this.#notices, told));
    on("ended", ({ reason, message }) => this.#end(reason, message));
  }

  #start() {
    this.#counts.calls += 1;
    this.#transcript.clear();
    this.#waterfall.clear();
    delete document.body.dataset.turns;
    this.#enter("live");
    this.#clock.start();
    this.#orb.start();
    this.#watch.start();
  }

  async #callAgain() {
    await this.hangUp();
    await this.join();
  }

  /** @param {import("./waterfall.js").Turn} turn */
  #seeTurn(turn) {
    this.#counts.turns += 1;
    if (turn.interrupted) this.#transcript.markInterrupted();
    if (this.#waterfall.add(turn)) document.body.dataset.turns = "some";
  }

  #seeMicrophone() {
    const track = this.#call?.microphoneTrack;
    this.#levels.followYou(track);
    if (!track) this.#showMicrophoneProblem(new Problem("microphone-missing"));
  }

  /** @param {boolean} blocked */
  #seeSound(blocked) {
    if (!blocked) return this.#notices.clear("sound-blocked");
    const play = { label: "Play sound", run: () => void this.#call?.playSound().then(wakeLevels, () => {}) };
    this.#notices.show("sound-blocked", { actions: [play] });
  }

  #seeDrop() {
    if (this.#reconnecting) return;
    this.#reconnecting = true;
    this.#notices.show("reconnecting");
  }

  #seeReturn() {
    this.#reconnecting = false;
    this.#counts.reconnects += 1;
    this.#notices.clear("reconnecting");
    this.#notices.show("reconnected", { forMs: BRIEF_MS });
  }

  /** @param {import("./call.js").EndReason} reason @param {string} [message] */
  #end(reason, message) {
    this.#attempt += 1;
    const wasLive = this.#phase === "live";
    this.#drop();
    if (reason !== "you") this.#notices.show(reason, { detail: message });
    this.#enter(wasLive ? "ended" : "idle");
  }

  /** Lets go of everything that belonged to the call. */
  #drop() {
    this.#watch.stop();
    this.#levels.close();
    this.#call = null;
    this.#reconnecting = false;
    this.#clock.stop();
    this.#orb.stop();
    this.#devices.close();
    this.#notices.clearAll();
  }

  /** @param {unknown} problem what kept the call from beginning */
  #fail(problem) {
    this.#call = null;
    this.#enter("idle");
    if (!(problem instanceof Problem)) {
      this.#notices.show("connect-failed");
      throw problem; // a fault of this page: the console shall show it
    }
    if (problem.kind === "at-capacity" || problem.kind === "no-agents") return this.#line.hold(problem.kind, problem.retryAfterS);
    this.#notices.show(problem.kind, { detail: problem.detail });
  }

  /** @param {unknown} problem */
  #showMicrophoneProblem(problem) {
    if (!(problem instanceof Problem)) throw problem;
    const turnOn = { label: "Turn on microphone", run: () => void this.#turnOnMicrophone() };
    this.#notices.show(problem.kind, { actions: problem.kind === "insecure-page" ? [] : [turnOn] });
  }

  /** @param {{kind: "audioinput" | "audiooutput", deviceId: string}} choice */
  async #useDevice({ kind, deviceId }) {
    try {
      await this.#call?.useDevice(kind, deviceId);
    } catch {
      if (kind === "audioinput") this.#showMicrophoneProblem(new Problem("microphone-busy"));
    }
  }

  /** @param {import("./view.js").Phase} phase */
  #enter(phase) {
    this.#phase = phase;
    this.#render();
  }

  #render() {
    const agent = this.agentState;
    this.#orb.state = this.#phase === "live" ? agent : this.#phase;
    render({
      phase: this.#phase,
      agent,
      microphone: this.microphone,
      reconnecting: this.#reconnecting,
      length: this.#clock.text,
    });
  }
}
