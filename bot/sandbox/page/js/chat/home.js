// The app's Home tab for the person.

import { send } from "../api.js";
import { blocks } from "../blocks/blocks.js";
import { FormState } from "../blocks/form.js";
import { fill, h, icon } from "../dom.js";
import { place } from "../route.js";
import { coalesced } from "../stream.js";
import { reasonFor } from "../toasts.js";
import { person, world } from "../world.js";
import { viewSurface } from "../modal/surface.js";

const ECHO_MS = 3_000;

export class Home {
  #form = new FormState();
  #fingerprint = null;
  #rereadAt = 0;

  constructor() {
    this.element = h("div", { class: "home", role: "region", "aria-label": "App home", hidden: true });
    this.open = coalesced(() => this.#open());
  }

  // The app published the tab.  To read it means to open it, and an app may answer that by publishing
  // again: the event that follows such a reading is ignored, or the two would never stop.
  published() {
    const isEcho = this.#rereadAt !== 0 && performance.now() - this.#rereadAt < ECHO_MS;
    this.#rereadAt = isEcho ? 0 : performance.now();
    return isEcho ? undefined : this.open();
  }

  async #open() {
    const answer = await send("home", { user: person() });
    if (!place.isHome) return;
    const fingerprint = JSON.stringify([answer.view, answer.error, person()]);
    if (fingerprint === this.#fingerprint) return;
    this.#fingerprint = fingerprint;
    fill(this.element, answer.view?.blocks?.length ? blocks(answer.view.blocks, viewSurface(answer.view, this.#form)) : this.#empty(answer));
  }

  #empty(answer) {
    const why = answer.ok ? `${world.bot.name} has not published a Home tab for you yet.` : `The Home tab could not be opened: ${reasonFor(answer)}.`;
    return h("div", { class: "empty" }, icon("home"), h("p", null, why));
  }
}
