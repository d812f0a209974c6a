// What pressing something in a view (a modal or the Home tab) does.

import { send } from "../api.js";
import { place } from "../route.js";
import { person } from "../world.js";

// A Home tab may be published anew at any time, with new ids for its blocks: an action that is the
// only one of its name goes by that name.
function blockId(view, block, { action_id: actionId }) {
  if (view.type !== "home") return block.block_id;
  const controls = view.blocks.flatMap((one) => [...(one.elements ?? []), one.accessory, one.element]);
  return controls.filter((one) => one?.action_id === actionId).length === 1 ? undefined : block.block_id;
}

export function viewSurface(view, form) {
  const body = (block, element) => ({ user: person(), view_id: view.id, block_id: blockId(view, block, element), action_id: element.action_id });
  return {
    form,
    isView: true,
    currentChannel: () => place.channel,
    act: (block, element, { type, ...state }) => send("view/action", { ...body(block, element), ...state, values: form.values(view.blocks) }),
    suggest: (block, element, value) => send("view/suggest", { ...body(block, element), value }),
  };
}
