// The app's Home tab of the person.

import { send } from "../api.js";
import { blocks } from "../blocks/blocks.js";
import { FormState } from "../blocks/form.js";
import { fill, h, icon } from "../dom.js";
import { place } from "../route.js";
import { coalesced } from "../stream.js";
import { because } from "../toasts.js";
import { person, world } from "../world.js";
import { viewSurface } from "../modal/surface.js";

export class Home {
  #form = new FormState();
  #print = null;

  constructor() {
    this.element = h("div", { class: "home", role: "region", "aria-label": "App home", hidden: true });
    this.open = coalesced(() => this.#open());
  }

  async #open() {
    const answer = await send("home", { user: person() });
    if (!place.isHome) return;
    const print = JSON.stringify([answer.view, answer.error, person()]);
    if (print === this.#print) return;
    this.#print = print;
    fill(this.element, answer.view?.blocks?.length ? blocks(answer.view.blocks, viewSurface(answer.view, this.#form)) : this.#empty(answer));
  }

  #empty(answer) {
    const why = answer.ok ? `${world.bot.name} has not published a Home tab for you yet.` : `The Home tab could not be opened: ${because(answer)}.`;
    return h("div", { class: "empty" }, icon("home"), h("p", null, why));
  }
}
