// The camera: what the model says of what it sees now, and photos of it.

import { button, element, replace } from "../elements.js";
import { bars } from "../page/bars.js";
import { classify } from "../page/service.js";
import { problem } from "../models.js";

const MILLISECONDS_BETWEEN_FRAMES = 300;
const CLASSES_SHOWN = 3;
const LIVE_SIDE = 480;

export class Camera {
  #stream = null;
  #asked = null;
  changed = () => {};

  constructor(parent, { text, announce }, model, add) {
    Object.assign(this, { parent, text, announce, model, add });
    this.video = element("video", { muted: true, playsinline: true, "aria-label": text("try.camera_picture") });
    this.answer = element("ul.bars", {});
  }

  toggle() {
    return this.#stream ? this.close() : this.open();
  }

  async open() {
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    } catch (error) {
      // Browsers have no camera on pages without https from other computers.
      const reason = !navigator.mediaDevices ? "try.camera_https" : error.name === "NotAllowedError" ? "try.camera_refused" : "try.camera_missing";
      replace(this.parent, problem(this.text(reason)));
      this.parent.hidden = false;
      return;
    }
    this.video.srcObject = this.#stream;
    await this.video.play();
    const take = button(this.text("try.take"), () => this.take(), { class: "main" });
    replace(this.parent, this.video, element("div", {}, this.answer, element("div.row", {}, take)));
    this.parent.hidden = false;
    this.changed(true);
    take.focus();
    this.#watch(this.#stream);
  }

  close() {
    this.#asked?.abort();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.parent.hidden = true;
    this.changed(false);
  }

  /** Adds what the camera sees now as a photo. */
  async take() {
    const now = new Date().toISOString().replace(/[:.]/g, "-");
    this.add([{ file: await this.#frame(`camera-${now}.jpg`, Infinity), name: this.text("try.camera_photo") }]);
    this.announce(this.text("try.taken"));
  }

  /** Asks about one frame after the other, as long as this stream is open. */
  async #watch(stream) {
    while (this.#stream === stream) {
      this.#asked = new AbortController();
      try {
        const file = await this.#frame("live.jpg", LIVE_SIDE);
        const answer = await classify({ file, name: file.name }, this.model, CLASSES_SHOWN, this.#asked.signal);
        replace(this.answer, bars(answer));
      } catch {
        // The next frame is asked about; a photo that is taken shows the error.
      }
      await new Promise((resolve) => setTimeout(resolve, MILLISECONDS_BETWEEN_FRAMES));
    }
  }

  async #frame(name, maxSide) {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, maxSide / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    return new File([blob], name, { type: "image/jpeg" });
  }
}
