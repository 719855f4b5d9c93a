// @ts-check
/** How loud an audio track is now. One AudioContext for the page: browsers allow few, and start it only on a click. */

/** @type {AudioContext | undefined} */
let context;

/** Call this in a click: outside of one the browser keeps the context suspended, and every level stays 0. */
export function wakeLevels() {
  context ??= new AudioContext();
  context.resume().catch(() => {});
}

/** Both sides of a call. */
export class Levels {
  /** @type {Level | null} */
  #agent = null;
  /** @type {Level | null} */
  #you = null;

  /** @returns {{agent: number, you: number}} RMS now */
  get now() {
    return { agent: this.#agent?.rms ?? 0, you: this.#you?.rms ?? 0 };
  }

  /** @param {MediaStreamTrack | undefined} track */
  followAgent(track) {
    this.#agent?.close();
    this.#agent = track ? new Level(track) : null;
  }

  /** @param {MediaStreamTrack | undefined} track */
  followYou(track) {
    this.#you?.close();
    this.#you = track ? new Level(track) : null;
  }

  close() {
    this.followAgent(undefined);
    this.followYou(undefined);
  }
}

class Level {
  #analyser;
  #source;
  #samples;

  /** @param {MediaStreamTrack} track */
  constructor(track) {
    context ??= new AudioContext();
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = 1024; // 21 ms at 48 kHz: as short as speech needs
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source = context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
  }

  /** Root mean square of the last 21 ms; full scale is 1. @returns {number} */
  get rms() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    return Math.sqrt(sum / this.#samples.length);
  }

  close() {
    this.#source.disconnect();
  }
}
