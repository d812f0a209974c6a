// What pressing something in a view (a modal or the Home tab) does.

import { send } from "../api.js";
import { place } from "../route.js";
import { person } from "../world.js";

export function viewSurface(view, form) {
  const body = (block, element) => ({ user: person(), view_id: view.id, block_id: block.block_id, action_id: element.action_id });
  return {
    form,
    isView: true,
    currentChannel: () => place.channel,
    act: (block, element, { type, ...state }) => send("view/action", { ...body(block, element), ...state, values: form.values(view.blocks) }),
    suggest: (block, element, value) => send("suggest", { ...body(block, element), value }),
  };
}
